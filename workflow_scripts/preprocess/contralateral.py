"""Mirror the brain across its mid-sagittal plane, in the patient's own space (paper section 3.2d)."""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import write_json
from workflow_scripts.common.transform import write_affine
from workflow_scripts.common.volume import Volume, load_volume, resample, save_volume
from workflow_scripts.preprocess.elastix import register_affine
from workflow_scripts.preprocess.intensities import ct_for_registration, registration_mask
from workflow_scripts.preprocess.plausibility import affine_facts, doubts, information_gain
from workflow_scripts.preprocess.settings import Settings, add_settings, settings_of

FLIP = np.diag([-1.0, 1.0, 1.0, 1.0])
TEMPLATE_STRETCH = (0.7, 1.4)
TEMPLATE_ROTATION_DEGREES = 60.0
CORRECTION_STRETCH = (0.9, 1.1)
CORRECTION_ROTATION_DEGREES = 10.0
SHOWN_POINTS = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mirror:
    """Where a point of the NCCT has its counterpart: 4×4 affines, RAS+, mm."""

    ncct_to_template: np.ndarray
    ncct_to_counterpart: np.ndarray
    facts: dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Read NCCT, brain mask and template; write the mirrored NCCT, the affine to the template and facts."""
    arguments = _parse(argv)
    ncct = load_volume(arguments.ncct)
    brain = load_volume(arguments.brain).data > 0
    template, template_brain = load_volume(arguments.template), load_volume(arguments.template_mask).data > 0
    mirror = find_mirror(ncct, brain, template, template_brain, settings_of(arguments))
    if mirror.facts["doubts"]:
        log.warning("The mirroring is implausible: %s", mirror.facts)
    mirrored = mirrored_brain(ncct, brain, mirror.ncct_to_counterpart, arguments.background)
    write_affine(arguments.out_affine, mirror.ncct_to_template, "the NCCT", "the CT template")
    save_volume(arguments.out_image, mirrored)
    write_json(arguments.out_json, mirror.facts)


def find_mirror(
    ncct: Volume, brain: np.ndarray, template: Volume, template_brain: np.ndarray, settings: Settings
) -> Mirror:
    """Register the NCCT to the template, flip it there, and register the flipped brain back to the NCCT.

    Both registrations are affine and masked on their fixed image. The second takes up what the template's plane
    misses and gross asymmetry of the head. ``ncct`` is in HU; the masks are boolean, on the grids of their images.
    Raises `InputError` when a registration fails.
    """
    head = ct_for_registration(ncct, brain, settings.window_hu, settings.background_hu)
    fixed = ct_for_registration(template, template_brain, settings.window_hu, settings.background_hu)
    around_template = registration_mask(template_brain, template.spacing, settings.mask_margin_mm)
    to_ncct = register_affine(fixed, around_template, head, settings)
    to_template = np.linalg.inv(to_ncct)
    flip = to_ncct @ FLIP @ to_template
    flipped = resample(head, head.data.shape, head.affine, order=1, background=settings.background_hu, to_source=flip)
    around_brain = registration_mask(brain, ncct.spacing, settings.mask_margin_mm)
    correction = register_affine(head, around_brain, flipped, settings)
    to_counterpart = flip @ correction

    template_facts = affine_facts(to_template) | {
        "mutual_information": information_gain(fixed, around_template, head, to_ncct, settings.metric_bins)
    }
    correction_facts = affine_facts(correction) | {
        "mutual_information": information_gain(head, around_brain, flipped, correction, settings.metric_bins)
    }
    facts = {
        "template": template_facts,
        "correction": correction_facts,
        "ncct_to_counterpart_ras_mm": to_counterpart.tolist(),
        "return_mm": return_distance(to_counterpart, brain, ncct.affine),
        "doubts": [f"template {name}" for name in doubts(template_facts, TEMPLATE_STRETCH, TEMPLATE_ROTATION_DEGREES)]
        + [f"correction {name}" for name in doubts(correction_facts, CORRECTION_STRETCH, CORRECTION_ROTATION_DEGREES)],
    }
    return Mirror(to_template, to_counterpart, facts)


def mirrored_brain(ncct: Volume, brain: np.ndarray, to_counterpart: np.ndarray, background: float) -> Volume:
    """Sample the NCCT at the counterpart of each voxel, in one linear step, and blank what is not brain.

    A voxel keeps a value when it is brain and its counterpart is, too. Values mix brain voxels only, so that the
    surface is not blurred into bone. Everything else is ``background`` (HU).
    """
    shape, affine = ncct.data.shape, ncct.affine
    share, total = (
        resample(ncct.with_data(data), shape, affine, order=1, background=0, to_source=to_counterpart).data
        for data in (brain.astype(np.float32), np.where(brain, ncct.data, np.float32(0)))
    )
    kept = brain & (share >= 0.5)
    return ncct.with_data(np.where(kept, total / np.where(kept, share, 1), np.float32(background)))


def return_distance(to_counterpart: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> float:
    """Return how far points of the brain land from themselves when mirrored twice: mean, mm; 0 for a perfect mirror."""
    voxels = np.argwhere(brain)
    voxels = voxels[:: max(len(voxels) // SHOWN_POINTS, 1)]
    points = affine @ np.column_stack([voxels, np.ones(len(voxels))]).T
    return float(np.linalg.norm(((to_counterpart @ to_counterpart - np.eye(4)) @ points)[:3], axis=0).mean())


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--ncct", required=True, help="NCCT, HU")
    parser.add_argument("--brain", required=True, help="its brain mask")
    parser.add_argument("--template", required=True, help="CT template, HU, mid-sagittal plane x = 0")
    parser.add_argument("--template-mask", required=True)
    parser.add_argument("--background", type=float, required=True, help="HU outside the brain")
    add_settings(parser)
    for name in ("affine", "image", "json"):
        parser.add_argument(f"--out-{name}", required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run(main)
