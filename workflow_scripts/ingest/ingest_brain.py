"""Bring a brain mask that the case sheet gives to the grid of the ingested NCCT."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.dicom.source import locate
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json
from workflow_scripts.common.volume import Volume, load_volume, save_volume
from workflow_scripts.ingest.image.acquired import binary, follow, require_in_head

BRAIN = "brain mask"
VOLUME_ML = (200.0, 2500.0)  # from the brain of a newborn to more than the largest
MOST_OUTSIDE = 0.2  # of the mask; air may have entered at an operation


def require_brain(mask: Volume) -> None:
    """Raise `InputError` when a mask (0 and 1) has a volume that no brain has."""
    low, high = VOLUME_ML
    volume = np.count_nonzero(mask.data) * mask.voxel_ml
    if not low <= volume <= high:
        raise InputError(
            f"The {BRAIN} has {volume:.0f} mL; a brain has {low:.0f} to {high:.0f}.",
            "give the mask of the whole brain, 1 inside, or leave column brain_mask empty.",
        )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--brain", type=Path, required=True, help="mask as given, NIfTI")
    parser.add_argument("--reference", type=Path, required=True, help="ingested NCCT")
    parser.add_argument("--record", type=Path, required=True, help="ncct.json")
    parser.add_argument("--out", type=Path, required=True, help="mask to write, 0 and 1")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the mask on the grid of the upright scan."""
    arguments = _parse(argv)
    given = load_volume(locate(arguments.brain, BRAIN, "brain_mask"), given=True)
    reference, record = load_volume(arguments.reference), read_json(arguments.record)
    mask = follow(binary(given, name=BRAIN), stack_of(record), reference, record, BRAIN)
    require_brain(mask)
    require_in_head(mask, reference, BRAIN, MOST_OUTSIDE)
    save_volume(arguments.out, mask, np.uint8)


if __name__ == "__main__":
    run(main, reads_headers=True)
