"""Join the segmentations of an arm's models for one case, and bring the mask back to the scan.

The mask is written on the acquired slices, which no header describes where their gaps differ, and on the upright grid
of the ingested NCCT, which is always regular.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.common.acquired_grid import resample_mask
from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_json
from workflow_scripts.common.volume import Volume, load_volume, require_same_grid, save_volume
from workflow_scripts.segment.masks.acquired_grid import write_acquired
from workflow_scripts.segment.masks.agreement import mean_probability, share_of_members
from workflow_scripts.segment.masks.vote import vote

log = logging.getLogger(__name__)


def read_members(paths: Sequence[Path]) -> list[Volume]:
    """Return the image of each member; raises `InputError` where their grids differ."""
    members = [load_volume(path) for path in paths]
    for path, member in zip(paths, members, strict=True):
        require_same_grid(members[0], member, str(paths[0]), str(path))
    return members


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--masks", nargs="+", type=Path, required=True, help="one a model")
    parser.add_argument("--probabilities", nargs="+", type=Path, required=True, help="of the lesion, one a model")
    parser.add_argument("--ncct", type=Path, required=True, help="ingested NCCT: the upright grid")
    parser.add_argument("--record", type=Path, required=True, help="ncct.json of the case: the acquired slices")
    parser.add_argument("--vote", choices=("majority", "mean_probability"), required=True)
    parser.add_argument("--out-mask", type=Path, required=True, help="mask on the grid of the final images")
    parser.add_argument("--out-original", type=Path, required=True, help="mask on the grid of the acquired scan")
    parser.add_argument("--out-slices", type=Path, required=True, help="JSON: where the acquired slices lie, volume")
    parser.add_argument("--out-upright", type=Path, required=True, help="mask on the grid of the ingested NCCT")
    parser.add_argument("--out-agreement", type=Path, required=True, help="share of the members that mark a voxel")
    parser.add_argument("--out-probability", type=Path, required=True, help="mean of the members' probabilities")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the members' masks or probabilities, vote, write the mask on every grid."""
    arguments = _parse(argv)
    masks, probabilities = read_members(arguments.masks), read_members(arguments.probabilities)
    votes = masks if arguments.vote == "majority" else probabilities
    mask = masks[0].with_data(vote([member.data for member in votes]))
    agreement = share_of_members([member.data for member in masks])
    save_volume(arguments.out_agreement, mask.with_data(agreement), np.float32)
    save_volume(
        arguments.out_probability, mask.with_data(mean_probability([p.data for p in probabilities])), np.float32
    )
    record, ncct = read_json(arguments.record), load_volume(arguments.ncct)
    upright = resample_mask(mask, ncct.data.shape, ncct.affine)
    save_volume(arguments.out_mask, mask, np.uint8)
    save_volume(arguments.out_upright, upright, np.uint8)
    slices = write_acquired(mask, record, arguments.out_original, arguments.out_slices)
    volumes = [np.count_nonzero(volume.data) * volume.voxel_ml for volume in (mask, upright)]
    log.info("%.2f mL on the final, %.2f on the upright, %.2f on the acquired grid", *volumes, slices["lesion_ml"])


if __name__ == "__main__":
    run(main)
