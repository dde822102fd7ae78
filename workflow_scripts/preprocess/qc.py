"""Gather the numbers of a case's preprocessing that tell whether to trust it."""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from scipy import ndimage

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_json, write_json
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import Volume, load_volume, require_same_grid, resample, same_grid, to_ras
from workflow_scripts.preprocess.quality import mri_fit
from workflow_scripts.preprocess.quality.checks import Limits, checks, concern, flags
from workflow_scripts.preprocess.stripping.tissue import BRAIN_WINDOW_HU, SMOOTHING_MM
from workflow_scripts.preprocess.voxels.morphology import bounding_box

BILATERAL_SHARE = 0.1
BEYOND_MM = 25.0


def main(argv: Sequence[str] | None = None) -> None:
    """Read what the other rules wrote about a case; write one JSON file with numbers and flags."""
    arguments = _parse(argv)
    ncct, brain = load_volume(arguments.ncct), load_volume(arguments.brain, np.uint8)
    require_same_grid(ncct, brain, "the final NCCT", "the brain mask")
    mirrored = load_volume(arguments.mirrored)
    require_same_grid(ncct, mirrored, "the final NCCT", "the mirrored NCCT")
    inside = brain.data > 0
    facts = {
        "cohort": arguments.cohort,
        "case": arguments.case,
        **_brain_facts(read_json(arguments.brain_json)),
        "tissue_beyond_mm": tissue_beyond(load_volume(arguments.head), load_volume(arguments.brain_mask).data > 0),
        "end_share": end_share(to_ras(brain).data > 0),
        "contralateral": read_json(arguments.contralateral_json),
        "registration": read_json(arguments.registration_json) if arguments.registration_json else None,
        "pixel_digest": read_json(arguments.ingest_json)["pixel_digest"],
        "final_digest": digest(ncct.data),
        **dict.fromkeys(("lesion_ml", "lesion_outside_brain_fraction", "lesion_darker_hu", "side")),
        **dict.fromkeys(("mri_offset_mm", "mri_side_ratio")),
    }
    if arguments.mri:
        facts |= mri_facts(ncct, mirrored, inside, load_volume(arguments.mri))
    if arguments.lesion:
        lesion = load_volume(arguments.lesion, np.uint8)
        require_same_grid(ncct, lesion, "the final NCCT", "the lesion mask")
        difference = load_volume(arguments.difference)
        facts |= lesion_facts(lesion, inside, difference.data, read_affine(arguments.to_template))
    judged = checks(facts, _limits(arguments))
    write_json(arguments.out, facts | {"checks": judged, "flags": flags(judged), "concern": concern(judged)})


def tissue_beyond(head: Volume, brain: np.ndarray) -> float | None:
    """Return how thick the soft tissue beyond the brain mask is: the median over its surface, mm.

    Measured from a voxel at the surface to the nearest that is bone, air or padding, less one voxel. ``head`` is in HU;
    ``brain`` is boolean, on its grid. The skull lies a few mm from a brain, farther from a mask that is too small.
    ``None`` for an empty mask.
    """
    if not brain.any():
        return None
    box = bounding_box(brain, round(BEYOND_MM / head.spacing.min()))
    mask = brain[box]
    surface = mask & ~ndimage.binary_erosion(mask)
    hu = ndimage.gaussian_filter(head.data[box].astype(np.float32), SMOOTHING_MM / head.spacing)
    soft = (hu >= BRAIN_WINDOW_HU[0]) & (hu <= BRAIN_WINDOW_HU[1]) | mask
    if soft.all():
        return BEYOND_MM
    distance = ndimage.distance_transform_edt(soft, sampling=head.spacing)
    return float(max(np.median(distance[surface]) - head.spacing.mean(), 0.0))


def end_share(brain: np.ndarray) -> float:
    """Return the area of the mask's lowest or highest slice, whichever is larger, over that of its largest slice.

    ``brain`` is boolean, array axes RAS+. A whole brain ends in a dome above and a stem below; one that the field of
    view cuts off ends in a plane.
    """
    areas = brain.sum(axis=(0, 1))
    used = areas[areas > 0]
    return float(max(used[0], used[-1]) / used.max()) if len(used) else 0.0


def mri_facts(ncct: Volume, mirrored: Volume, brain: np.ndarray, mri: Volume) -> dict[str, Any]:
    """Return how the registered MRI fits the NCCT (`mri_fit`); the first two images share a grid with the mask."""
    on_grid = mri if same_grid(ncct, mri) else resample(mri, ncct.data.shape, ncct.affine, order=1, background=0)
    return {
        "mri_offset_mm": mri_fit.offset_mm(ncct, brain, mri),
        "mri_side_ratio": mri_fit.side_ratio(ncct, mirrored, brain, on_grid),
    }


def lesion_facts(lesion: Volume, brain: np.ndarray, difference: np.ndarray, to_template: np.ndarray) -> dict[str, Any]:
    """Describe a lesion mask by volume (mL), share outside the brain, darkness and side.

    ``lesion_darker_hu`` is the mean of ``difference`` (mirrored − NCCT, HU, 0 where there is none) inside the mask:
    positive where the lesion is darker than its counterpart, as an infarct is. For an empty mask, ``None`` stands for
    share and darkness.
    """
    inside = lesion.data > 0
    voxels = np.count_nonzero(inside)
    compared = difference[inside & (difference != 0)]
    return {
        "lesion_ml": voxels * lesion.voxel_ml,
        "lesion_outside_brain_fraction": np.count_nonzero(inside & ~brain) / voxels if voxels else None,
        "lesion_darker_hu": float(compared.mean()) if len(compared) else None,
        "side": side(lesion, to_template),
    }


def side(lesion: Volume, to_template: np.ndarray) -> str:
    """Say where a lesion lies: ``left``, ``right``, ``bilateral`` or, for an empty mask, ``none``.

    ``to_template`` maps the lesion's points to a template whose mid-sagittal plane is x = 0 (4×4, RAS+, mm; x grows to
    the patient's right). Bilateral: the smaller part has a tenth of the volume or more.
    """
    voxels = np.argwhere(lesion.data > 0)
    if not len(voxels):
        return "none"
    x = (to_template @ lesion.affine @ np.column_stack([voxels, np.ones(len(voxels))]).T)[0]
    right = np.count_nonzero(x > 0) / len(x)
    if min(right, 1 - right) >= BILATERAL_SHARE:
        return "bilateral"
    return "right" if right > 0.5 else "left"


def digest(hu: np.ndarray) -> str:
    """Return the SHA-256 of an image's values rounded to int16, in array order (x slowest), with its shape."""
    values = np.ascontiguousarray(np.rint(hu).astype("<i2"))
    return hashlib.sha256(str(values.shape).encode() + values.tobytes()).hexdigest()


def _brain_facts(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("brain_ml", "hull_excess", "cross_check_dice")}


def _limits(arguments: argparse.Namespace) -> Limits:
    names = (field.name for field in fields(Limits))
    values = {name: getattr(arguments, name) for name in names}
    return Limits(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--head", required=True, help="resampled NCCT, HU")
    parser.add_argument("--brain-mask", required=True, help="brain mask on the grid of --head")
    for name in ("ncct", "mirrored", "difference", "brain"):
        parser.add_argument(f"--{name}", required=True, help="final image")
    parser.add_argument("--mri", help="registered MRI, 0 outside its brain")
    parser.add_argument("--lesion", help="final lesion mask")
    parser.add_argument("--to-template", required=True, help="affine from the NCCT to the CT template")
    for name in ("ingest", "brain", "contralateral"):
        parser.add_argument(f"--{name}-json", required=True)
    parser.add_argument("--registration-json", help="facts on the registration of the MRI")
    for field in fields(Limits):
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=float,
            required=True,
            nargs=2 if field.name == "brain_ml" else None,
        )
    parser.add_argument("--out", required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run(main)
