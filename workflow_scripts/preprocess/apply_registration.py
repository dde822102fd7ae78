"""Bring an MRI onto the grid of the resampled NCCT (paper section 3.2c)."""

import argparse
from collections.abc import Sequence

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import load_volume, resample, save_volume


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--mri", required=True, help="stripped MRI")
    parser.add_argument("--affine", required=True, help="affine from the MRI to the NCCT")
    parser.add_argument("--grid", required=True, help="image that has the wanted grid")
    parser.add_argument("--out", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read a stripped MRI, the affine and an image of the grid; write the MRI linearly interpolated, 0 outside."""
    arguments = _parse(argv)
    mri, grid = load_volume(arguments.mri), load_volume(arguments.grid)
    to_mri = np.linalg.inv(read_affine(arguments.affine))
    save_volume(arguments.out, resample(mri, grid.data.shape, grid.affine, order=1, background=0, to_source=to_mri))


if __name__ == "__main__":
    run(main)
