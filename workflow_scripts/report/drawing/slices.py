"""Slices of RAS+ volumes as pictures, in radiological convention: the patient's right is at the left of the picture."""

import base64
import io
from pathlib import Path

import numpy as np
from contourpy import contour_generator
from PIL import Image

from workflow_scripts.common.masks import bounding_box
from workflow_scripts.common.volume import Volume, load_volume, resample, same_grid, to_ras

PLANES = ("sagittal", "coronal", "axial")
JPEG_QUALITY = 80


def load_ras(path: Path) -> Volume:
    """Read an image with its array axes turned closest to right, anterior, superior."""
    return to_ras(load_volume(path))


def on_grid(volume: Volume, grid: Volume, order: int, background: float) -> Volume:
    """Return the image on another image's grid; as it is when it already lies there."""
    if same_grid(volume, grid):
        return volume
    return resample(volume, grid.data.shape, grid.affine, order=order, background=background)


def plane(data: np.ndarray, axis: int, index: int) -> np.ndarray:
    """Cut an array (x, y, z) of RAS+ orientation; returns rows from the top and columns from the left as displayed.

    Axial and coronal slices have the patient's right at the left, sagittal ones the front at the left.
    """
    return data.take(index, axis=axis)[::-1, ::-1].T


def extent(mask: np.ndarray, axis: int) -> tuple[int, int]:
    """Return the first and the last index of a mask along an axis; of the whole array when the mask is empty."""
    if not mask.any():
        return 0, mask.shape[axis] - 1
    along = bounding_box(mask)[axis]
    return along.start, along.stop - 1


def spread(mask: np.ndarray, axis: int, count: int) -> list[int]:
    """Return ``count`` indices along an axis, evenly spread inside the extent of a mask."""
    first, last = extent(mask, axis)
    return [round(first + (last - first) * (step + 0.5) / count) for step in range(count)]


def largest_slice(mask: np.ndarray, axis: int) -> int:
    """Return the index along an axis at which a mask has its largest area."""
    return int(mask.sum(axis=tuple(other for other in range(3) if other != axis)).argmax())


def grey(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map values from ``low`` (black) to ``high`` (white); uint8, same shape."""
    scaled = np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 255
    return np.rint(scaled).astype(np.uint8)


def diverging(image: np.ndarray, limit: float) -> np.ndarray:
    """Map −limit to orange, 0 to black, +limit to violet; RGB, uint8, shape (rows, columns, 3)."""
    share = np.clip(image / limit, -1, 1)[..., None]
    colour = np.where(share < 0, (255, 170, 40), (190, 150, 255))
    return np.rint(colour * np.abs(share)).astype(np.uint8)


def enlarge(picture: np.ndarray, least: int) -> np.ndarray:
    """Enlarge a picture, interpolating, by the smallest whole factor that makes both sides ``least`` pixels or more."""
    scale = -(-least // min(picture.shape[:2]))
    if scale < 2:
        return picture
    size = (picture.shape[1] * scale, picture.shape[0] * scale)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def reduce(picture: np.ndarray, most: int) -> np.ndarray:
    """Shrink a picture by the smallest whole factor that makes its shorter side ``most`` pixels or less."""
    return np.asarray(Image.fromarray(picture).reduce(-(-min(picture.shape[:2]) // most)))


def outline(mask: np.ndarray, height: float, width: float) -> str:
    """Return the outline of a mask as an SVG path, empty for an empty mask.

    ``mask`` is boolean, shape (rows, columns) as displayed; ``height`` and ``width`` are those of a pixel in the units
    of the drawing, whose origin is the upper left corner of the mask.
    """
    lines = contour_generator(z=np.pad(mask, 1).astype(np.float32)).lines(0.5)
    return "".join(_closed_path((line - 0.5) * (width, height)) for line in lines)


def _closed_path(points: np.ndarray) -> str:
    """Write a closed line, shape (points, 2) as (x, y), in whole units without points on the straight."""
    points = np.rint(points[:-1]).astype(int)
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    corners = points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    if len(corners) < 3:
        return ""
    start, steps = corners[0], np.diff(corners, axis=0)
    return f"M{start[0]} {start[1]}l" + " ".join(f"{x} {y}" for x, y in steps) + "z"


def jpeg_uri(picture: np.ndarray) -> str:
    """Encode a picture, grey or RGB, as a data URI that a page can hold."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return data_uri(buffer.getvalue(), "image/jpeg")


def webp_uri(png: Path) -> str:
    """Encode the pixels of an opaque PNG as lossless WebP, a third of its size, as a data URI."""
    buffer = io.BytesIO()
    with Image.open(png) as picture:
        picture.convert("RGB").save(buffer, "WEBP", lossless=True, method=2)
    return data_uri(buffer.getvalue(), "image/webp")


def data_uri(content: bytes, media_type: str) -> str:
    """Encode bytes as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
