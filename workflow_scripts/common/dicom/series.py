"""Whether the images of a series make a stack of slices that can be a head CT."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workflow_scripts.common.dicom.headers import Image
from workflow_scripts.common.dicom.kernels import sharpness
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.transform import RAS_LPS

REPEATED_MM = 0.01
ISOLATED_GAP = 1.5  # times its neighbourhood's: slices are missing there
FULL_SERIES = "give the full axial series."
ORIGINALS = "export the original images again."
GEOMETRY = "export the original images with their geometry."
STEEPEST = 100.0  # HU a stored step
WIDEST_GAP_MM = 15.0
ASIDE_MM = 5.0  # of a slice from the line of its stack; positions are rounded by less
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

    ``stack`` is None, and ``refusal`` says why, where they make none. ``lost`` counts files that are damaged or unlike
    the others and may have been slices at an end of it.
    """

    images: tuple[Image, ...]
    stack: Stack | None = None
    refusal: Refusal | None = None
    lost: int = 0

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
    def not_native(self) -> list[str]:
        """What the headers say against a native CT: contrast medium, or what made the images instead of a CT."""
        first = self.images[0]
        return ["contrast medium"] * first.contrast + [first.computed] * bool(first.computed)

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
    def gap_over_thickness(self) -> float | None:
        """Distance of neighbouring slices over their thickness; None where no thickness is stated."""
        stated = [image.thickness_mm for image in self.images if image.thickness_mm and image.thickness_mm > 0]
        return self.gap_mm / float(np.median(stated)) if stated else None

    @property
    def padding_hu(self) -> float | None:
        """HU of the pixels outside the acquired field, None where the headers name no value or several."""
        stored = {(image.padding, *image.rescale) for image in self.images}
        padding, slope, intercept = stored.pop()
        if stored or padding is None:
            return None
        return padding * (1.0 if slope is None else slope) + (intercept or 0.0)

    @property
    def own_rescale(self) -> np.ndarray | None:
        """Slope and intercept of each image, shape (images, 2), where they differ between images."""
        pairs = [(1.0, 0.0) if None in image.rescale else image.rescale for image in self.images]
        return np.array(pairs) if len(set(pairs)) > 1 else None

    @property
    def missing(self) -> int:
        """Slices that are missing inside the stack."""
        return missing_slices(self.stack.heights)


def judge(images: Sequence[Image], modality: str, limits: Limits) -> Series:
    """Make a `Series` of images of one group, with its `Stack` or the reason why it is none."""
    first, count = images[0], len(images)
    faults = [image.fault for image in images if image.fault]
    if first.modality != modality:
        refusal = Refusal(f"not {modality}", f"name a folder with the {modality} series.")
    elif first.scout:
        refusal = Refusal("localizer", FULL_SERIES)
    elif not first.grey:
        refusal = Refusal("colour or inverted pixels", "give the original images, not screenshots or maps.")
    elif count < limits.min_slices:
        refusal = Refusal(f"{count} parallel slices, fewer than {limits.min_slices}", FULL_SERIES)
    elif faults:
        refusal = Refusal(f"{len(faults)} of {count} images are {faults[0]}", "copy the files again.")
    elif not first.hounsfield:
        refusal = Refusal("the values are not HU by the headers", "give the CT itself, not a map computed from it.")
    elif not all(_is_possible_depth(image.depth) for image in images):
        refusal = Refusal("the number of bits of a pixel contradicts itself", ORIGINALS)
    elif len({value is None for image in images for value in image.rescale}) > 1:
        refusal = Refusal("the rescale slope or intercept is missing in some images", ORIGINALS)
    elif not all(0 < (1 if image.rescale[0] is None else image.rescale[0]) <= STEEPEST for image in images):
        refusal = Refusal("the rescale slope is not above 0, or huge", ORIGINALS)
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


def _is_possible_depth(depth: tuple[int, int, int]) -> bool:
    allocated, stored, high = depth
    return allocated in (8, 16, 32) and 0 < stored <= allocated and high == stored - 1


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
    ordered = sorted(images, key=lambda image: float(image.position @ normal))
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
    if series.gap_mm > WIDEST_GAP_MM:
        return _refused(series, f"its slices lie {series.gap_mm:.3g} mm apart", GEOMETRY)
    if (aside := _aside_mm(series.stack)) > ASIDE_MM:
        return _refused(series, f"a slice lies {aside:.3g} mm beside the others", GEOMETRY)
    if series.missing > limits.max_missing_slices:
        return _refused(
            series,
            f"{series.missing} slices are missing",
            "fetch the missing images; in a study, ingest.max_missing_slices can be raised.",
        )
    if series.coverage_mm < limits.min_coverage_mm:
        return _refused(
            series,
            f"it covers {series.coverage_mm:.0f} mm, not a whole brain ({limits.min_coverage_mm:g} mm)",
            "give a scan of the whole head.",
        )
    return series


def _aside_mm(stack: Stack) -> float:
    """Return how far the slice that lies farthest from the line of the others is from it, mm."""
    steps = np.linalg.norm([stack.column_step, stack.row_step], axis=1)
    drift, heights = stack.drift * steps, stack.heights
    slopes = np.diff(drift, axis=0) / np.diff(heights)[:, None]
    line = np.median(drift - heights[:, None] * np.median(slopes, axis=0), axis=0)
    return float(np.abs(drift - heights[:, None] * np.median(slopes, axis=0) - line).max())


def _refused(series: Series, reason: str, remedy: str) -> Series:
    return replace(series, refusal=Refusal(reason, remedy))
