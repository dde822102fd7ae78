"""The CT series of a folder as ingest will take them, so that a mask made here lies on the slices that it reads."""

from pathlib import Path

import numpy as np
from pydicom.pixels import apply_rescale

from workflow_scripts.common.dicom.files import opened, quiet_pydicom, read_dataset
from workflow_scripts.common.dicom.grouping import find_series
from workflow_scripts.common.dicom.headers import Image, read_images
from workflow_scripts.common.dicom.series import Limits, Series, judge
from workflow_scripts.common.errors import InputError

# What a whole head must have is for ingest to say, which knows the study's settings; here a stack is enough.
ANY_STACK = Limits(min_slices=2, max_missing_slices=10_000, min_coverage_mm=0)
PIXEL_ERRORS = (AttributeError, EOFError, KeyError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError)


def ct_stacks(folder: Path) -> list[Series]:
    """Return the CT series below a folder that are stacks of slices, each with its ``stack``.

    Raises `InputError` where there is none, or the images are of two patients.
    """
    groups = find_series(read_images(folder), "CT", ANY_STACK.min_slices)
    series = [judge(group, "CT", ANY_STACK) for group in groups]
    if all(one.refusal for one in series):
        reasons = "; ".join(f"series {one.number}: {one.refusal.reason}" for one in series)
        raise InputError(f"No CT series is a stack of slices ({reasons}).", series[0].refusal.remedy)
    return [one for one in series if not one.refusal]


def hounsfield(series: Series) -> np.ndarray:
    """Return the pixels of a series in HU, shape (columns, rows, slices); raises `InputError` for damaged ones."""
    return np.stack([_pixels(image).T for image in series.images], axis=-1)


def _pixels(image: Image) -> np.ndarray:
    try:
        with quiet_pydicom(), opened(image.path) as file:
            header = read_dataset(file)
            pixels = np.asarray(apply_rescale(header.pixel_array, header), np.float32)
    except PIXEL_ERRORS:
        # Without its cause: the text of a decoder may quote the header.
        raise InputError("The pixels of a DICOM image cannot be read.", "copy or download the files again.") from None
    if pixels.shape != image.size[::-1]:
        raise InputError("A DICOM image is not one slice in grey.", "get the original images.")
    return pixels
