"""Mirror the brain across its mid-sagittal plane, in the patient's own space (paper section 3.2d)."""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import write_json
from workflow_scripts.common.settings import add_options, from_options
from workflow_scripts.common.transform import write_affine
from workflow_scripts.common.volume import Volume, load_volume, resample, save_volume
from workflow_scripts.preprocess.registration.brains import Brain, register_brains
from workflow_scripts.preprocess.registration.intensities import ct_for_registration
from workflow_scripts.preprocess.registration.midplane import find_midplane, plane_of
from workflow_scripts.preprocess.registration.plausibility import AffineLimits
from workflow_scripts.preprocess.registration.settings import RegistrationSettings

FLIP = np.diag([-1.0, 1.0, 1.0, 1.0])
TEMPLATE_LIMITS = AffineLimits(stretch=(0.7, 1.4), rotation_degrees=60.0, overlap_dice=0.8)
CORRECTION_LIMITS = AffineLimits(stretch=(0.9, 1.1), rotation_degrees=10.0, overlap_dice=0.8)
MIDPLANE_LEAST_CORRELATION = 0.4  # on phantoms 0.46 to 0.74 where the plane is right, below 0.34 when 10 degrees off
SHOWN_POINTS = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mirror:
    """Where a point of the NCCT has its counterpart (4×4 affines, RAS+, mm).

    ``ncct_to_template`` leads to the CT template, or to another frame whose mid-sagittal plane is x = 0.
    """

    ncct_to_template: np.ndarray
    ncct_to_counterpart: np.ndarray
    facts: dict[str, Any]


def mirror_by_template(
    head: Volume, brain: np.ndarray, template: Volume, template_brain: np.ndarray, settings: RegistrationSettings
) -> Mirror:
    """Register the NCCT to the template, flip it there, and register the flipped brain back to the NCCT.

    Both registrations are affine and masked on their fixed image. The second takes up what the template's plane
    misses and gross asymmetry of the head. Its mask is the brain itself: the surfaces meet already and are lopsided,
    what lies within tells the midline better. Where the first is doubted, they may not meet, and the margin stays.
    ``head`` comes from `ct_for_registration`, ``template`` is in HU; the
    masks are boolean, on the grids of their images. Raises `InputError` when elastix gives up.
    """
    clipped = ct_for_registration(template, template_brain, settings.window_hu, settings.background_hu)
    fixed, moving = (
        Brain.of(image, mask, settings.grid_mm) for image, mask in ((clipped, template_brain), (head, brain))
    )
    to_ncct, template_facts = register_brains(fixed, moving, settings, TEMPLATE_LIMITS)
    to_template = np.linalg.inv(to_ncct)
    flip = to_ncct @ FLIP @ to_template
    flipped = _flipped(moving, flip, settings.background_hu)
    back = settings if template_facts["doubts"] else replace(settings, mask_margin_mm=0.0)
    correction, correction_facts = register_brains(moving, flipped, back, CORRECTION_LIMITS)
    facts = {
        "method": "template",
        "template": template_facts,
        "correction": correction_facts,
        "doubts": [f"template {name}" for name in template_facts["doubts"]]
        + [f"correction {name}" for name in correction_facts["doubts"]],
    }
    return Mirror(to_template, flip @ correction, facts)


def mirror_by_midplane(head: Volume, brain: np.ndarray) -> Mirror:
    """Reflect the NCCT in the plane that its brain is most symmetric about; ``head`` as in `mirror_by_template`."""
    plane, correlation = find_midplane(head, brain)
    doubted = ["midplane correlation"] if correlation < MIDPLANE_LEAST_CORRELATION else []
    return Mirror(
        plane.to_midline, plane.reflection, {"method": "midplane", "correlation": correlation, "doubts": doubted}
    )


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


def _flipped(brain: Brain, flip: np.ndarray, background: float) -> Brain:
    """Mirror a brain on its own grid; ``flip`` maps a point to its counterpart (4×4, RAS+, mm)."""
    shape, affine = brain.image.data.shape, brain.image.affine
    mask = brain.image.with_data(brain.mask.astype(np.uint8))
    return Brain(
        resample(brain.image, shape, affine, order=1, background=background, to_source=flip),
        resample(mask, shape, affine, order=0, background=0, to_source=flip).data > 0,
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--ncct", required=True, help="NCCT, HU")
    parser.add_argument("--brain", required=True, help="its brain mask")
    parser.add_argument("--template", help="CT template, HU, mid-sagittal plane x = 0; without it the plane is found")
    parser.add_argument("--template-mask", help="its brain mask")
    parser.add_argument("--background", type=float, required=True, help="HU outside the brain")
    add_options(parser, RegistrationSettings)
    for name in ("affine", "image", "json"):
        parser.add_argument(f"--out-{name}", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read NCCT, brain mask and, unless the midplane is wanted, a template; write the mirrored NCCT and its affines."""
    arguments = _parse(argv)
    ncct = load_volume(arguments.ncct)
    brain = load_volume(arguments.brain).data > 0
    settings = from_options(RegistrationSettings, arguments)
    head = ct_for_registration(ncct, brain, settings.window_hu, settings.background_hu)
    if arguments.template:
        template, template_brain = load_volume(arguments.template), load_volume(arguments.template_mask).data > 0
        mirror = mirror_by_template(head, brain, template, template_brain, settings)
    else:
        mirror = mirror_by_midplane(head, brain)
    plane = plane_of(mirror.ncct_to_counterpart, brain, ncct.affine)
    facts = mirror.facts | {
        "ncct_to_counterpart_ras_mm": mirror.ncct_to_counterpart.tolist(),
        "midplane_ras_mm": {"point": plane.point.tolist(), "normal": plane.normal.tolist()},
        "return_mm": return_distance(mirror.ncct_to_counterpart, brain, ncct.affine),
    }
    if facts["doubts"]:
        log.warning("The mirroring is implausible: %s", facts)
    mirrored = mirrored_brain(ncct, brain, mirror.ncct_to_counterpart, arguments.background)
    frame = "the CT template" if arguments.template else "a frame whose plane x = 0 is the mid-sagittal plane"
    write_affine(arguments.out_affine, mirror.ncct_to_template, "the NCCT", frame)
    save_volume(arguments.out_image, mirrored)
    write_json(arguments.out_json, facts)


if __name__ == "__main__":
    run(main)
