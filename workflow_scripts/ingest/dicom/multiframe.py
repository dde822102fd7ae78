"""Multi-frame objects taken apart, so that every slice has a file of its own."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import CTImageStorage, generate_uid

from workflow_scripts.ingest.dicom.headers import Image, quiet_pydicom

PIXELS = ["Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"]
PIXELS += ["BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"]


@contextmanager
def single_frames(images: Sequence[Image]) -> Iterator[list[Path]]:
    """Yield one file an image, in their order: its own, or a classic CT image written to a temporary folder.

    dcm2niix takes the gaps of an enhanced object from its first and last frame as they are stored and equalises no
    others, so frames in any other order come out misplaced. The written images say nothing of the patient; pixels
    stay compressed as they are.
    """
    with tempfile.TemporaryDirectory() as folder:
        with quiet_pydicom():
            written = _write_frames(images, Path(folder))
        yield [image.path if image.frame is None else path for image, path in zip(images, written, strict=True)]


def _write_frames(images: Sequence[Image], folder: Path) -> list[Path]:
    paths = [folder / f"{index:05d}.dcm" for index in range(len(images))]
    series, study = generate_uid(), generate_uid()
    for source in {image.path: None for image in images if image.frame is not None}:
        whole = pydicom.dcmread(source)
        pixels = _frames(whole)
        for index, image in enumerate(images):
            if image.path == source:
                frame = _classic(whole, image, index + 1)
                frame.SeriesInstanceUID, frame.StudyInstanceUID = series, study
                _set_pixels(frame, pixels[image.frame])
                frame.save_as(paths[index], enforce_file_format=True)
    return paths


def _frames(whole: Dataset) -> list[bytes]:
    count = int(whole.get("NumberOfFrames") or 1)
    if whole.file_meta.TransferSyntaxUID.is_encapsulated:
        return list(generate_frames(whole.PixelData, number_of_frames=count))
    length = int(whole.Rows) * int(whole.Columns) * int(whole.BitsAllocated) // 8
    return [whole.PixelData[index * length : (index + 1) * length] for index in range(count)]


def _classic(whole: Dataset, image: Image, instance: int) -> Dataset:
    """Return the header of one slice: pixel format, rescaling and geometry."""
    frame = Dataset()
    frame.file_meta = FileMetaDataset()
    frame.file_meta.TransferSyntaxUID = whole.file_meta.TransferSyntaxUID
    frame.file_meta.MediaStorageSOPClassUID = frame.SOPClassUID = CTImageStorage
    frame.file_meta.MediaStorageSOPInstanceUID = frame.SOPInstanceUID = generate_uid()
    frame.Modality, frame.SeriesNumber, frame.InstanceNumber = image.modality, 1, instance
    frame.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    for keyword in PIXELS:
        frame[keyword] = whole[keyword]
    frame.ImagePositionPatient = [_decimal(value) for value in image.position]
    frame.ImageOrientationPatient = [_decimal(value) for value in image.orientation]
    frame.PixelSpacing = [_decimal(value) for value in image.spacing]
    frame.RescaleSlope, frame.RescaleIntercept = map(_decimal, image.rescale)
    return frame


def _set_pixels(frame: Dataset, pixels: bytes) -> None:
    compressed = frame.file_meta.TransferSyntaxUID.is_encapsulated
    frame.PixelData = encapsulate([pixels]) if compressed else pixels
    frame["PixelData"].VR = "OB" if compressed else "OW"
    frame["PixelData"].is_undefined_length = compressed


def _decimal(value: float) -> str:
    """Text of a DICOM decimal string: at most 16 characters."""
    return f"{value:.9g}"
