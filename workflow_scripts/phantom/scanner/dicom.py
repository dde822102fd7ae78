"""DICOM series as scanners write them, with a planted patient."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from workflow_scripts.common.volume import Volume
from workflow_scripts.phantom.scanner.acquisition import LPS_RAS

UID_ROOT = "1.2.826.0.1.3680043.8.498."
INTERCEPT_HU = -1024
# Nobody's data. A test that finds one of these strings in a result has found a leak of header fields.
PLANTED = {
    "PatientName": "PHANTOM^DO NOT COPY",
    "PatientBirthDate": "19010203",
    "PatientSex": "O",
    "PatientAddress": "1 PLANTED ADDRESS STREET",
    "PatientTelephoneNumbers": "PLANTED-555-0100",
    "OtherPatientIDs": "PLANTED-OTHER-ID",
    "ReferringPhysicianName": "PLANTED^REFERRER",
    "InstitutionName": "PLANTED HOSPITAL",
    "AccessionNumber": "PLANTEDACC",
    "StudyDate": "20010203",
    "SeriesDate": "20010203",
    "AcquisitionDate": "20010203",
    "ContentDate": "20010203",
}


@dataclass(frozen=True)
class Series:
    """What a series says about itself; all identifiers derive from ``key`` and ``patient``."""

    key: str
    patient: str
    modality: str
    description: str
    number: int
    tilt_degrees: float = 0.0
    signed: bool = False
    downwards: bool = False


def write_series(folder: Path, volume: Volume, series: Series) -> None:
    """Write one file a slice into an existing folder.

    ``volume`` has the axes (column, row, slice) and may be sheared; CT is in HU (stored with intercept −1024), MRI in
    stored values. ``downwards`` numbers the slices from the top of the head.
    """
    lps = LPS_RAS @ volume.affine
    base = _base(series, volume)
    stored = np.rint(volume.data) - (INTERCEPT_HU if series.modality == "CT" else 0)
    stored = stored.astype(np.int16) if series.signed else np.clip(stored, 0, 4095).astype(np.uint16)
    count = stored.shape[2]
    for index in range(count):
        number = count - index if series.downwards else index + 1
        position = lps[:3, :3] @ [0, 0, index] + lps[:3, 3]
        base.ImagePositionPatient = [_decimal(value) for value in position]
        base.SliceLocation = _decimal(position[2])
        base.InstanceNumber = number
        _save(base, stored[:, :, index].T, folder / f"{series.number:02d}-{number:04d}.dcm", f"{series.key} {number}")


def write_localizer(folder: Path, volume: Volume, series: Series) -> None:
    """Write the lateral scout view that comes with a CT: one image, the mean over the columns of ``volume``."""
    view = np.rint(volume.data.mean(axis=0)) - INTERCEPT_HU
    lps = LPS_RAS @ volume.affine
    base = _base(series, volume)
    base.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    base.ImageOrientationPatient = ["0", "1", "0", "0", "0", "-1"]
    base.PixelSpacing = [_decimal(volume.spacing[2]), _decimal(volume.spacing[1])]
    base.ImagePositionPatient = [_decimal(value) for value in lps[:3, :3] @ [0, 0, view.shape[1] - 1] + lps[:3, 3]]
    base.InstanceNumber = 1
    pixels = np.clip(view[:, ::-1].T, 0, 4095).astype(np.uint16)
    _save(base, pixels, folder / f"{series.number:02d}-0001.dcm", f"{series.key} 1")


def _base(series: Series, volume: Volume) -> Dataset:
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 100"
    for keyword, value in PLANTED.items():
        setattr(data, keyword, value)
    data.PatientID = f"PLANTED-ID-{series.patient}"
    data.Modality = series.modality
    data.SOPClassUID = CTImageStorage if series.modality == "CT" else MRImageStorage
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if series.modality == "CT" else "M"]
    data.Manufacturer, data.ManufacturerModelName = "PHANTOM", "HEAD"
    data.StudyID, data.SeriesNumber, data.AcquisitionNumber = "1", series.number, 1
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "040506"
    data.SeriesDescription = data.ProtocolName = series.description
    data.StudyInstanceUID = _uid(f"{series.patient} study")
    data.SeriesInstanceUID = _uid(f"{series.key} series")
    data.FrameOfReferenceUID = _uid(f"{series.key} frame")
    data.PatientPosition = "HFS"
    _describe_image(data, series, volume)
    return data


def _describe_image(data: Dataset, series: Series, volume: Volume) -> None:
    lps = LPS_RAS @ volume.affine
    spacing = volume.spacing
    columns, rows = lps[:3, 0] / spacing[0], lps[:3, 1] / spacing[1]
    data.ImageOrientationPatient = [_decimal(value) for value in (*columns, *rows)]
    data.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[0])]
    data.SliceThickness = data.SpacingBetweenSlices = _decimal(spacing[2])
    if series.modality == "CT":
        data.KVP, data.GantryDetectorTilt, data.ConvolutionKernel = "120", _decimal(series.tilt_degrees), "H30"
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = str(INTERCEPT_HU), "1", "HU"
        data.WindowCenter, data.WindowWidth = "40", "80"
    else:
        data.ScanningSequence, data.SequenceVariant, data.MRAcquisitionType = "EP", "SK", "2D"
        data.RepetitionTime, data.EchoTime, data.MagneticFieldStrength = "6000", "90", "1.5"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    # Unsigned pixels have 12 bits, as on most scanners; padding below -1024 HU needs a sign.
    bits = 16 if series.signed else 12
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, bits, bits - 1
    data.PixelRepresentation = int(series.signed)


def _save(data: Dataset, pixels: np.ndarray, path: Path, key: str) -> None:
    data.Rows, data.Columns = pixels.shape
    data.SOPInstanceUID = _uid(key)
    data.PixelData = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<")).tobytes()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta = meta
    data.save_as(path, enforce_file_format=True)


def _decimal(value: float) -> str:
    """Text of a DICOM decimal string: at most 16 characters."""
    return f"{float(value):.9f}"[:16].rstrip("0").rstrip(".")


def _uid(key: str) -> str:
    return generate_uid(UID_ROOT, entropy_srcs=[key])
