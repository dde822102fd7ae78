"""DICOM series in a folder: found, grouped, judged by their headers.

No text field of a header leaves this module except codes checked against a list: names and dates hide everywhere.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.transform import RAS_LPS
from workflow_scripts.ingest.stack import Stack

TAGS = [
    "SOPInstanceUID",
    "Modality",
    "ImageType",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
]
MODALITIES = {"CT": "CT", "MR": "MR", "PT": "PET", "CR": "X-ray", "DX": "X-ray", "OT": "other", "SC": "other"}
SCOUTS = {"LOCALIZER", "SCOUT", "TOPOGRAM"}
PARALLEL_COSINE = 0.9999  # 0.8 degrees between the planes of one series
REPEATED_MM = 0.01


@dataclass(frozen=True)
class Series:
    """Images of one series that share plane and size, and why they cannot be used (empty: they can)."""

    number: int | None
    modality: str
    files: tuple[Path, ...]
    size: tuple[int, int]
    scout: bool
    stack: Stack | None
    refused: str


@pydicom.config.disable_value_validation()  # pydicom's warnings quote the fields that they complain of
def find_series(folder: Path, modality: str, min_slices: int) -> list[Series]:
    """Group the DICOM images below ``folder`` into series, sorted by number, each judged.

    ``modality`` is the wanted DICOM code. Files that are not DICOM images are passed over. Raises `InputError` when
    there is no image, or none of that modality.
    """
    headers = _read_headers(folder)
    if not headers:
        raise InputError(
            "The DICOM folder holds no DICOM image.", "give the folder that the images of the scan are in."
        )
    groups = defaultdict(list)
    for path, header in headers:
        groups[_group_key(header)].append((path, header))
    series = [_judge(members, modality, min_slices) for members in groups.values()]
    if not any(one.modality == modality for one in series):
        found = sorted({MODALITIES.get(one.modality, "unknown") for one in series})
        raise InputError(
            f"The DICOM folder holds {', '.join(found)} images, no {modality}.",
            f"name a folder with the {modality} series in the case sheet.",
        )
    return sorted(series, key=lambda one: (one.number is None, one.number or 0, -len(one.files), one.files[0].name))


def choose_series(series: Sequence[Series]) -> Series:
    """Return the usable series with most slices; raises `InputError` when there is none, or two equally good."""
    usable = [one for one in series if not one.refused]
    if not usable:
        reasons = "; ".join(f"series {one.number}: {one.refused}" for one in series)
        raise InputError(f"No series of the DICOM folder can be used ({reasons}).", "give the full axial series.")
    most = max(len(one.files) for one in usable)
    best = [one for one in usable if len(one.files) == most]
    if len(best) > 1:
        numbers = " and ".join(str(one.number) for one in best)
        raise InputError(
            f"Series {numbers} of the DICOM folder are equally good ({most} slices each).",
            "put the non-contrast soft-tissue series into a folder of its own and name that one in the case sheet.",
        )
    return best[0]


def _read_headers(folder: Path) -> list[tuple[Path, pydicom.Dataset]]:
    headers = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
            except (InvalidDicomError, EOFError):
                continue
            except OSError as error:
                raise InputError(
                    f"A file of the DICOM folder cannot be read ({error.strerror}).",
                    "check the permissions and the disk.",
                ) from error
            if "Rows" in header and "SOPInstanceUID" in header:
                headers.append((path, header))
    return headers


def _group_key(header: pydicom.Dataset) -> tuple:
    orientation = _numbers(header, "ImageOrientationPatient", 6)
    return (
        str(header.get("SeriesInstanceUID", "")),
        _code(header),
        int(header.Rows),
        int(header.Columns),
        None if orientation is None else tuple(np.round(orientation, 2) + 0.0),
        _is_scout(header),
    )


def _judge(members: list[tuple[Path, pydicom.Dataset]], modality: str, min_slices: int) -> Series:
    unique = list({str(header.SOPInstanceUID): (path, header) for path, header in reversed(members)}.values())
    first = unique[0][1]
    stack = None
    if _code(first) != modality:
        refused = f"not {modality}"
    elif _is_scout(first):
        refused = "localizer"
    elif any((_number(header, "NumberOfFrames") or 1) > 1 for _, header in unique):
        refused = "multi-frame object; export it as single frames or convert it to NIfTI"
    elif len(unique) < min_slices:
        refused = f"{len(unique)} slices, fewer than {min_slices}"
    else:
        unique, stack, refused = _geometry(unique)
    return Series(
        number=_number(first, "SeriesNumber"),
        modality=_code(first),
        files=tuple(path for path, _ in unique),
        size=(int(first.Columns), int(first.Rows)),
        scout=_is_scout(first),
        stack=stack,
        refused=refused,
    )


def _geometry(
    members: list[tuple[Path, pydicom.Dataset]],
) -> tuple[list[tuple[Path, pydicom.Dataset]], Stack | None, str]:
    """Return the images sorted along the normal, their `Stack`, and why they make none (empty: they do)."""
    positions = [_numbers(header, "ImagePositionPatient", 3) for _, header in members]
    orientations = [_numbers(header, "ImageOrientationPatient", 6) for _, header in members]
    spacings = [_numbers(header, "PixelSpacing", 2) for _, header in members]
    if any(value is None for value in (*positions, *orientations, *spacings)):
        return members, None, "position, orientation or pixel spacing is missing in some images"
    along_row, along_column = orientations[0][:3], orientations[0][3:]
    normal = np.cross(along_row, along_column)
    if abs(along_row @ along_column) > 1e-3 or abs(np.linalg.norm(normal) - 1) > 1e-3:
        return members, None, "the orientation is not a pair of perpendicular unit vectors"
    if any(normal @ np.cross(other[:3], other[3:]) < PARALLEL_COSINE for other in orientations):
        return members, None, "the planes are not parallel"
    if not np.allclose(spacings, spacings[0], rtol=1e-3) or min(spacings[0]) <= 0:
        return members, None, "the pixel spacing differs between images or is not positive"
    heights = np.array(positions) @ normal
    order = np.argsort(heights, kind="stable")
    if len(members) > 1 and np.diff(heights[order]).min() < REPEATED_MM:
        return members, None, "several images lie at one position"
    to_ras = RAS_LPS[:3, :3]
    stack = Stack(
        columns=int(members[0][1].Columns),
        rows=int(members[0][1].Rows),
        column_step=to_ras @ along_row * spacings[0][1],
        row_step=to_ras @ along_column * spacings[0][0],
        origins=np.array(positions)[order] @ to_ras.T,
    )
    return [members[index] for index in order], stack, ""


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


def _code(header: pydicom.Dataset) -> str:
    code = str(header.get("Modality", ""))
    return code if code in MODALITIES else "unknown"


def _is_scout(header: pydicom.Dataset) -> bool:
    image_type = header.get("ImageType") or []
    return not SCOUTS.isdisjoint([image_type] if isinstance(image_type, str) else image_type)
