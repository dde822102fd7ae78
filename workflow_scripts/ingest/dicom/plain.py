"""Images written anew, so that dcm2niix sees pixels and geometry and nothing else."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from workflow_scripts.common.dicom.files import DAMAGE, opened, quiet_pydicom, read_dataset
from workflow_scripts.common.dicom.headers import Image
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.stack import Stack

LEAST_TILT = 0.01  # degrees


@contextmanager
def plain_images(images: Sequence[Image], stack: Stack, rescaled: bool = True) -> Iterator[list[Path]]:
    """Yield one classic CT image an image of a stack, in their order, in a temporary folder.

    Their values are HU where ``rescaled``, else as stored.

    Identifiers that are missing, shared or one a slice, acquisitions that repeat, fragments, deflated or bare data
    sets, and frames in any order lead dcm2niix astray; none of them is left. Nothing of the patient is either. Pixels
    stay compressed as they are, where they are compressed.
    """
    with tempfile.TemporaryDirectory() as folder:
        with quiet_pydicom():
            try:
                paths = _write(images, Path(folder), stack.tilt_degrees, rescaled)
            except DAMAGE:
                raise InputError("The pixels of the DICOM series cannot be read.", "copy the files again.") from None
        yield paths


def _write(images: Sequence[Image], folder: Path, tilt: float, rescaled: bool) -> list[Path]:
    paths = [folder / f"{index:05d}.dcm" for index in range(len(images))]
    series, study = generate_uid(), generate_uid()
    for source in {image.path: None for image in images}:
        with opened(source) as file:
            whole = read_dataset(file)
        frames = _frames(whole)
        for index, image in enumerate(images):
            if image.path == source:
                written = _classic(whole, image, index + 1, rescaled)
                written.SeriesInstanceUID, written.StudyInstanceUID = series, study
                if abs(tilt) > LEAST_TILT:
                    written.GantryDetectorTilt = _decimal(tilt)
                _set_pixels(written, frames[image.frame or 0])
                written.save_as(paths[index], enforce_file_format=True)
    return paths


def _frames(whole: Dataset) -> list[bytes]:
    count = int(whole.get("NumberOfFrames") or 1)
    if whole.file_meta.TransferSyntaxUID.is_encapsulated:
        return list(generate_frames(whole.PixelData, number_of_frames=count))
    length = int(whole.Rows) * int(whole.Columns) * int(whole.BitsAllocated) // 8
    return [whole.PixelData[index * length : (index + 1) * length] for index in range(count)]


def _classic(whole: Dataset, image: Image, instance: int, rescaled: bool) -> Dataset:
    """Return the header of one slice: pixel format, rescaling and geometry."""
    frame = Dataset()
    frame.file_meta = FileMetaDataset()
    syntax = whole.file_meta.TransferSyntaxUID
    kept = syntax.is_encapsulated or not syntax.is_little_endian
    frame.file_meta.TransferSyntaxUID = syntax if kept else ExplicitVRLittleEndian
    frame.file_meta.MediaStorageSOPClassUID = frame.SOPClassUID = CTImageStorage
    frame.file_meta.MediaStorageSOPInstanceUID = frame.SOPInstanceUID = generate_uid()
    frame.Modality, frame.SeriesNumber, frame.InstanceNumber = "CT", 1, instance
    frame.AcquisitionNumber = 1
    frame.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    frame.Rows, frame.Columns = whole.Rows, whole.Columns
    frame.SamplesPerPixel, frame.PhotometricInterpretation = 1, "MONOCHROME2"
    frame.BitsAllocated, frame.BitsStored, frame.HighBit = image.depth
    frame.PixelRepresentation = whole.get("PixelRepresentation", 0)
    frame.ImagePositionPatient = [_decimal(value) for value in image.position]
    frame.ImageOrientationPatient = [_decimal(value) for value in image.orientation]
    frame.PixelSpacing = [_decimal(value) for value in image.spacing]
    slope, intercept = image.rescale if rescaled else (1, 0)
    frame.RescaleSlope = _decimal(1 if slope is None else slope)
    frame.RescaleIntercept = _decimal(0 if intercept is None else intercept)
    return frame


def _set_pixels(frame: Dataset, pixels: bytes) -> None:
    compressed = frame.file_meta.TransferSyntaxUID.is_encapsulated
    frame.PixelData = encapsulate([pixels]) if compressed else pixels
    frame["PixelData"].VR = "OB" if compressed else "OW"
    frame["PixelData"].is_undefined_length = compressed


def _decimal(value: float) -> str:
    """Text of a DICOM decimal string: at most 16 characters."""
    return f"{value:.9g}"
