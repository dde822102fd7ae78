"""Convert one NCCT, DICOM folder or NIfTI file, to an upright NIfTI in HU with its acquired geometry beside it."""

import argparse
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.acquisition import describe
from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.dicom.series import MOST_TILT, Limits
from workflow_scripts.common.dicom.source import locate
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import write_json
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.volume import Volume, broken_forms, load_volume, other_affine, save_volume, to_ras
from workflow_scripts.ingest.dicom.choice import find_ncct
from workflow_scripts.ingest.dicom.plain import plain_images
from workflow_scripts.ingest.image.conversion import choose_output, convert, in_stack_order, plain_output
from workflow_scripts.ingest.image.drawn_on import dcm2niix_grids
from workflow_scripts.ingest.image.head_ct_check import WIDEST_GAP_MM, require_head_ct, require_head_size, require_near
from workflow_scripts.ingest.image.padding import without_padding
from workflow_scripts.ingest.image.plausible_slices import (
    require_like_tissue,
    require_smooth_values,
    require_whole_rows,
)
from workflow_scripts.ingest.image.sidecar import said_beside
from workflow_scripts.ingest.image.upright import place, straighten

log = logging.getLogger(__name__)

INT16 = np.iinfo(np.int16)
WHOLE_HEAD = "give a scan of the whole head."


def from_dicom(
    folder: Path, hu_floor: float, limits: Limits, number: int | None = None
) -> tuple[Volume, dict[str, Any]]:
    """Convert the best CT series below ``folder``, or the one whose SeriesNumber is ``number``.

    Returns the upright image (RAS+, HU) and its record: candidates and decisions, acquired geometry, how the image
    came to its place. No text of a header is in the record. Raises `InputError` for anything that is no CT series
    within ``limits``, and where several are equally good.
    """
    found, chosen, series_records = find_ncct(folder, limits, number)
    stack = chosen.stack
    require_head_size(stack.shape, [*_pixel_mm(stack), chosen.gap_mm], "NCCT", WIDEST_GAP_MM)
    require_near(stack.origins, "NCCT")
    own = chosen.own_rescale
    with plain_images(chosen.images, stack, rescaled=own is None) as files:
        outputs = convert(files)
        plain = plain_output(outputs, stack.shape).volume
        pixels = in_stack_order(stack, plain, files)
    output, output_records = choose_output(outputs, limits.min_slices)
    upright = output.volume
    if own is not None:
        upright, pixels = None, pixels * own[:, 0] + own[:, 1]
        require_like_tissue(pixels)
    grids = dcm2niix_grids(stack, pixels, [image.path for image in chosen.images])
    if (padding := chosen.padding_hu) is not None and padding > hu_floor:
        # Where slices were shifted to and fro, padding and tissue are mixed already.
        pixels = without_padding(pixels, padding, hu_floor)
        upright = Volume(without_padding(upright.data, padding, hu_floor), upright.affine) if stack.orthogonal else None
    require_smooth_values(pixels)
    require_whole_rows(pixels, _pixel_mm(stack))
    placed = place(stack, pixels, upright, hu_floor)
    log.info("Series %s, output %s, placed by %s.", chosen.number, output.label, placed.method)
    if chosen.kernel == "sharp":
        log.warning("Only a sharp kernel (bone) was found: noise and edges differ from those of a soft one.")
    if not_native := chosen.not_native:
        log.warning("The series is no native CT as acquired: %s.", ", ".join(not_native))
    if chosen.missing:
        log.warning("%d slices are missing; their neighbours stand for them.", chosen.missing)
    if chosen.lost:
        log.warning("%d files are damaged or unlike the others; slices may be missing at an end.", chosen.lost)
    return placed.volume, {
        "source": "dicom",
        "modality": "CT",
        "marks": sorted(set().union(*(image.marks for image in chosen.images))),
        "not_native": not_native,
        "gap_over_thickness": chosen.gap_over_thickness,
        "files_without_image": len(found.others),
        "damaged_files": len(found.damaged),
        "series": series_records,
        "outputs": output_records,
        "chosen": {"series": chosen.number, "output": output.label},
        "placement": {
            "method": placed.method,
            "difference_hu": round(placed.difference_hu, 3),
        },
        "slices": {
            "acquired": len(chosen.images),
            "missing": chosen.missing,
            "lost_at_the_ends": chosen.lost,
            "interpolated": not stack.equal_gaps,
            "straightened": not stack.orthogonal,
        },
        "dcm2niix_grids": grids,
        **describe(stack),
    }


def from_nifti(path: Path, hu_floor: float, limits: Limits) -> tuple[Volume, dict[str, Any]]:
    """Read an NCCT that is NIfTI already; slices that an affine with shear describes are shifted upright.

    Returns image (RAS+) and record like `from_dicom`; the acquired geometry is that of the file.
    """
    given = load_volume(path, given=True)
    other = other_affine(path)
    if given.data.shape[2] < 2:
        raise InputError(f"The NCCT has {given.data.shape[2]} slice.", "give a whole head.")
    stack = Stack.of_grid(given.data.shape, given.affine)
    first, second = (step / np.linalg.norm(step) for step in (stack.column_step, stack.row_step))
    if abs(first @ second) > 1e-3:
        raise InputError("The rows and columns of the NCCT are not perpendicular.", "give the DICOM images instead.")
    require_head_size(stack.shape, [*_pixel_mm(stack), stack.shares[0]], "NCCT", WIDEST_GAP_MM)
    require_near(stack.origins, "NCCT")
    if abs(stack.tilt_degrees) > MOST_TILT:
        raise InputError(
            f"The header of the NCCT leans its slices by {abs(stack.tilt_degrees):.0f} degrees, as no gantry does.",
            "give the DICOM images, or the image with its true geometry.",
        )
    require_smooth_values(given.data)
    require_whole_rows(given.data, _pixel_mm(stack))
    upright = to_ras(given) if stack.orthogonal else straighten(given, hu_floor)
    slices = upright.data.shape[2]
    if slices < limits.min_slices:
        raise InputError(f"The NCCT has {slices} slices, fewer than {limits.min_slices}.", WHOLE_HEAD)
    coverage = slices * upright.spacing[2]
    if coverage < limits.min_coverage_mm:
        raise InputError(
            f"The NCCT covers {coverage:.0f} mm from bottom to top, not a whole brain ({limits.min_coverage_mm:g} mm).",
            WHOLE_HEAD,
        )
    return upright, {
        "source": "nifti",
        "modality": "CT",
        "marks": [],
        "not_native": said_beside(path),
        "gap_over_thickness": None,
        "broken_forms": broken_forms(path),
        "slices": {
            "acquired": slices,
            "missing": 0,
            "lost_at_the_ends": 0,
            "interpolated": False,
            "straightened": not stack.orthogonal,
        },
        "other_affine": None if other is None else other.tolist(),
        "placement": {"method": "as given" if stack.orthogonal else "shifted here"},
        **describe(stack),
    }


def _pixel_mm(stack: Stack) -> list[float]:
    return [float(np.linalg.norm(step)) for step in (stack.column_step, stack.row_step)]


def pixel_digest(data: np.ndarray) -> str:
    """Return the SHA-256 of the voxels as 16-bit integers, little-endian, in array order (x slowest)."""
    return hashlib.sha256(np.ascontiguousarray(np.rint(data), dtype="<i2").tobytes()).hexdigest()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--input", type=Path, required=True, help="DICOM folder or NIfTI file")
    parser.add_argument("--stripped", action="store_true", help="the image came skull-stripped")
    parser.add_argument("--series", type=int, help="SeriesNumber of the wanted series; default: chosen by criteria")
    parser.add_argument("--hu-floor", type=float, required=True, help="lower values become this, HU")
    parser.add_argument("--min-slices", type=int, required=True, help="series with fewer are refused")
    parser.add_argument("--max-missing-slices", type=int, required=True, help="series that lack more are refused")
    parser.add_argument("--min-coverage-mm", type=float, required=True, help="shorter series are refused, mm")
    parser.add_argument("--out-image", type=Path, required=True, help="NIfTI to write")
    parser.add_argument("--out-record", type=Path, required=True, help="JSON to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the upright image and its record."""
    arguments = _parse(argv)
    limits = Limits(arguments.min_slices, arguments.max_missing_slices, arguments.min_coverage_mm)
    source = locate(arguments.input, "NCCT", "ncct")
    if source.is_dir():
        image, record = from_dicom(source, arguments.hu_floor, limits, arguments.series)
    elif arguments.series is None:
        image, record = from_nifti(source, arguments.hu_floor, limits)
    else:
        raise InputError(
            "A NIfTI file has no series to choose from.", "leave column ncct_series empty, or --series out."
        )
    require_head_ct(image, arguments.stripped)
    image = image.with_data(np.clip(image.data, arguments.hu_floor, INT16.max))
    whole = bool((image.data == np.rint(image.data)).all())
    save_volume(arguments.out_image, image, np.int16 if whole else np.float32)
    write_json(arguments.out_record, {**record, "pixel_digest": pixel_digest(image.data)})


if __name__ == "__main__":
    run(main, reads_headers=True)
