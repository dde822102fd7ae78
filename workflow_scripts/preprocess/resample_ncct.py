"""Resample the NCCT to isotropic voxels (paper section 3.2a)."""

import argparse
from collections.abc import Sequence

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.volume import load_volume, save_volume
from workflow_scripts.preprocess.stripping.tissue import padding
from workflow_scripts.preprocess.voxels.grids import resample_isotropic


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--ncct", required=True, help="NCCT in HU")
    parser.add_argument("--spacing", type=float, required=True, help="wanted spacing, mm")
    parser.add_argument("--antialias", action=argparse.BooleanOptionalAction, required=True)
    parser.add_argument(
        "--stripped",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="the NCCT came skull-stripped: leave its padding out",
    )
    parser.add_argument("--background", type=float, required=True, help="HU outside the image")
    parser.add_argument("--out", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the ingested NCCT, write it on its isotropic grid."""
    arguments = _parse(argv)
    ncct = load_volume(arguments.ncct)
    measured = ~padding(ncct.data) if arguments.stripped else None
    resampled = resample_isotropic(
        ncct, arguments.spacing, antialias=arguments.antialias, background=arguments.background, measured=measured
    )
    save_volume(arguments.out, resampled)


if __name__ == "__main__":
    run(main)
