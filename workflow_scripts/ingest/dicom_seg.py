"""Write a lesion mask as a DICOM Segmentation object that refers to the series it was made from."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import DA, TM

from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.dicom.files import DAMAGE, opened, quiet_pydicom, read_dataset
from workflow_scripts.common.dicom.headers import Image
from workflow_scripts.common.dicom.series import Limits
from workflow_scripts.common.dicom.source import locate
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, replacing
from workflow_scripts.common.volume import load_volume
from workflow_scripts.ingest.dicom.choice import find_ncct

CATEGORY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
INFARCT = Code("55641003", "SCT", "Infarct")
BRAIN = Code("12738006", "SCT", "Brain")
FAMILY = Code("123109", "DCM", "Artificial Intelligence")
SERIES_NUMBER = 9001
SAME_PLACE_MM = 0.01

# May be empty (type 2), not missing, and the last four have a form.
COPIED = {
    **dict.fromkeys(("PatientID", "PatientName", "AccessionNumber", "StudyID"), str),
    **{"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM, "PatientSex": hd.PatientSexValues},
}

log = logging.getLogger(__name__)


def segmentation(images: Sequence[Image], mask: np.ndarray, algorithm: str, version: str) -> Dataset:
    """Make a binary Segmentation of one segment, brain infarct, on the slices of a CT series.

    Each frame says where its own slice lies, so a tilted gantry and unequal gaps are exact. Slices without lesion
    have no frame, unless none has one.

    Parameters
    ----------
    images
        the series, sorted; their headers are read again, and patient and study go into the object as they stand there
    mask
        (column, row, slice), 0 and 1, in the order of ``images``
    algorithm, version
        of the model that drew it
    """
    with quiet_pydicom():
        sources = [_source(path) for path in dict.fromkeys(image.path for image in images)]
        uid = hd.UID()
        description = hd.seg.SegmentDescription(
            segment_number=1,
            segment_label="Infarct",
            segmented_property_category=CATEGORY,
            segmented_property_type=INFARCT,
            anatomic_regions=[BRAIN],
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=hd.AlgorithmIdentificationSequence(name=algorithm, version=version, family=FAMILY),
            tracking_uid=hd.UID(),
            tracking_id=f"Infarct {uid}"[:64],
        )
        return hd.seg.Segmentation(
            source_images=sources,
            pixel_array=np.ascontiguousarray(mask.transpose(2, 1, 0)).astype(np.uint8),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[description],
            series_instance_uid=hd.UID(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=uid,
            instance_number=1,
            manufacturer="Stroke lesion segmentation workflow",
            manufacturer_model_name=algorithm,
            software_versions=version,
            device_serial_number="0",
            content_label="INFARCT",
            content_description="Infarct, research use only",
            series_description="Infarct segmentation, research use only",
            plane_positions=[
                hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, [float(value) for value in image.position])
                for image in images
            ],
        )


def _source(path: Path) -> Dataset:
    """Read an image; what identifies patient and study is emptied where it is missing or malformed."""
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


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--input", type=Path, required=True, help="the DICOM folder that was converted")
    parser.add_argument("--series", type=int, help="SeriesNumber, where the case sheet names one")
    parser.add_argument("--record", type=Path, required=True, help="ncct.json of the case")
    parser.add_argument("--lesion", type=Path, required=True, help="mask on the acquired slices")
    parser.add_argument("--algorithm", required=True, help="name of the model")
    parser.add_argument("--algorithm-version", required=True)
    parser.add_argument("--min-slices", type=int, required=True)
    parser.add_argument("--max-missing-slices", type=int, required=True)
    parser.add_argument("--min-coverage-mm", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True, help="DICOM file")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Find the converted series again, hold it to its record, and write the mask on its slices."""
    arguments = _parse(argv)
    source = locate(arguments.input, "NCCT", "ncct")
    if not source.is_dir():
        raise InputError(
            "A DICOM Segmentation refers to a DICOM series, and the scan is a NIfTI file.",
            "give the DICOM folder; for a NIfTI file the mask is lesion.nii.gz.",
        )
    limits = Limits(arguments.min_slices, arguments.max_missing_slices, arguments.min_coverage_mm)
    _, chosen, _ = find_ncct(source, limits, arguments.series)
    stack, expected = chosen.stack, stack_of(read_json(arguments.record))
    mask = load_volume(arguments.lesion, np.uint8).data
    same = stack.shape == expected.shape == mask.shape
    if not same or np.abs(stack.origins - expected.origins).max() > SAME_PLACE_MM:
        raise InputError("The DICOM series is not the one that was converted.", "run the conversion again.")
    try:
        made = segmentation(chosen.images, mask, arguments.algorithm, arguments.algorithm_version)
    except DAMAGE:  # without its words, which quote the header
        raise InputError(
            "The headers of the DICOM series lack what a DICOM Segmentation refers to.",
            "export the images again with the identifiers of study, series and frame of reference.",
        ) from None
    with replacing(arguments.out) as temporary:
        made.save_as(temporary)
    log.info("%d frames on %d slices", int(made.NumberOfFrames), len(chosen.images))


if __name__ == "__main__":
    run(main, reads_headers=True)
