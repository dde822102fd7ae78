"""What the DICOM files of a folder say about their images, in plain values.

Text of a header is compared here and with lists of known words; it reaches no message, record or log, because names
and dates hide in every field.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import UID

from workflow_scripts.common.dicom import diffusion
from workflow_scripts.common.dicom import marks as pixel_marks
from workflow_scripts.common.dicom.computed import computed
from workflow_scripts.common.dicom.contrast import is_agent, says_contrast
from workflow_scripts.common.dicom.examinations import seconds
from workflow_scripts.common.dicom.files import (
    DAMAGE,
    files_below,
    numbers,
    opened,
    pixel_fault,
    quiet_pydicom,
    read_dataset,
    unreadable,
    whole_number,
)
from workflow_scripts.common.dicom.makers import maker
from workflow_scripts.common.signatures import OTHER, kind_of_file

# Where an enhanced object keeps what a classic one states once an image: functional groups, per frame or shared.
GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
    "FrameType": "CTImageFrameTypeSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "DiffusionBValue": "MRDiffusionSequence",
}
CONTRAST_NAMES = ("ContrastBolusAgent", "ContrastBolusIngredient")
CONTRAST_AMOUNTS = ("ContrastBolusVolume", "ContrastBolusTotalDose", "ContrastFlowRate")
TAGS = [
    *GROUPS,
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("SOPClassUID", "Modality", "ImageType", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
    *("DerivationDescription", "ImageComments", "ManufacturerModelName"),
    *("AcquisitionNumber", "InstanceNumber", "Manufacturer", "StudyInstanceUID"),
    *("AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "StudyDate", "StudyTime"),
    *("PatientID", "PatientName", "ContrastBolusAgentSequence", "LossyImageCompression"),
    *CONTRAST_NAMES,
    *CONTRAST_AMOUNTS,
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue"),
    *diffusion.TAGS,
    *pixel_marks.TAGS,
]
MODALITIES = {
    **{"CT": "CT", "MR": "MR", "PT": "PET", "NM": "nuclear medicine", "US": "ultrasound", "OT": "other", "SC": "other"},
    **{"CR": "X-ray", "DX": "X-ray", "RG": "X-ray", "XA": "angiography (flat panel)", "RF": "fluoroscopy"},
    **{"SEG": "segmentation", "RTDOSE": "dose", "RTIMAGE": "X-ray", "XC": "photograph", "PX": "X-ray", "MG": "X-ray"},
}
CLASSES = {"CT": "CT", "Enhanced CT": "CT", "Legacy": "CT", "MR": "MR", "Enhanced MR": "MR"}  # by the class's name
HU_UNITS = {"", "HU", "US", "HU_MOD", "HU*"}
STANDARD = "1.2.840.10008."  # what the identifiers of DICOM's own classes begin with
SCOUTS = {"LOCALIZER", "SCOUT", "TOPOGRAM"}
MOST_FRAMES = 4096
MOST_PIXELS = 4096 * 4096  # of one slice; CT has 1024 × 1024 at most
LEAST_SUSPECT = 0.5  # of the smallest image's file: a file of that size beside them was one


@dataclass(frozen=True)
class Image:
    """One slice: a classic image, or one ``frame`` (from 0) of a multi-frame object.

    Numeric fields are None where they are missing or malformed. ``series``, ``study``, ``patient`` and ``name`` are
    identifiers of the header, ``taken_s`` is when it was acquired: for comparison only. ``rescale`` is slope and
    intercept; ``padding`` the stored value outside the acquired field, ``computed`` what made the image where it is no
    CT as acquired, ``fault`` what is wrong with the pixels, ``marks`` signs of text or a face in them.
    Lengths in mm, coordinates LPS, b-values in s/mm².
    """

    path: Path
    frame: int | None
    series: str
    study: str
    taken_s: float | None
    patient: str
    name: str
    modality: str
    number: int | None
    acquisition: int | None
    size: tuple[int, int]
    position: np.ndarray | None
    orientation: np.ndarray | None
    spacing: np.ndarray | None
    thickness_mm: float | None
    rescale: tuple[float | None, float | None]
    padding: int | None
    kernel: str
    maker: str
    description: frozenset[str]
    scout: bool
    mosaic: bool
    diffusion: str
    b_value: float | None
    contrast: bool
    computed: str
    original: bool
    grey: bool
    depth: tuple[int, int, int]
    hounsfield: bool
    fault: str
    marks: frozenset[str]


@dataclass
class Folder:
    """The images of a folder, the DICOM files without one and other files (``others``), and those that were images."""

    images: list[Image] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)


def read_images(folder: Path) -> Folder:
    """Return the images of all DICOM files below ``folder``; raises `InputError` where a file cannot be opened."""
    found, foreign = Folder(), []
    with quiet_pydicom():
        for path in files_below(folder):
            images, kind = _read(path)
            found.images += images
            if not images:
                found.others.append(path)
            if path.name.startswith("."):
                continue  # what file managers and Snakemake leave was no image
            if kind == "damaged":
                found.damaged.append(path)
            elif kind == "foreign":
                foreign.append(path)
    sizes = [path.stat().st_size for path in {image.path for image in found.images}]
    if sizes:
        low, high = LEAST_SUSPECT * min(sizes), max(sizes) / LEAST_SUSPECT
        found.damaged += [path for path in foreign if low < path.stat().st_size < high]
    return found


def _read(path: Path) -> tuple[list[Image], str]:
    """Return the images of a file, and what it is: ``image``, ``other`` DICOM, ``damaged`` DICOM or ``foreign``."""
    try:
        if not path.is_file():
            path.stat()  # a link that leads nowhere raises here
            return [], "other"
        if not path.stat().st_size:
            return [], "damaged"
        try:
            with opened(path) as file:
                return _images(path, read_dataset(file, TAGS), file)
        except InvalidDicomError:
            return [], "foreign" if kind_of_file(path) == OTHER else "other"
        except DAMAGE:
            return [], "damaged"
    except OSError as error:
        raise unreadable(error) from error


def _images(path: Path, header: pydicom.Dataset, file: BinaryIO) -> tuple[list[Image], str]:
    columns, rows = whole_number(header, "Columns"), whole_number(header, "Rows")
    if columns is None or rows is None:
        stored = UID(str(header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID", "")))
        # Makers have objects of their own under identifiers of their own.
        unknown = stored.name == stored and (not stored or stored.startswith(STANDARD))
        return [], "damaged" if unknown or "Image" in stored.name else "other"
    frames = whole_number(header, "NumberOfFrames") or 1
    if not 0 < frames <= MOST_FRAMES or not 0 < columns * rows <= MOST_PIXELS:
        return [], "damaged"
    bits, samples = whole_number(header, "BitsAllocated"), whole_number(header, "SamplesPerPixel") or 1
    wanted = None if bits is None else columns * rows * frames * samples * bits // 8
    fault = pixel_fault(header, file, wanted)
    multiple = "PerFrameFunctionalGroupsSequence" in header or frames > 1
    indices = range(frames) if multiple else [None]
    return [_image(path, header, frame, (columns, rows), fault) for frame in indices], "image"


def _image(path: Path, header: pydicom.Dataset, frame: int | None, size: tuple[int, int], fault: str) -> Image:
    groups = _functional_groups(header, frame)

    def group(keyword: str) -> pydicom.Dataset:
        return next((item for item in groups.get(GROUPS[keyword], []) if keyword in item), header)

    def number(keyword: str) -> float | None:
        found = numbers(group(keyword), keyword, 1)
        return None if found is None else float(found[0])

    kind = _words(group("FrameType"), "FrameType") or _words(header, "ImageType")
    units = _text(group("RescaleType"), "RescaleType")
    description, b_value = _text(header, "SeriesDescription"), diffusion.b_value(group("DiffusionBValue"))
    return Image(
        path=path,
        frame=frame,
        series=_text(header, "SeriesInstanceUID"),
        study=_text(header, "StudyInstanceUID"),
        taken_s=_taken_s(header),
        patient=_text(header, "PatientID"),
        name=" ".join(re.split(r"[\^=\s]+", _text(header, "PatientName"))).strip(),
        modality=_modality(header),
        number=whole_number(header, "SeriesNumber"),
        acquisition=whole_number(header, "AcquisitionNumber"),
        size=size,
        position=numbers(group("ImagePositionPatient"), "ImagePositionPatient", 3),
        orientation=numbers(group("ImageOrientationPatient"), "ImageOrientationPatient", 6),
        spacing=numbers(group("PixelSpacing"), "PixelSpacing", 2),
        thickness_mm=number("SliceThickness"),
        rescale=(number("RescaleSlope"), number("RescaleIntercept")),
        padding=_padding(header),
        kernel=_text(group("ConvolutionKernel"), "ConvolutionKernel"),
        maker=maker(_text(header, "Manufacturer")),
        description=frozenset(re.split(r"[^A-Z0-9]+", description)),
        scout=not SCOUTS.isdisjoint(kind),
        mosaic="MOSAIC" in kind,
        diffusion=diffusion.kind_of(kind, description, b_value),
        b_value=b_value,
        contrast=_has_contrast(header) or says_contrast(description),
        computed=computed(
            kind | {units},
            " ".join((description, _text(header, "DerivationDescription"), _text(header, "ImageComments"))),
            _text(header, "ManufacturerModelName"),
        ),
        original="DERIVED" not in kind and _text(header, "LossyImageCompression") != "01",
        grey=whole_number(header, "SamplesPerPixel") in (None, 1)
        and _text(header, "PhotometricInterpretation") in ("", "MONOCHROME2"),
        depth=_depth(header),
        hounsfield=units in HU_UNITS,
        fault=fault,
        marks=pixel_marks.marks(header),
    )


def _taken_s(header: pydicom.Dataset) -> float | None:
    if whole := _text(header, "AcquisitionDateTime"):
        return seconds(whole[:8], whole[8:14])
    date = _text(header, "AcquisitionDate") or _text(header, "StudyDate")
    return seconds(date, _text(header, "AcquisitionTime") or _text(header, "StudyTime"))


def _modality(header: pydicom.Dataset) -> str:
    code = _text(header, "Modality")
    if code:
        return code if code in MODALITIES else "unknown"
    name = UID(str(header.get("SOPClassUID", ""))).name
    return next((code for start, code in CLASSES.items() if name.startswith(f"{start} ")), "unknown")


def _depth(header: pydicom.Dataset) -> tuple[int, int, int]:
    """Return bits allocated, bits stored and the highest bit; the last two follow from the first where missing."""
    allocated, stored, high = (whole_number(header, key) for key in ("BitsAllocated", "BitsStored", "HighBit"))
    allocated = 16 if allocated is None else allocated
    stored = allocated if stored is None else stored
    return allocated, stored, stored - 1 if high is None else high


def _padding(header: pydicom.Dataset) -> int | None:
    """Return the stored value outside the acquired field, signed as the pixels are."""
    value, bits = whole_number(header, "PixelPaddingValue"), whole_number(header, "BitsAllocated")
    if value is None or bits is None:
        return None
    value %= 1 << bits
    signed = whole_number(header, "PixelRepresentation") == 1 and value >= 1 << (bits - 1)
    return value - (1 << bits) if signed else value


def _functional_groups(header: pydicom.Dataset, frame: int | None) -> dict[str, list[pydicom.Dataset]]:
    """Return the items that hold for one frame, by the name of their group; its own come before the shared ones."""
    if frame is None:
        return {}
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    shared = header.get("SharedFunctionalGroupsSequence") or []
    sources = [*own[frame : frame + 1], *shared[:1]]
    return {name: [item for one in sources for item in one.get(name) or []] for name in set(GROUPS.values())}


def _has_contrast(header: pydicom.Dataset) -> bool:
    named = any(is_agent(_text(header, keyword)) for keyword in CONTRAST_NAMES)
    amounts = [numbers(header, keyword, 1) for keyword in CONTRAST_AMOUNTS]
    given = any(amount is not None and amount[0] > 0 for amount in amounts)
    return bool(header.get("ContrastBolusAgentSequence")) or named or given


def _text(header: pydicom.Dataset, keyword: str) -> str:
    """Return a field as upper-case text, several values joined by a backslash as in the file; empty where missing."""
    value = header.get(keyword)
    values = value if isinstance(value, MultiValue) else [] if value is None else [value]
    return "\\".join(map(str, values)).strip().upper()


def _words(header: pydicom.Dataset, keyword: str) -> set[str]:
    return {word.strip() for word in _text(header, keyword).split("\\") if word.strip()}
