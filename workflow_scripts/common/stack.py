"""The acquired slices of a scan: where they lie, and images sampled from them.

A series with gantry tilt or unequal gaps is not a regular grid: its slices are parallel, but each has its own origin.
Everything that leaves or enters the acquired geometry goes through `sample`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflow_scripts.common.volume import Volume

GAP_TOLERANCE = 0.02  # of the mean gap; scanners round slice positions
MOST_SLICES = 4
ORTHOGONAL_COSINE = 1e-3  # 0.06 degrees; below it a shear is rounding in the header


@dataclass(frozen=True)
class Stack:
    """Parallel slices of one size; array axes (column, row, slice), all lengths in mm, world RAS+.

    ``column_step`` and ``row_step``, shape (3,), lead to the next column and the next row; ``origins``, shape
    (slices, 3), are the centres of each slice's first pixel, sorted along `normal`.
    """

    columns: int
    rows: int
    column_step: np.ndarray
    row_step: np.ndarray
    origins: np.ndarray

    @classmethod
    def of_grid(cls, shape: tuple[int, int, int], affine: np.ndarray) -> "Stack":
        """Take the slices of a regular, possibly sheared, grid along its third axis, in the order of the array."""
        origins = affine[:3, 3] + np.arange(shape[2])[:, None] * affine[:3, 2]
        return cls(shape[0], shape[1], affine[:3, 0], affine[:3, 1], origins)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of columns, rows and slices."""
        return (self.columns, self.rows, len(self.origins))

    @property
    def normal(self) -> np.ndarray:
        """Unit vector across the slices, towards later ones, shape (3,)."""
        normal = np.cross(self.column_step, self.row_step)
        normal /= np.linalg.norm(normal)
        return normal if (self.origins[-1] - self.origins[0]) @ normal >= 0 else -normal

    @property
    def heights(self) -> np.ndarray:
        """Distance of each slice from the first one along the normal, mm, shape (slices,)."""
        return (self.origins - self.origins[0]) @ self.normal

    @property
    def equal_gaps(self) -> bool:
        """Whether all gaps between neighbouring slices are equal."""
        gaps = np.diff(self.heights)
        return bool(np.abs(gaps - gaps.mean()).max() <= GAP_TOLERANCE * gaps.mean())

    @property
    def largest_step_mm(self) -> float:
        """Largest of the three distances between neighbouring voxels, mm: of columns, of rows, of slices on average."""
        in_plane = (np.linalg.norm(step) for step in (self.column_step, self.row_step))
        return float(max(np.diff(self.heights).mean(), *in_plane))

    @property
    def shares(self) -> np.ndarray:
        """Thickness in mm that each slice stands for, shape (slices,): half the gap on either side.

        Beyond the first and the last slice the gap inside is repeated, so equal gaps give that gap everywhere.
        """
        gaps = np.diff(self.heights)
        return (np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])) / 2

    def millilitres(self, mask: np.ndarray) -> float:
        """Return the volume in mL of a mask on the acquired pixels, array (column, row, slice), by `shares`."""
        area = np.linalg.norm(np.cross(self.column_step, self.row_step))
        return float(np.count_nonzero(mask, axis=(0, 1)) @ self.shares * area / 1000)

    @property
    def affine(self) -> np.ndarray:
        """4×4 affine from (column, row, slice) to RAS+, mm, with the tilt's shear.

        Exact where the gaps are equal; otherwise it has the mean gap, and `origins` is exact.
        """
        affine = np.eye(4)
        affine[:3, 0], affine[:3, 1], affine[:3, 3] = self.column_step, self.row_step, self.origins[0]
        affine[:3, 2] = (self.origins[-1] - self.origins[0]) / (len(self.origins) - 1)
        return affine

    @property
    def drift(self) -> np.ndarray:
        """Shift of each slice from the first one within the plane, in columns and rows, shape (slices, 2)."""
        across = np.outer(self.heights, self.normal)
        within = self.origins - self.origins[0] - across
        return np.stack([within @ step / (step @ step) for step in (self.column_step, self.row_step)], axis=1)

    @property
    def tilt_degrees(self) -> float:
        """Angle between the step from slice to slice and the normal; negative where slices drift against the rows.

        The sign is that of GantryDetectorTilt (0018,1120) on the scanners that fill it in.
        """
        step = self.affine[:3, 2]
        along_rows = step @ self.row_step / np.linalg.norm(self.row_step)
        along_columns = step @ self.column_step / np.linalg.norm(self.column_step)
        size = np.hypot(along_rows, along_columns)
        return float(np.degrees(np.arctan2(size, step @ self.normal)) * (-1 if along_rows < 0 else 1))

    @property
    def orthogonal(self) -> bool:
        """Whether the slices lie directly above each other."""
        return abs(np.sin(np.radians(self.tilt_degrees))) < ORTHOGONAL_COSINE


def in_order_of(stack: Stack, volume: Volume) -> Volume:
    """Flip and swap the array axes of an image until they run closest to columns, rows and slices."""
    relative = np.linalg.inv(stack.affine) @ volume.affine
    orientation = nib.io_orientation(relative)
    data = nib.apply_orientation(volume.data, orientation)
    return Volume(data, volume.affine @ nib.orientations.inv_ornt_aff(orientation, volume.data.shape))


def upright_grid(stack: Stack) -> tuple[tuple[int, int, int], np.ndarray]:
    """Return shape and affine (RAS+, mm) of the smallest upright grid that holds every acquired slice.

    In-plane steps are the acquired ones, so slices only move by a shift; the gap is the smallest acquired one, or
    what makes `MOST_SLICES` times the acquired slices, since two that nearly coincide would make thousands.
    """
    first = np.floor(stack.drift.min(axis=0) + 1e-6)
    last = np.ceil(stack.drift.max(axis=0) - 1e-6)
    gaps = np.diff(stack.heights)
    gap = gaps.mean() if stack.equal_gaps else max(gaps.min(), gaps.mean() / MOST_SLICES)
    slices = round(float(stack.heights[-1] / gap)) + 1
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = stack.column_step, stack.row_step, gap * stack.normal
    affine[:3, 3] = stack.origins[0] + first[0] * stack.column_step + first[1] * stack.row_step
    return (stack.columns + int(last[0] - first[0]), stack.rows + int(last[1] - first[1]), slices), affine


def sample(
    stack: Stack,
    data: np.ndarray,
    shape: tuple[int, int, int],
    affine: np.ndarray,
    *,
    order: int,
    background: float,
    slices: Iterable[int] | None = None,
) -> np.ndarray:
    """Sample acquired pixels on a grid whose slices are parallel to the acquired ones.

    Parameters
    ----------
    data
        pixels in the order (column, row, slice) of the stack
    shape, affine
        the wanted grid; its first two axes span the acquired planes; RAS+, mm
    order
        1: linear within the plane and between neighbouring slices; 0: nearest pixel of the nearest slice (masks)
    background
        value outside every slice
    slices
        slices of the wanted grid to sample, all by default; the result has these alone

    Returns
    -------
    Array of shape (columns, rows, slices) of the wanted grid, float32 for order 1, else the type of ``data``.
    """
    heights = stack.heights
    reach = np.diff(heights).max() / 2
    chosen = range(shape[2]) if slices is None else list(slices)
    result = np.full((*shape[:2], len(chosen)), background, np.float32 if order else data.dtype)
    for place, index in enumerate(chosen):
        height = (affine[:3, 3] + index * affine[:3, 2] - stack.origins[0]) @ stack.normal
        if not -reach <= height <= heights[-1] + reach:
            continue
        for source, weight in _neighbours(heights, height, order):
            plane = _sample_plane(stack, data, source, shape, affine, index, order, background)
            if weight == 1:
                result[..., place] = plane
            else:
                result[..., place] += weight * (plane - background)
    return result


def _neighbours(heights: np.ndarray, height: float, order: int) -> list[tuple[int, float]]:
    """Return the slices that a plane at ``height`` is made of, with their weights."""
    nearest = int(np.abs(heights - height).argmin())
    if order == 0 or abs(heights[nearest] - height) < 1e-3 or not heights[0] < height < heights[-1]:
        return [(nearest, 1.0)]
    upper = int(np.searchsorted(heights, height))
    weight = float((height - heights[upper - 1]) / (heights[upper] - heights[upper - 1]))
    return [(upper - 1, 1 - weight), (upper, weight)]


def _sample_plane(
    stack: Stack,
    data: np.ndarray,
    source: int,
    shape: tuple[int, int, int],
    affine: np.ndarray,
    index: int,
    order: int,
    background: float,
) -> np.ndarray:
    """Sample one acquired slice along the normal of the stack at the pixels of one wanted slice."""
    to_pixel = np.stack([step / (step @ step) for step in (stack.column_step, stack.row_step)])
    start = affine[:3, 3] + index * affine[:3, 2] - stack.origins[source]
    plane = data[..., source].astype(np.float32, copy=False) if order else data[..., source]
    return ndimage.affine_transform(
        plane,
        to_pixel @ affine[:3, :2],
        to_pixel @ start,
        output_shape=shape[:2],
        order=order,
        mode="grid-constant",  # "constant" drops edge pixels that rounding puts a hair outside
        cval=background,
    )
