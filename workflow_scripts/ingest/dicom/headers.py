"""What the DICOM files of a folder say about their images, in plain values.

Text of a header is compared here and with lists of known words; it reaches no message, record or log, because names
and dates hide in every field.
"""

import os
import re
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import DeflatedExplicitVRLittleEndian

from workflow_scripts.common.errors import InputError

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
}
TAGS = [
    *GROUPS,
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("SOPInstanceUID", "Modality", "ImageType", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
    *("PatientID", "PatientName", "ContrastBolusAgent", "ContrastBolusAgentSequence", "LossyImageCompression"),
    *("Rows", "Columns", "NumberOfFrames", "BitsAllocated", "SamplesPerPixel", "PhotometricInterpretation"),
]
MODALITIES = {"CT": "CT", "MR": "MR", "PT": "PET", "CR": "X-ray", "DX": "X-ray", "OT": "other", "SC": "other"}
SCOUTS = {"LOCALIZER", "SCOUT", "TOPOGRAM"}
NO_CONTRAST = {"", "NO", "NONE", "N", "NON", "NATIVE", "WITHOUT", "NO CONTRAST", "NONCONTRAST"}
CONTRAST_PHASES = {"CTA", "CTV", "CTP", "ANGIO", "ANGIOGRAPHY", "PERFUSION", "ARTERIAL", "VENOUS", "POSTCONTRAST"}


@dataclass(frozen=True)
class Image:
    """One slice: a classic image, or one ``frame`` (from 0) of a multi-frame object.

    Numeric fields are None where they are missing or malformed. ``identity``, ``series`` and ``patient`` are
    identifiers of the header: for comparison only. ``rescale`` is slope and intercept. Lengths in mm, coordinates LPS.
    """

    path: Path
    frame: int | None
    identity: str
    series: str
    patient: str
    modality: str
    number: int | None
    size: tuple[int, int]
    position: np.ndarray | None
    orientation: np.ndarray | None
    spacing: np.ndarray | None
    thickness_mm: float | None
    rescale: tuple[float, float]
    kernel: str
    description: frozenset[str]
    scout: bool
    adc_map: bool
    contrast: bool
    original: bool
    grey: bool
    hounsfield: bool
    complete: bool


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Let pydicom take every value as it is and say nothing: its warnings quote the fields that they complain of."""
    logger = pydicom.config.logger
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def read_images(folder: Path) -> tuple[list[Image], int]:
    """Return the images of all DICOM files below ``folder``, and how many files hold none.

    Links to folders are followed, each folder once. Raises `InputError` where a file cannot be opened.
    """
    with quiet_pydicom():
        found = [_read(path) for path in _files(folder)]
    return [image for images in found for image in images], sum(not images for images in found)


def _files(folder: Path) -> Iterator[Path]:
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        real = Path(parent).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names))


def _raise(error: OSError) -> None:
    raise _unreadable(error) from error


def _unreadable(error: OSError) -> InputError:
    return InputError(
        f"A file or folder of the DICOM study cannot be read ({error.strerror}).",
        "check links, permissions and the disk.",
    )


def _read(path: Path) -> list[Image]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return []
        with path.open("rb") as handle:
            header = pydicom.dcmread(handle, stop_before_pixels=True, specific_tags=TAGS)
            complete = _is_complete(header, handle, path.stat().st_size)
    except (InvalidDicomError, EOFError, struct.error):
        return []
    except OSError as error:
        raise _unreadable(error) from error
    size = (_number(header, "Columns"), _number(header, "Rows"))
    if None in size or "SOPInstanceUID" not in header:
        return []
    frames = _number(header, "NumberOfFrames") or 1
    multiple = "PerFrameFunctionalGroupsSequence" in header or frames > 1
    return [_image(path, header, frame if multiple else None, size, complete) for frame in range(frames)]


def _image(path: Path, header: pydicom.Dataset, frame: int | None, size: tuple[int, int], complete: bool) -> Image:
    groups = _functional_groups(header, frame)

    def group(keyword: str) -> pydicom.Dataset:
        return next((item for item in groups.get(GROUPS[keyword], []) if keyword in item), header)

    def number(keyword: str) -> float | None:
        found = _numbers(group(keyword), keyword, 1)
        return None if found is None else float(found[0])

    kind = _words(group("FrameType"), "FrameType") or _words(header, "ImageType")
    slope, intercept = number("RescaleSlope"), number("RescaleIntercept")
    description = frozenset(re.split(r"[^A-Z0-9]+", _text(header, "SeriesDescription")))
    code = _text(header, "Modality")
    return Image(
        path=path,
        frame=frame,
        identity=f"{header.get('SOPInstanceUID')} {frame}",
        series=_text(header, "SeriesInstanceUID"),
        patient=_text(header, "PatientID") or _text(header, "PatientName"),
        modality=code if code in MODALITIES else "unknown",
        number=_number(header, "SeriesNumber"),
        size=size,
        position=_numbers(group("ImagePositionPatient"), "ImagePositionPatient", 3),
        orientation=_numbers(group("ImageOrientationPatient"), "ImageOrientationPatient", 6),
        spacing=_numbers(group("PixelSpacing"), "PixelSpacing", 2),
        thickness_mm=number("SliceThickness"),
        rescale=(1.0 if slope is None else slope, 0.0 if intercept is None else intercept),
        kernel=_text(group("ConvolutionKernel"), "ConvolutionKernel"),
        description=description,
        scout=not SCOUTS.isdisjoint(kind),
        adc_map="ADC" in kind,
        contrast=_has_contrast(header) or not CONTRAST_PHASES.isdisjoint(description),
        original="DERIVED" not in kind and _text(header, "LossyImageCompression") != "01",
        grey=_number(header, "SamplesPerPixel") in (None, 1)
        and _text(header, "PhotometricInterpretation") in ("", "MONOCHROME2"),
        hounsfield=_text(group("RescaleType"), "RescaleType") in ("", "HU", "US"),
        complete=complete,
    )


def _functional_groups(header: pydicom.Dataset, frame: int | None) -> dict[str, list[pydicom.Dataset]]:
    """Return the items that hold for one frame, by the name of their group; its own come before the shared ones."""
    if frame is None:
        return {}
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    shared = header.get("SharedFunctionalGroupsSequence") or []
    sources = [*own[frame : frame + 1], *shared[:1]]
    return {name: [item for one in sources for item in one.get(name) or []] for name in set(GROUPS.values())}


def _has_contrast(header: pydicom.Dataset) -> bool:
    return bool(header.get("ContrastBolusAgentSequence")) or _text(header, "ContrastBolusAgent") not in NO_CONTRAST


def _is_complete(header: pydicom.Dataset, handle: BinaryIO, size: int) -> bool:
    """Say whether the pixels that the header announces, from the handle's place on, are in the file.

    Of deflated ones, and of those in a syntax that DICOM does not know, nothing can be said here.
    """
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is not None and (syntax == DeflatedExplicitVRLittleEndian or not syntax.is_transfer_syntax):
        return True
    if syntax is not None and syntax.is_compressed:
        return _ends_encapsulated(handle, size)
    sizes = [_number(header, keyword) for keyword in ("Rows", "Columns", "BitsAllocated")]
    frames, samples = (_number(header, keyword) or 1 for keyword in ("NumberOfFrames", "SamplesPerPixel"))
    return None in sizes or size - handle.tell() >= int(np.prod([*sizes, frames, samples])) // 8


def _ends_encapsulated(handle: BinaryIO, size: int) -> bool:
    """Walk over the fragments of compressed pixels: items (FFFE,E000) up to the delimiter (FFFE,E0DD)."""
    handle.seek(12, os.SEEK_CUR)  # tag, VR and undefined length of the pixel data
    while len(start := handle.read(8)) == 8:
        group, element, length = struct.unpack("<HHL", start)
        if (group, element) != (0xFFFE, 0xE000):
            return (group, element) == (0xFFFE, 0xE0DD)
        if handle.seek(length, os.SEEK_CUR) > size:
            return False
    return False


def _numbers(header: pydicom.Dataset, keyword: str, count: int) -> np.ndarray | None:
    """Return a numeric field, or None where it is missing or malformed."""
    try:
        numbers = np.atleast_1d(np.array(header.get(keyword), float))
    except (TypeError, ValueError):
        return None
    return numbers if numbers.shape == (count,) and np.isfinite(numbers).all() else None


def _number(header: pydicom.Dataset, keyword: str) -> int | None:
    numbers = _numbers(header, keyword, 1)
    return None if numbers is None else int(numbers[0])


def _text(header: pydicom.Dataset, keyword: str) -> str:
    """Return a field as upper-case text, several values joined by a backslash as in the file; empty where missing."""
    value = header.get(keyword)
    values = value if isinstance(value, MultiValue) else [] if value is None else [value]
    return "\\".join(map(str, values)).strip().upper()


def _words(header: pydicom.Dataset, keyword: str) -> set[str]:
    return {word.strip() for word in _text(header, keyword).split("\\") if word.strip()}
