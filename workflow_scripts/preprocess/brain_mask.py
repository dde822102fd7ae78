"""Find the brain in the resampled NCCT, or take the mask that is given, and blank the rest (paper section 3.2b)."""

import argparse
import logging
from collections.abc import Sequence

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import write_json
from workflow_scripts.common.masks import dice
from workflow_scripts.common.settings import add_options, from_options
from workflow_scripts.common.volume import Volume, load_volume, resample, save_volume
from workflow_scripts.preprocess.quality.brain_mask import tissue_beyond
from workflow_scripts.preprocess.quality.metal import metal_near
from workflow_scripts.preprocess.quality.skull import skull_gap_cm2
from workflow_scripts.preprocess.stripping import tissue
from workflow_scripts.preprocess.stripping.methods import (
    GIVEN,
    NCCT_METHODS,
    SYNTHETIC,
    StrippingSettings,
    ncct_brain,
    pseudo_t1,
    weights_digests,
)
from workflow_scripts.preprocess.voxels.morphology import hull_excess

log = logging.getLogger(__name__)


def _cross_check(
    arguments: argparse.Namespace,
    ncct: Volume,
    padded: np.ndarray,
    brain: np.ndarray,
    image: np.ndarray,
    settings: StrippingSettings,
) -> float | None:
    """Compare ``brain``, found in the pseudo-T1 ``image``, with what the second method finds."""
    if arguments.given or arguments.cross_check in ("none", arguments.method):
        return None
    try:
        if arguments.method == SYNTHETIC:
            image = pseudo_t1(arguments.cross_check, ncct, padded, settings)
        other = ncct_brain(arguments.cross_check, ncct, image, padded, settings)
    except InputError as error:
        log.warning("The cross-check failed and counts as Dice 0: %s", error.problem)
        return 0.0
    return dice(brain, other)


def given_brain(mask: Volume, ncct: Volume, padded: np.ndarray) -> np.ndarray:
    """Return a mask of 0 and 1 on the grid of the NCCT, boolean: where linear interpolation gives half or more.

    Raises `InputError` when nothing of it is left.
    """
    share = resample(mask, ncct.data.shape, ncct.affine, order=1, background=0).data
    brain = (share >= 0.5) & ~padded
    if not brain.any():
        raise InputError("The given brain mask does not reach the NCCT.", "correct column brain_mask.")
    return brain


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--ncct", required=True, help="resampled NCCT, HU")
    parser.add_argument("--given", help="brain mask that is taken instead of what --method finds")
    parser.add_argument("--method", choices=NCCT_METHODS, required=True)
    parser.add_argument("--cross-check", choices=("hu", "deepbet", "none"), required=True)
    parser.add_argument(
        "--stripped", action=argparse.BooleanOptionalAction, default=False, help="the NCCT came skull-stripped"
    )
    parser.add_argument("--background", type=float, required=True, help="HU outside the brain")
    add_options(parser, StrippingSettings)
    for name in ("pseudo-t1", "mask", "stripped", "json"):
        parser.add_argument(f"--out-{name}", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the resampled NCCT; write pseudo-T1, brain mask, stripped NCCT and what is known about the mask."""
    arguments = _parse(argv)
    ncct = load_volume(arguments.ncct)
    padded = tissue.padding(ncct.data) if arguments.stripped else np.zeros(ncct.data.shape, bool)
    settings = from_options(StrippingSettings, arguments)
    if arguments.given:
        image = tissue.pseudo_t1(ncct.data, ncct.spacing, padded)
        brain = given_brain(load_volume(arguments.given), ncct, padded)
    else:
        image = pseudo_t1(arguments.method, ncct, padded, settings)
        brain = ncct_brain(arguments.method, ncct, image, padded, settings)
    facts = {
        "method": GIVEN if arguments.given else arguments.method,
        "weights_sha256": {} if arguments.given else weights_digests(arguments.method, settings),
        "stripped_before": arguments.stripped,
        "brain_ml": np.count_nonzero(brain) * ncct.voxel_ml,
        "hull_excess": hull_excess(brain),
        "tissue_beyond_mm": tissue_beyond(ncct, brain),
        # A mask that is given is the remedy.
        "metal_ml": None if arguments.given else metal_near(ncct, brain),
        "skull_gap_cm2": None if arguments.given or arguments.stripped else skull_gap_cm2(ncct, brain),
        "cross_check": arguments.cross_check,
        "cross_check_dice": _cross_check(arguments, ncct, padded, brain, image, settings),
    }
    save_volume(arguments.out_pseudo_t1, ncct.with_data(image))
    save_volume(arguments.out_mask, ncct.with_data(brain), np.uint8)
    stripped = np.where(brain, ncct.data, np.float32(arguments.background))
    save_volume(arguments.out_stripped, ncct.with_data(stripped))
    write_json(arguments.out_json, facts)


if __name__ == "__main__":
    run(main)
