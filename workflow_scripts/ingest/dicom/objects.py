"""The DICOM series that a scan was converted from, read again for an object that refers to it."""

import argparse
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.dicom.files import DAMAGE, opened, quiet_pydicom, read_dataset
from workflow_scripts.common.dicom.series import Limits, Series
from workflow_scripts.common.dicom.source import locate
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, replacing
from workflow_scripts.ingest.dicom.choice import find_ncct

MANUFACTURER = "Stroke lesion segmentation workflow"
SAME_PLACE_MM = 0.01

# May be empty (type 2), not missing, and the last four have a form.
COPIED = {
    **dict.fromkeys(("PatientID", "PatientName", "AccessionNumber", "StudyID"), str),
    **{"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM, "PatientSex": hd.PatientSexValues},
}


def add_series(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the converted series, the model, and the DICOM file to write."""
    parser.add_argument("--input", type=Path, required=True, help="the DICOM folder that was converted")
    parser.add_argument("--series", type=int, help="SeriesNumber, where the case sheet names one")
    parser.add_argument("--record", type=Path, required=True, help="ncct.json of the case")
    parser.add_argument("--algorithm", required=True, help="name of the model")
    parser.add_argument("--algorithm-version", required=True)
    parser.add_argument("--min-slices", type=int, required=True)
    parser.add_argument("--max-missing-slices", type=int, required=True)
    parser.add_argument("--min-coverage-mm", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True, help="DICOM file")


def converted_series(arguments: argparse.Namespace) -> Series:
    """Find the converted series again; raises `InputError` where there is none, or its slices are not the recorded."""
    source = locate(arguments.input, "NCCT", "ncct")
    if not source.is_dir():
        raise InputError(
            "A DICOM object refers to a DICOM series, and the scan is a NIfTI file.",
            "give the DICOM folder; for a NIfTI file the mask is lesion.nii.gz.",
        )
    limits = Limits(arguments.min_slices, arguments.max_missing_slices, arguments.min_coverage_mm)
    _, chosen, _ = find_ncct(source, limits, arguments.series)
    stack, expected = chosen.stack, stack_of(read_json(arguments.record))
    if stack.shape != expected.shape or np.abs(stack.origins - expected.origins).max() > SAME_PLACE_MM:
        raise InputError("The DICOM series is not the one that was converted.", "run the conversion again.")
    return chosen


def headers(series: Series) -> list[Dataset]:
    """Read the images of a series whole, each file once.

    What identifies patient and study is emptied where it is missing or malformed.
    """
    return [_header(path) for path in dict.fromkeys(image.path for image in series.images)]


def write(make: Callable[[], Dataset], path: Path) -> Dataset:
    """Write the object that ``make`` returns; raises `InputError` where the headers lack what it refers to."""
    try:
        with quiet_pydicom(), replacing(path) as temporary:
            made = make()
            made.save_as(temporary)
    except DAMAGE:  # without its words, which quote the header
        raise InputError(
            "The headers of the DICOM series lack what a DICOM object on it refers to.",
            "export the images again with the identifiers of study, series and frame of reference.",
        ) from None
    return made


def _header(path: Path) -> Dataset:
    with opened(path) as file:
        image = read_dataset(file)
    for keyword, form in COPIED.items():
        try:
            form(image.get(keyword) or "")
        except ValueError:
            image[keyword] = DataElement(keyword, dictionary_VR(keyword), None)
        else:
            image.setdefault(keyword, None)
    return image
