"""A small DICOM writer whose truth is a formula, independent of the code under test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

LPS = np.diag([-1.0, -1.0, 1.0])
SLOPE = np.array([0.3, 0.4, 0.2])  # HU/mm, RAS+
RADII = np.array([60.0, 75.0, 55.0])
CENTRE = np.array([2.0, -4.0, 60.0])


def inside_head(points: np.ndarray, margin_mm: float = 0.0) -> np.ndarray:
    """Points (…, 3), RAS+, mm: whether they are in the test head, an ellipsoid."""
    return (((points - CENTRE) / (RADII - margin_mm)) ** 2).sum(axis=-1) < 1


def head_hu(points: np.ndarray) -> np.ndarray:
    """HU of the test head: linear in the world coordinates, so that interpolation adds no error; air around."""
    return np.where(inside_head(points), 40 + (points - CENTRE) @ SLOPE, -1000.0)


@dataclass(frozen=True)
class Scan:
    """How a test series is acquired; DICOM coordinates LPS, mm."""

    tilt: float = 0.0
    gaps: tuple[float, ...] = (5.0,) * 23
    tag: bool = True
    sideways: bool = False
    frame: np.ndarray = field(default_factory=lambda: np.eye(3))  # the patient's posture: gantry to LPS
    downwards: bool = False
    rows: int = 80
    columns: int = 64
    pixel: tuple[float, float] = (2.5, 2.0)  # between rows, between columns
    modality: str = "CT"
    number: int = 3
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    values: Callable[[np.ndarray], np.ndarray] = head_hu
    fields: dict = field(default_factory=dict)

    @property
    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors along a row and along a column, LPS."""
        angle = np.radians(self.tilt)
        along_row, along_column = np.array([1.0, 0, 0]), np.array([0, np.cos(angle), np.sin(angle)])
        if self.sideways:
            along_row, along_column = np.array([np.cos(angle), 0, np.sin(angle)]), np.array([0, 1.0, 0])
        return self.frame @ along_row, self.frame @ along_column

    @property
    def origins(self) -> np.ndarray:
        heights = np.concatenate([[0], np.cumsum(self.gaps)])
        along_table = self.frame @ [0, 0, 1.0]
        middle = LPS @ CENTRE - along_table * heights[-1] / 2
        along_row, along_column = self.directions
        first = middle - along_row * self.pixel[1] * self.columns / 2 - along_column * self.pixel[0] * self.rows / 2
        return first + heights[:, None] * along_table

    def points(self, index: int) -> np.ndarray:
        """Pixel centres of one slice, RAS+, shape (rows, columns, 3)."""
        along_row, along_column = self.directions
        rows, columns = np.mgrid[: self.rows, : self.columns]
        offsets = columns[..., None] * along_row * self.pixel[1] + rows[..., None] * along_column * self.pixel[0]
        return (self.origins[index] + offsets) @ LPS

    @property
    def affine(self) -> np.ndarray:
        """(column, row, slice) to RAS+, from the mean gap."""
        along_row, along_column = self.directions
        affine = np.eye(4)
        affine[:3, 0] = LPS @ along_row * self.pixel[1]
        affine[:3, 1] = LPS @ along_column * self.pixel[0]
        affine[:3, 2] = LPS @ (self.origins[-1] - self.origins[0]) / len(self.gaps)
        affine[:3, 3] = LPS @ self.origins[0]
        return affine

    def drawn(self, shape: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Sample a function of points on the acquired pixels, shape (columns, rows, slices)."""
        return np.stack([shape(self.points(index)).T for index in range(len(self.origins))], axis=-1)


def _dataset(scan: Scan, index: int, series_uid: str) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage if scan.modality == "CT" else MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.Modality, image.Manufacturer, image.ImageType = scan.modality, "SIEMENS", list(scan.image_type)
    image.StudyInstanceUID = image.FrameOfReferenceUID = "1.2.3.4"
    image.SeriesInstanceUID = series_uid
    instance = len(scan.origins) - index if scan.downwards else index + 1
    image.SeriesNumber, image.InstanceNumber, image.AcquisitionNumber = scan.number, instance, 1
    image.StudyDate, image.AcquisitionTime, image.PatientPosition = "20200101", "101010", "HFS"
    along_row, along_column = scan.directions
    image.ImageOrientationPatient = [f"{value:.10f}" for value in (*along_row, *along_column)]
    image.ImagePositionPatient = [f"{value:.6f}" for value in scan.origins[index]]
    image.PixelSpacing, image.SliceThickness = list(scan.pixel), 5
    if scan.tag:
        image.GantryDetectorTilt = scan.tilt
    image.Rows, image.Columns = scan.rows, scan.columns
    image.RescaleSlope, image.RescaleIntercept = 1, -1024
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    stored = np.clip(np.rint(scan.values(scan.points(index))) + 1024, 0, None)
    image.PixelData = stored.astype("<u2").tobytes()
    for keyword, value in scan.fields.items():
        setattr(image, keyword, value)
    return image


def write_series(scan: Scan, folder: Path) -> Path:
    """Write a `Scan` as DICOM files, named in an order that is not theirs, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    series_uid = generate_uid()
    count = len(scan.origins)
    for index in range(count):
        name = f"IM{scan.number:02d}{(index * 7) % count:03d}{index:03d}"
        pydicom.dcmwrite(folder / name, _dataset(scan, index, series_uid), enforce_file_format=True)
    return folder


def write_enhanced(scan: Scan, path: Path, order: Sequence[int] | None = None) -> Path:
    """Write a `Scan` as one Enhanced CT object whose frames are stored in ``order``; return its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    slices = [_dataset(scan, index, "1.2.3.5") for index in range(len(scan.origins))]
    whole = slices[0]
    whole.file_meta.MediaStorageSOPClassUID = whole.SOPClassUID = EnhancedCTImageStorage
    shared = {
        "PixelMeasuresSequence": {"PixelSpacing": whole.PixelSpacing, "SliceThickness": 5},
        "PlaneOrientationSequence": {"ImageOrientationPatient": whole.ImageOrientationPatient},
        "PixelValueTransformationSequence": {"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"},
        "CTImageFrameTypeSequence": {"FrameType": list(scan.image_type)},
        "CTReconstructionSequence": {"ConvolutionKernel": "H31s"},
    }
    whole.SharedFunctionalGroupsSequence = [_groups(shared)]
    frames = list(order or range(len(slices)))
    whole.PerFrameFunctionalGroupsSequence = [
        _groups(
            {
                "PlanePositionSequence": {"ImagePositionPatient": slices[index].ImagePositionPatient},
                "FrameContentSequence": {"StackID": "1", "InStackPositionNumber": index + 1},
            }
        )
        for index in frames
    ]
    whole.NumberOfFrames = len(frames)
    whole.PixelData = b"".join(slices[index].PixelData for index in frames)
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(whole, keyword)
    pydicom.dcmwrite(path, whole, enforce_file_format=True)
    return path.parent


def _groups(content: dict[str, dict]) -> Dataset:
    groups = Dataset()
    for name, values in content.items():
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        setattr(groups, name, [item])
    return groups


def compress(folder: Path, syntax: str) -> Path:
    """Compress every image of a folder in place; the pixels stay the same."""
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        if syntax == RLELossless:
            image.compress(RLELossless, generate_instance_uid=False)
        else:
            pixels = image.pixel_array
            frames = pixels if pixels.ndim == 3 else pixels[None]
            image.PixelData = encapsulate([ENCODERS[syntax](np.ascontiguousarray(frame)) for frame in frames])
            image["PixelData"].is_undefined_length = True
            image.file_meta.TransferSyntaxUID = syntax
        image.save_as(path)
    return folder


ENCODERS = {
    JPEGLosslessSV1: lambda pixels: imagecodecs.ljpeg_encode(pixels, bitspersample=16),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda pixels: imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True),
}


def edit(folder: Path, change: Callable[[Dataset], object], every: bool = True) -> Path:
    """Change the header of every image of a folder, or of one in its middle."""
    paths = sorted(folder.iterdir())
    for path in paths if every else paths[len(paths) // 2 : len(paths) // 2 + 1]:
        image = pydicom.dcmread(path)
        change(image)
        image.save_as(path)
    return folder
