"""Join the segmentations of an arm's models, case by case (paper 3.5: majority vote of three)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.common.cli import run
from workflow_scripts.common.volume import load_volume, require_same_grid, save_volume


def vote(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return where the mean of the members exceeds one half, as uint8.

    For masks of 0 and 1 that is the majority vote, and a tie, possible with an even number only, is no lesion; for
    probabilities it is the decision of their mean.
    """
    return (np.mean(members, axis=0, dtype=np.float64) > 0.5).astype(np.uint8)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", nargs="+", type=Path, required=True, help="one folder a model")
    parser.add_argument("--vote", choices=("majority", "mean_probability"), required=True)
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--cases", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the masks")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read each case's members, vote, write the mask on their grid."""
    arguments = _parse(argv)
    suffix = ".nii.gz" if arguments.vote == "majority" else ".probability.nii.gz"
    for case in arguments.cases:
        members = [load_volume(folder / f"{case}{suffix}") for folder in arguments.members]
        for folder, member in zip(arguments.members, members, strict=True):
            name = f"Case {arguments.cohort}/{case}: {arguments.members[0].name}"
            require_same_grid(members[0], member, name, folder.name)
        joined = vote([member.data for member in members])
        save_volume(arguments.out / f"{case}.nii.gz", members[0].with_data(joined), np.uint8)


if __name__ == "__main__":
    run(main)
