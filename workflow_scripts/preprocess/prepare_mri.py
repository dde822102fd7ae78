"""Resample a DWI or ADC map to isotropic voxels and strip it (paper section 3.2a-b)."""

import argparse
import logging
from collections.abc import Sequence

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.settings import add_options, from_options
from workflow_scripts.common.volume import load_volume, save_volume
from workflow_scripts.preprocess.stripping.methods import (
    MRI_METHODS,
    StrippingSettings,
    mri_brain,
    weights_digests,
)
from workflow_scripts.preprocess.stripping.tissue import padding
from workflow_scripts.preprocess.voxels.grids import resample_isotropic

log = logging.getLogger(__name__)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--mri", required=True)
    parser.add_argument("--spacing", type=float, required=True, help="wanted spacing, mm")
    parser.add_argument("--antialias", action=argparse.BooleanOptionalAction, required=True)
    parser.add_argument("--method", choices=MRI_METHODS, required=True)
    add_options(parser, StrippingSettings)
    parser.add_argument("--out-resampled", required=True)
    parser.add_argument("--out-stripped", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read an ingested MRI; write it resampled, and once more with 0 outside the brain."""
    arguments = _parse(argv)
    mri = load_volume(arguments.mri)
    resampled = resample_isotropic(
        mri,
        arguments.spacing,
        antialias=arguments.antialias,
        background=0,
        measured=~padding(mri.data) if arguments.method == "none" else None,
    )
    settings = from_options(StrippingSettings, arguments)
    for network, digest in weights_digests(arguments.method, settings).items():
        log.info("weights of %s: SHA-256 %s", network, digest)
    brain = mri_brain(arguments.method, resampled, settings)
    save_volume(arguments.out_resampled, resampled)
    save_volume(arguments.out_stripped, resampled.with_data(np.where(brain, resampled.data, np.float32(0))))


if __name__ == "__main__":
    run(main)
