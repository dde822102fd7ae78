"""Slices as pictures on a page, and outlines of masks over them.

Lengths on a picture are in tenths of a millimetre, so that everything on a page has one scale.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workflow_scripts.common.volume import Volume
from workflow_scripts.report.drawing import slices

PER_MM = 10
LEAST_PIXELS = 128
THUMBNAIL_PIXELS = 80
SCAN_MARGIN_MM = 18
LEFT_EDGE = ("A", "R", "R")  # what lies at the left edge of sagittal, coronal and axial pictures

View = tuple[int, int]
Paint = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Picture:
    """A slice as a data URI; ``name`` is unique on the page, so that one encoding serves wherever it is shown."""

    name: str
    uri: str
    width: float
    height: float
    left: str


@dataclass(frozen=True)
class Tile:
    """Pictures of one place on top of each other, each with its caption, and outlines as (class, path)."""

    pictures: tuple[tuple[Picture, str], ...]
    outlines: tuple[tuple[str, str], ...] = ()

    @property
    def width(self) -> float:
        """Width of the first picture."""
        return self.pictures[0][0].width

    @property
    def height(self) -> float:
        """Height of the first picture."""
        return self.pictures[0][0].height


def picture(name: str, volume: Volume, view: View, paint: Paint) -> Picture:
    """Encode one slice of an image."""
    axis, index = view
    cut = paint(slices.plane(volume.data, axis, index))
    height, width = _size(volume, axis)
    return Picture(f"{name}-{'xyz'[axis]}{index}", slices.jpeg_uri(cut), width, height, LEFT_EDGE[axis])


def thumbnail(name: str, volume: Volume, view: View, window: tuple[float, float]) -> Picture:
    """Encode one slice of an image in grey and small; ``window`` is black and white in its unit."""
    return picture(name, volume, view, lambda cut: slices.reduce(slices.grey(cut, *window), THUMBNAIL_PIXELS))


def contour(mask: np.ndarray, grid: Volume, view: View) -> str:
    """Return the outline of a mask in one slice as an SVG path; ``mask`` is boolean, on the grid of ``grid``."""
    axis, index = view
    cut = slices.plane(mask, axis, index)
    height, width = _size(grid, axis)
    return slices.outline(cut, height / cut.shape[0], width / cut.shape[1])


def around(volume: Volume, mask: np.ndarray) -> Volume:
    """Cut an image to the box around a mask on its grid, with a margin that shows what lies beside the mask."""
    box = []
    for axis, spacing in enumerate(volume.spacing):
        first, last = slices.extent(mask, axis)
        margin = round(SCAN_MARGIN_MM / spacing)
        box.append(slice(max(first - margin, 0), last + margin + 1))
    affine = volume.affine.copy()
    affine[:3, 3] = (volume.affine @ [*(part.start for part in box), 1])[:3]
    return Volume(volume.data[tuple(box)], affine)


def greys(window: tuple[float, float]) -> Paint:
    """Paint in grey, from black to white over ``window``, in the unit of the image."""
    return lambda cut: slices.enlarge(slices.grey(cut, *window), LEAST_PIXELS)


def diverging(limit: float) -> Paint:
    """Paint 0 white and full colour from ``limit`` on, either way."""
    return lambda cut: slices.enlarge(slices.diverging(cut, limit), LEAST_PIXELS)


def _size(volume: Volume, axis: int) -> tuple[float, float]:
    """Return height and width of the slices across an axis."""
    across, up = (other for other in range(3) if other != axis)
    sizes = PER_MM * volume.spacing * volume.data.shape
    return float(sizes[up]), float(sizes[across])
