"""Find the affine from the MRI to the NCCT, masked on the NCCT (paper section 3.2c)."""

import argparse
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import write_json
from workflow_scripts.common.settings import add_options, from_options
from workflow_scripts.common.transform import write_affine
from workflow_scripts.common.volume import Volume, load_volume
from workflow_scripts.preprocess.registration.brains import Brain, judged, register_brains
from workflow_scripts.preprocess.registration.intensities import ct_for_registration, mri_for_registration
from workflow_scripts.preprocess.registration.plausibility import AffineLimits, deformation_mm
from workflow_scripts.preprocess.registration.settings import RegistrationSettings

LIMITS = AffineLimits(stretch=(0.85, 1.15), rotation_degrees=45.0, overlap_dice=0.8)

log = logging.getLogger(__name__)


def register_mri(
    ncct: Volume, brain: np.ndarray, mri: Volume, settings: RegistrationSettings, *, aligned: bool
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the affine that maps points of the MRI to points of the NCCT (4×4, RAS+, mm), and facts about it.

    ``brain`` is the mask of the NCCT on its grid. ``aligned`` images get the identity, which tells nothing about their
    shape. Raises `InputError` when elastix gives up.
    """
    head = ct_for_registration(ncct, brain, settings.window_hu, settings.background_hu)
    fixed = Brain.of(head, brain, settings.grid_mm)
    moving = Brain.of(mri_for_registration(mri), mri.data > 0, settings.grid_mm)
    if aligned:
        to_mri = np.eye(4)
        facts = judged(fixed, moving, fixed.mask, to_mri, settings, LIMITS)
    else:
        to_mri, facts = register_brains(fixed, moving, settings, LIMITS)
    deformation = None if aligned else deformation_mm(to_mri, _points(fixed))
    method = "identity, stated in the case sheet" if aligned else "elastix"
    return np.linalg.inv(to_mri), facts | {"method": method, "deformation_mm": deformation}


def _points(brain: Brain) -> np.ndarray:
    """Return the points of a brain, (n, 3), RAS+, mm."""
    affine = brain.image.affine
    return np.argwhere(brain.mask) @ affine[:3, :3].T + affine[:3, 3]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--ncct", required=True, help="stripped NCCT, HU")
    parser.add_argument("--brain", required=True, help="brain mask of the NCCT")
    parser.add_argument("--mri", required=True, help="stripped MRI, 0 outside the brain")
    parser.add_argument(
        "--aligned",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="the MRI is in NCCT space: write the identity",
    )
    add_options(parser, RegistrationSettings)
    parser.add_argument("--out-affine", required=True)
    parser.add_argument("--out-json", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read stripped NCCT, brain mask and stripped MRI; write the affine and what is known about it."""
    arguments = _parse(argv)
    ncct, mri = load_volume(arguments.ncct), load_volume(arguments.mri)
    brain = load_volume(arguments.brain).data > 0
    matrix, facts = register_mri(
        ncct, brain, mri, from_options(RegistrationSettings, arguments), aligned=arguments.aligned
    )
    if facts["doubts"]:
        log.warning("The registration is implausible: %s", facts)
    write_affine(arguments.out_affine, matrix, "the MRI", "the NCCT")
    write_json(arguments.out_json, facts)


if __name__ == "__main__":
    run(main)
