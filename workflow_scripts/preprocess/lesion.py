"""Bring the lesion mask onto the final grid (paper section 3.2c)."""

import argparse
from collections.abc import Sequence

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import Volume, load_volume, resample, save_volume


def lesion_on_grid(lesion: Volume, grid: Volume, to_grid: np.ndarray) -> Volume:
    """Sample a mask on the grid of another image in one nearest-neighbour step.

    ``to_grid`` maps points of the mask's space to points of the image's (4×4, RAS+, mm).
    """
    return resample(lesion, grid.data.shape, grid.affine, order=0, background=0, to_source=np.linalg.inv(to_grid))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--lesion", required=True, help="lesion mask on the grid it was drawn on")
    parser.add_argument("--ncct", required=True, help="image that has the final grid")
    parser.add_argument("--affine", help="affine from the mask's space to the NCCT; none: they share their space")
    parser.add_argument("--out", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the ingested mask, the final NCCT and, for a mask drawn on MRI, the affine; write the mask."""
    arguments = _parse(argv)
    to_ncct = read_affine(arguments.affine) if arguments.affine else np.eye(4)
    lesion = lesion_on_grid(load_volume(arguments.lesion, np.uint8), load_volume(arguments.ncct), to_ncct)
    save_volume(arguments.out, lesion, np.uint8)


if __name__ == "__main__":
    run(main)
