"""The series of a DICOM folder: images that belong together, and whether they make a stack of slices."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pydicom

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.transform import RAS_LPS
from workflow_scripts.ingest.dicom.headers import MODALITIES, Image, quiet_pydicom
from workflow_scripts.ingest.dicom.kernels import sharpness

SAME_PLANE = 0.01  # difference of direction cosines between the images of one series, 0.6 degrees
REPEATED_MM = 0.01
ISOLATED_GAP = 1.5  # times its neighbourhood's: slices are missing there
FULL_SERIES = "give the full axial series."
MOST_TILT = 45.0  # degrees; a gantry turns by 30
NEIGHBOURS = 3  # gaps on either side that a gap is compared with; sequential scans change the gap at the skull base


@dataclass(frozen=True)
class Limits:
    """What a series must have: slices, at most so many missing between them, and mm from the first to the last."""

    min_slices: int
    max_missing_slices: int
    min_coverage_mm: float


@dataclass(frozen=True)
class Refusal:
    """Why a series cannot be used, and what the user can do."""

    reason: str
    remedy: str


@dataclass(frozen=True)
class Series:
    """Images of one series that share plane, size and reconstruction, sorted along the normal where they are a stack.

    ``stack`` is None, and ``refusal`` says why, where they make none.
    """

    images: tuple[Image, ...]
    stack: Stack | None = None
    refusal: Refusal | None = None

    @property
    def number(self) -> int | None:
        """SeriesNumber, None where missing."""
        return self.images[0].number

    @property
    def modality(self) -> str:
        """DICOM code, or unknown."""
        return self.images[0].modality

    @property
    def kernel(self) -> str:
        """Kind of reconstruction kernel: soft, sharp or unknown."""
        return sharpness(self.images[0].kernel, self.images[0].description)

    @property
    def plane(self) -> str:
        """Axial, coronal or sagittal: the nearest one."""
        return ("sagittal", "coronal", "axial")[int(np.abs(self.stack.normal).argmax())]

    @property
    def coverage_mm(self) -> float:
        """Extent across the slices, the thickness of one included."""
        return float(self.stack.heights[-1]) + self.gap_mm

    @property
    def gap_mm(self) -> float:
        """Median distance of neighbouring slices."""
        return float(np.median(np.diff(self.stack.heights)))

    @property
    def missing(self) -> int:
        """Slices that are missing inside the stack."""
        return missing_slices(self.stack.heights)


def find_series(images: Sequence[Image], modality: str) -> list[list[Image]]:
    """Group images into series, sorted by number; copies of an image are dropped.

    ``modality`` is the wanted DICOM code. Raises `InputError` when there is no image, none of that modality, or the
    images are of several patients.
    """
    if not images:
        raise InputError(
            "The DICOM folder holds no DICOM image.", "give the folder that the images of the scan are in."
        )
    wanted = [image for image in images if image.modality == modality]
    if not wanted:
        found = sorted({MODALITIES.get(image.modality, "unknown") for image in images})
        raise InputError(
            f"The DICOM folder holds {', '.join(found)} images, no {modality}.",
            f"name a folder with the {modality} series in the case sheet.",
        )
    patients = {image.patient for image in images if image.patient}
    if len(patients) > 1:
        raise InputError(
            f"The DICOM folder holds images of {len(patients)} patients.",
            "give a folder with the images of one patient.",
        )
    unique = {image.identity: image for image in reversed(images)}
    groups: dict[tuple, list[Image]] = defaultdict(list)
    for image in sorted(unique.values(), key=lambda one: (one.path, one.frame or 0)):
        groups[_kind(image)].append(image)
    series = [plane for group in groups.values() for plane in _by_plane(group)]
    return sorted(series, key=lambda one: (one[0].number is None, one[0].number or 0, -len(one), one[0].path.name))


def judge(images: Sequence[Image], modality: str, limits: Limits) -> Series:
    """Make a `Series` of images of one group, with its `Stack` or the reason why it is none."""
    first, count = images[0], len(images)
    cut_off = sum(not image.complete for image in images)
    if first.modality != modality:
        refusal = Refusal(f"not {modality}", f"name a folder with the {modality} series in the case sheet.")
    elif first.scout:
        refusal = Refusal("localizer", FULL_SERIES)
    elif not first.grey:
        refusal = Refusal("colour or inverted pixels", "give the original images, not screenshots or maps.")
    elif count < limits.min_slices:
        refusal = Refusal(f"{count} parallel slices, fewer than {limits.min_slices}", FULL_SERIES)
    elif cut_off:
        refusal = Refusal(f"{cut_off} of {count} images are cut off", "copy the files again.")
    elif not first.hounsfield:
        refusal = Refusal("the values are not HU by the headers", "give the CT itself, not a map computed from it.")
    else:
        return _with_stack(images, limits)
    return Series(tuple(images), refusal=refusal)


def missing_slices(heights: np.ndarray) -> int:
    """Count the slices missing in a stack: gaps that stand out of their neighbourhood, in units of its median."""
    gaps = np.diff(heights)
    padded = np.pad(gaps, NEIGHBOURS, mode="reflect" if len(gaps) > NEIGHBOURS else "edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1), axis=1)
    isolated = gaps > ISOLATED_GAP * usual
    return int((np.rint(gaps[isolated] / usual[isolated]) - 1).sum())


def _kind(image: Image) -> tuple:
    return (image.series, image.modality, image.size, image.scout, image.kernel, image.contrast)


def _by_plane(images: Sequence[Image]) -> list[list[Image]]:
    """Part images by the directions of their rows and columns; those without stay together."""
    planes: list[list[Image]] = []
    for image in images:
        for members in planes:
            if _same_directions(image.orientation, members[0].orientation):
                members.append(image)
                break
        else:
            planes.append([image])
    return planes


def _same_directions(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    if first is None or second is None:
        return first is second
    return bool(np.abs(first - second).max() < SAME_PLANE)


def _with_stack(images: Sequence[Image], limits: Limits) -> Series:
    series = Series(tuple(images))
    if any(value is None for image in images for value in (image.position, image.orientation, image.spacing)):
        return _refused(
            series,
            "position, orientation or pixel spacing is missing in some images",
            "export the original images with their geometry.",
        )
    first = images[0]
    along_row, along_column = first.orientation[:3], first.orientation[3:]
    normal = np.cross(along_row, along_column)
    if abs(along_row @ along_column) > 1e-3 or abs(np.linalg.norm(normal) - 1) > 1e-3:
        return _refused(
            series,
            "the orientation is not a pair of perpendicular unit vectors",
            "export the original images, or convert them to NIfTI by a program that you trust with them.",
        )
    spacings = np.array([image.spacing for image in images])
    if not np.allclose(spacings, spacings[0], rtol=1e-3) or spacings.min() <= 0:
        return _refused(
            series,
            "the pixel spacing differs between images or is not positive",
            "export the original images with their geometry.",
        )
    ordered = _without_copies(sorted(images, key=lambda image: float(image.position @ normal)), normal)
    origins = np.array([image.position for image in ordered])
    to_ras = RAS_LPS[:3, :3]
    stack = Stack(
        columns=first.size[0],
        rows=first.size[1],
        column_step=to_ras @ along_row * spacings[0][1],
        row_step=to_ras @ along_column * spacings[0][0],
        origins=origins @ to_ras.T,
    )
    return _within_limits(Series(tuple(ordered), stack), limits)


def _within_limits(series: Series, limits: Limits) -> Series:
    count, heights = len(series.images), series.stack.heights
    if count < limits.min_slices:
        return _refused(series, f"{count} parallel slices, fewer than {limits.min_slices}", FULL_SERIES)
    if np.diff(heights).min() < REPEATED_MM:
        return _refused(
            series,
            "several images lie at one position",
            "put the images of one pass over the head into a folder of their own.",
        )
    if abs(series.stack.tilt_degrees) > MOST_TILT:
        return _refused(
            series,
            f"the slice positions contradict the orientation: a tilt of {abs(series.stack.tilt_degrees):.0f} degrees",
            "export the original images with their geometry.",
        )
    if series.missing > limits.max_missing_slices:
        return _refused(
            series,
            f"{series.missing} slices are missing",
            "fetch the missing images, or raise ingest.max_missing_slices.",
        )
    if series.coverage_mm < limits.min_coverage_mm:
        return _refused(
            series,
            f"it covers {series.coverage_mm:.0f} mm, not a whole brain ({limits.min_coverage_mm:g} mm)",
            "give a scan of the whole head.",
        )
    return series


def _refused(series: Series, reason: str, remedy: str) -> Series:
    return replace(series, refusal=Refusal(reason, remedy))


def _without_copies(ordered: Sequence[Image], normal: np.ndarray) -> list[Image]:
    """Drop an image that lies where another lies and has the same pixels, such as one that was sent twice."""
    kept: list[Image] = []
    for image in ordered:
        if kept and np.abs((image.position - kept[-1].position) @ normal) < REPEATED_MM and _same(image, kept[-1]):
            continue
        kept.append(image)
    return kept


def _same(first: Image, second: Image) -> bool:
    if first.frame is not None or second.frame is not None:
        return False
    with quiet_pydicom():
        pixels = [pydicom.dcmread(image.path, specific_tags=["PixelData"]).PixelData for image in (first, second)]
    return pixels[0] == pixels[1]
