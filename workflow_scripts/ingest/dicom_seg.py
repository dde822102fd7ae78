"""Write a lesion mask as a DICOM Segmentation object that refers to the series it was made from."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import DS

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.dicom.series import Series
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.volume import load_volume
from workflow_scripts.ingest.dicom import objects

CATEGORY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
INFARCT = Code("55641003", "SCT", "Infarct")
BRAIN = Code("12738006", "SCT", "Brain")
FAMILY = Code("123109", "DCM", "Artificial Intelligence")
SERIES_NUMBER = 9001

log = logging.getLogger(__name__)


def segmentation(series: Series, mask: np.ndarray, algorithm: str, version: str) -> Dataset:
    """Make a binary Segmentation of one segment, brain infarct, on the slices of a CT series.

    Each frame says where its own slice lies, so a tilted gantry and unequal gaps are exact. Slices without lesion
    have no frame, unless none has one.

    Parameters
    ----------
    series
        its headers are read again, and patient and study go into the object as they stand there
    mask
        (column, row, slice), 0 and 1, in the order of the images of ``series``
    algorithm, version
        of the model that drew it
    """
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
    made = hd.seg.Segmentation(
        source_images=objects.headers(series),
        pixel_array=np.ascontiguousarray(mask.transpose(2, 1, 0)).astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=hd.UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer=objects.MANUFACTURER,
        manufacturer_model_name=algorithm,
        software_versions=version,
        device_serial_number="0",
        content_label="INFARCT",
        content_description="Infarct, research use only",
        series_description="Infarct segmentation, research use only",
        plane_positions=[
            hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, [float(value) for value in image.position])
            for image in series.images
        ],
    )
    made.setdefault("ContentCreatorName", None)  # type 2, which highdicom leaves out
    set_spacing(made, series.stack)
    return made


def set_spacing(made: Dataset, stack: Stack) -> None:
    """State the distance between slices along their normal (PS3.3 C.7.6.16.2.1), and none where the gaps differ.

    What highdicom copies from the series is often the distance along the table.
    """
    measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if stack.equal_gaps:
        measures.SpacingBetweenSlices = DS(stack.heights[-1] / (len(stack.origins) - 1), auto_format=True)
    else:
        measures.pop("SpacingBetweenSlices", None)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--lesion", type=Path, required=True, help="mask on the acquired slices")
    objects.add_series(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Find the converted series again, hold it to its record, and write the mask on its slices."""
    arguments = _parse(argv)
    series = objects.converted_series(arguments)
    mask = load_volume(arguments.lesion, np.uint8).data
    if mask.shape != series.stack.shape:
        raise InputError("The mask is not on the slices of the DICOM series.", "segment the scan again.")
    made = objects.write(
        lambda: segmentation(series, mask, arguments.algorithm, arguments.algorithm_version), arguments.out
    )
    log.info("%d frames on %d slices", int(made.NumberOfFrames), len(series.images))


if __name__ == "__main__":
    run(main, reads_headers=True)
