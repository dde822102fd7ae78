"""Write the picture of a new patient's result as a DICOM Secondary Capture on the study that the scan belongs to."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.dicom.series import Series
from workflow_scripts.ingest.dicom import objects

SOURCE = Code("121322", "DCM", "Source image for image processing operation")
DERIVATION = "Infarct segmentation by a research model. Research use only, not a medical device."
SERIES_NUMBER = 9002

log = logging.getLogger(__name__)


def capture(series: Series, picture: np.ndarray, algorithm: str, version: str) -> Dataset:
    """Make a Secondary Capture that belongs to the study of a CT series and names its images as the source.

    What is written into the pixels names no patient and no date, so BurnedInAnnotation is NO (PS3.3 C.7.6.1.1); the
    picture shows no face.

    Parameters
    ----------
    series
        its headers are read again, and patient and study go into the object as they stand there
    picture
        RGB, uint8 (row, column, 3)
    algorithm, version
        of the model
    """
    sources = objects.headers(series)
    made = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=sources[0],
        pixel_array=picture,
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "P"),
        series_instance_uid=hd.UID(),
        series_number=SERIES_NUMBER,
        series_description="Infarct report, research use only",
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=objects.MANUFACTURER,
        manufacturer_model_name=algorithm,
        software_versions=version,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    made.copy_patient_and_study_information(sources[0])
    made.PatientOrientation = None  # axial, coronal and sagittal slices side by side have none in common
    made.BodyPartExamined, made.ConversionType = "HEAD", "WSD"  # made on a workstation
    made.BurnedInAnnotation = made.RecognizableVisualFeatures = "NO"
    made.DerivationDescription = DERIVATION
    made.SourceImageSequence = [_reference(source) for source in sources]
    return made


def _reference(source: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [hd.sr.CodedConcept(*SOURCE)]
    return reference


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--picture", type=Path, required=True, help="RGB, uint8 (row, column, 3), .npy")
    objects.add_series(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Find the converted series again, hold it to its record, and write the picture into its study."""
    arguments = _parse(argv)
    series = objects.converted_series(arguments)
    picture = np.load(arguments.picture, allow_pickle=False)
    objects.write(lambda: capture(series, picture, arguments.algorithm, arguments.algorithm_version), arguments.out)
    log.info("%d × %d pixels", *picture.shape[:2])


if __name__ == "__main__":
    run(main, reads_headers=True)
