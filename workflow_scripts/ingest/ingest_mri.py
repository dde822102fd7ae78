"""Convert one DWI or ADC map, DICOM folder or NIfTI file, to NIfTI, with a record of what was chosen."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.dicom.diffusion import LEAST_B
from workflow_scripts.common.dicom.files import readable_copies
from workflow_scripts.common.dicom.grouping import find_series
from workflow_scripts.common.dicom.headers import read_images
from workflow_scripts.common.dicom.source import locate
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import write_json
from workflow_scripts.common.nifti import read_nifti
from workflow_scripts.common.volume import COPY_AGAIN, Volume, broken_forms, orientation, save_volume, to_ras
from workflow_scripts.ingest.dicom.mr_choice import choose_mr
from workflow_scripts.ingest.image.conversion import convert, read_b_values
from workflow_scripts.ingest.image.head_ct_check import require_head_size, require_near

log = logging.getLogger(__name__)

WIDEST_GAP_MM = 25.0
ADC_UNITS = ((0.1, 1e6), (20.0, 1e3))  # below these mm²/s and µm²/ms: water has 0.003 or 3, and 3000 in 1e-6 mm²/s
NEGATIVE, MOST_NEGATIVE = -0.1, 0.2  # of the largest value; share of the voxels without their commonest value
PERPENDICULAR = 1e-3  # cosine


def from_dicom(
    folder: Path, modality: str, min_slices: int, max_missing: int, volume: int | None
) -> tuple[Volume, dict[str, Any]]:
    """Convert the MR series of ``modality`` (dwi or adc) below ``folder``; array (x, y, z).

    Of several b-values the mean of the volumes with the highest one is returned, unless ``volume``, from 1, names
    one. Raises `InputError` when there is no such series, several are equally good, or it repeats without b-values.
    """
    found = read_images(folder)
    groups = find_series(found, "MR", min_slices)
    chosen, records = choose_mr(groups, found.damaged, modality, min_slices, max_missing)
    images = chosen.images if volume else chosen.highest_b
    first = images[0]
    if not first.mosaic:
        extent = chosen.extent_mm
        require_head_size((*first.size, 1), (*first.spacing[::-1], extent), modality.upper(), np.inf)
    with readable_copies([image.path for image in images]) as files:
        outputs = [output for output in convert(files) if not output.untilted]
    best = max(outputs, key=lambda output: (output.equalised, output.volume.data.size))
    if not first.mosaic and best.volume.data.ndim == 3 and chosen.slices < len(images):
        raise InputError(
            "Several images of the MRI lie at one position.", "put the images of one volume into a folder of their own."
        )
    b_values = best.b_values or ((chosen.b_values[-1],) * _volumes(best.volume.data) if chosen.b_values else ())
    if images is chosen.highest_b and len(images) < len(chosen.images):
        b_values = (chosen.b_values[-1],) * _volumes(best.volume.data)
    if modality == "adc":
        b_values = ()
    return Volume(single_volume(best.volume.data, b_values, volume), best.volume.affine), {
        "source": "dicom",
        "modality": "MR",
        "marks": sorted(set().union(*(image.marks for image in chosen.images))),
        "series": records,
        "chosen": {"series": chosen.number, "b_value": chosen.b_values[-1] if chosen.b_values else None},
        "slices": {"acquired": chosen.slices, "missing": chosen.missing, "lost_at_the_ends": chosen.lost},
    }


def from_nifti(path: Path, modality: str, volume: int | None) -> tuple[Volume, dict[str, Any]]:
    """Read an MRI that is NIfTI already; the b-values of a 4-D DWI stand in the .bval file beside it."""
    header, data = read_nifti(path, COPY_AGAIN)
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim not in (3, 4):
        raise InputError(f"{path.name} has {data.ndim} dimensions {data.shape}.", "give one 3-D volume.")
    if not np.isfinite(data).all():
        raise InputError(f"{path.name} holds NaN or infinite values.", "export the image again or correct them.")
    affine, _ = orientation(header, path.name)
    data = single_volume(data, _sidecar(path) if modality == "dwi" else (), volume)
    record = {"source": "nifti", "modality": "MR", "marks": [], "broken_forms": broken_forms(path)}
    return Volume(data.astype(np.float32), affine), record


def _sidecar(path: Path) -> tuple[float, ...]:
    return read_b_values(path.with_name(path.name[: path.name.lower().index(".nii")] + ".bval"))


def _volumes(data: np.ndarray) -> int:
    return data.shape[3] if data.ndim == 4 else 1


def single_volume(data: np.ndarray, b_values: Sequence[float], volume: int | None) -> np.ndarray:
    """Return the one volume of a series, the one named (from 1), or the mean over those with the highest b-value."""
    count = _volumes(data)
    if data.ndim == 3 and volume in (None, 1):
        return data
    if volume is not None:
        if not 1 <= volume <= count:
            raise InputError(f"The MRI has {count} volumes, no number {volume}.", "correct column mri_volume.")
        return data[..., volume - 1]
    if data.ndim != 4 or len(b_values) != count:
        raise InputError(
            f"The MRI holds {count} volumes and does not say their b-values.",
            "write the number of the right volume, from 1, into column mri_volume of the case sheet.",
        )
    if max(b_values) < LEAST_B:
        raise InputError(f"The MRI has b-values of {max(b_values):g} s/mm2 at most, no DWI.", "give the DWI.")
    highest = np.array(b_values) == max(b_values)
    log.info("Mean of %d volumes with b = %g s/mm2 of %d.", highest.sum(), max(b_values), count)
    return data[..., highest].mean(axis=-1)


def require_mri(image: Volume, name: str, min_slices: int) -> None:
    """Raise `InputError` unless an image, RAS+, has the size of a head, perpendicular axes, slices and contrast."""
    if image.data.shape[2] < min_slices:
        raise InputError(
            f"The {name} has {image.data.shape[2]} slices, fewer than {min_slices}.", "give the full series."
        )
    require_head_size(image.data.shape, image.spacing, name, WIDEST_GAP_MM)
    require_near(image.affine[:3, 3], name)
    axes = image.affine[:3, :3] / image.spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > PERPENDICULAR:
        raise InputError(
            f"The header of the {name} shears the image, as an affine registration does.",
            "give the image as acquired, or resample it on a grid with perpendicular axes.",
        )
    if not np.isfinite(image.data).all() or image.data.min() == image.data.max():
        raise InputError(f"The {name} has one value everywhere, or NaN.", "export the image again.")
    if _negative_share(image.data) > MOST_NEGATIVE:
        raise InputError(
            f"The values of the {name} are far below 0 in places, as in a CT.",
            "give the MRI, in the units of the scanner.",
        )


def _negative_share(data: np.ndarray) -> float:
    """Return the share of voxels far below 0, without those of the commonest value, which fills what was stripped."""
    values, counts = np.unique(data, return_counts=True)
    inside = data[data != values[counts.argmax()]]
    return float((inside < NEGATIVE * np.abs(data).max()).mean()) if inside.size else 0.0


def usual_units(highest: float) -> float:
    """Return the factor that brings an ADC to 1e-6 mm²/s, by its highest value; raises `InputError` for no ADC."""
    if highest <= 0:
        raise InputError("The ADC has no value above 0.", "give the ADC map as the scanner computed it.")
    factor = next((factor for below, factor in ADC_UNITS if highest < below), 1.0)
    if factor > 1:
        log.info("The ADC is written in 1e-6 mm2/s, %g times the values given.", factor)
    return factor


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--modality", choices=["dwi", "adc"], required=True)
    parser.add_argument("--input", type=Path, required=True, help="DICOM folder or NIfTI file")
    parser.add_argument("--min-slices", type=int, required=True, help="series with fewer are refused")
    parser.add_argument("--max-missing-slices", type=int, required=True, help="series that lack more are refused")
    parser.add_argument("--volume", type=int, help="which volume of a 4-D image, from 1; default: highest b-value")
    parser.add_argument("--out-image", type=Path, required=True, help="NIfTI to write")
    parser.add_argument("--out-record", type=Path, required=True, help="JSON to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the image and its record."""
    arguments = _parse(argv)
    name = arguments.modality.upper()
    source = locate(arguments.input, name, "mri")
    if source.is_dir():
        limits = (arguments.min_slices, arguments.max_missing_slices)
        read, record = from_dicom(source, arguments.modality, *limits, arguments.volume)
    else:
        read, record = from_nifti(source, arguments.modality, arguments.volume)
    image = to_ras(read)
    require_mri(image, name, arguments.min_slices)
    if arguments.modality == "adc":
        image = image.with_data(image.data * usual_units(float(image.data.max())))
    save_volume(arguments.out_image, image, np.float32)
    write_json(arguments.out_record, record)


if __name__ == "__main__":
    run(main, reads_headers=True)
