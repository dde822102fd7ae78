"""Convert one DWI or ADC map, DICOM folder or NIfTI file, to NIfTI."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, load_volume, save_volume, to_ras
from workflow_scripts.ingest.dicom.headers import Image, read_images
from workflow_scripts.ingest.dicom.series import find_series
from workflow_scripts.ingest.dicom.source import locate
from workflow_scripts.ingest.image.conversion import Output, convert

log = logging.getLogger(__name__)


def from_dicom(folder: Path, modality: str, min_slices: int) -> Volume:
    """Convert the MR series of ``modality`` (dwi or adc) below ``folder``; array (x, y, z), RAS+.

    A series whose ImageType calls it an ADC map is taken for ADC and never for DWI; of those left, the one with most
    images. Of a diffusion series with several b-values the mean of the volumes with the highest one is returned.
    Raises `InputError` when there is no MR series, several are equally good, or it repeats without b-values.
    """
    images, _ = read_images(folder)
    found = [group for group in find_series(images, "MR") if group[0].modality == "MR" and not group[0].scout]
    maps = [group for group in found if group[0].adc_map]
    right = (maps or found) if modality == "adc" else [group for group in found if not group[0].adc_map]
    if not right:
        raise InputError(
            f"The DICOM folder holds no {modality.upper()} series, only localizers or ADC maps.",
            "name the folder of the right series in column mri.",
        )
    most = max(len(group) for group in right)
    if most < min_slices:
        raise InputError(f"The MRI has {most} images, fewer than {min_slices}.", "give the full series.")
    largest = [group for group in right if len(group) == most]
    if len(largest) > 1:
        numbers = " and ".join(str(group[0].number) for group in largest)
        raise InputError(
            f"MR series {numbers} are equally good ({most} images each).",
            "put the images of the right one into a folder of their own.",
        )
    chosen = largest[0]
    _require_whole(chosen)
    outputs = [output for output in convert(list(dict.fromkeys(image.path for image in chosen))) if not output.untilted]
    best = max(outputs, key=lambda output: (output.equalised, output.volume.data.size))
    if best.volume.data.ndim == 3 and len({tuple(image.position.round(2)) for image in chosen}) < most:
        raise InputError(
            "Several images of the MRI lie at one position.", "put the images of one volume into a folder of their own."
        )
    return single_volume(best)


def _require_whole(images: Sequence[Image]) -> None:
    """Raise `InputError` when files are cut off, or say not where their pixels lie."""
    cut_off = sum(not image.complete for image in images)
    if cut_off:
        raise InputError(f"{cut_off} of {len(images)} images of the MRI are cut off.", "copy the files again.")
    if any(value is None for image in images for value in (image.position, image.orientation, image.spacing)):
        raise InputError(
            "Position, orientation or pixel spacing is missing in some images of the MRI.",
            "export the original images with their geometry.",
        )


def single_volume(output: Output) -> Volume:
    """Return the one volume of a series, or the mean over those with the highest b-value."""
    volume = output.volume
    if volume.data.ndim == 3:
        return volume
    if volume.data.ndim != 4 or len(output.b_values) != volume.data.shape[3]:
        raise InputError(
            f"The MRI series makes an image of shape {volume.data.shape}, which is not one volume.",
            "give a folder with the one series that is wanted, or a 3-D NIfTI file.",
        )
    b_values = np.array(output.b_values)
    highest = b_values == b_values.max()
    log.info("Mean of %d volumes with b = %g s/mm2 of %d.", highest.sum(), b_values.max(), len(b_values))
    return Volume(volume.data[..., highest].mean(axis=-1), volume.affine)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--modality", choices=["dwi", "adc"], required=True)
    parser.add_argument("--input", type=Path, required=True, help="DICOM folder or NIfTI file")
    parser.add_argument("--min-slices", type=int, required=True, help="series with fewer are refused")
    parser.add_argument("--image", type=Path, required=True, help="NIfTI to write")
    arguments = parser.parse_args(argv)
    name = arguments.modality.upper()
    source = locate(arguments.input, name, "mri")
    folder = source.is_dir()
    read = from_dicom(source, arguments.modality, arguments.min_slices) if folder else load_volume(source)
    image = to_ras(read)
    if image.data.shape[2] < arguments.min_slices:
        raise InputError(
            f"The {name} has {image.data.shape[2]} slices, fewer than {arguments.min_slices}.", "give the full series."
        )
    if not np.isfinite(image.data).all() or image.data.min() == image.data.max():
        raise InputError(f"The {name} has one value everywhere, or NaN.", "export the image again.")
    save_volume(arguments.image, image, np.float32)


if __name__ == "__main__":
    run(main)
