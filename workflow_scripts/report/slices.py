"""Slices of RAS+ volumes as pictures, in radiological convention: the patient's right is at the left of the picture."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from workflow_scripts.common.volume import Volume, load_volume, resample, same_grid, to_ras

PLANES = ("sagittal", "coronal", "axial")
GAP = 4
JPEG_QUALITY = 75


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
    used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
    return (int(used[0]), int(used[-1])) if len(used) else (0, mask.shape[axis] - 1)


def spread(mask: np.ndarray, axis: int, count: int) -> list[int]:
    """Return ``count`` indices along an axis, evenly spread inside the extent of a mask."""
    first, last = extent(mask, axis)
    return [round(first + (last - first) * (step + 0.5) / count) for step in range(count)]


def largest_slice(mask: np.ndarray, axis: int) -> int:
    """Return the index along an axis at which a mask has its largest area."""
    return int(mask.sum(axis=tuple(other for other in range(3) if other != axis)).argmax())


def grey(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map values from ``low`` (black) to ``high`` (white) to RGB, uint8, shape (rows, columns, 3)."""
    scaled = np.clip((image - low) / (high - low), 0, 1) * 255
    return np.repeat(np.rint(scaled).astype(np.uint8)[..., None], 3, axis=2)


def diverging(image: np.ndarray, limit: float) -> np.ndarray:
    """Map −limit to orange, 0 to black, +limit to violet; RGB, uint8."""
    share = np.clip(image / limit, -1, 1)[..., None]
    colour = np.where(share < 0, (255, 170, 40), (190, 150, 255))
    return np.rint(colour * np.abs(share)).astype(np.uint8)


def enlarge(picture: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge an RGB picture by a whole factor, interpolating."""
    size = (picture.shape[1] * scale, picture.shape[0] * scale)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def outlined(picture: np.ndarray, mask: np.ndarray, colour: str, scale: int) -> np.ndarray:
    """Draw the outline of a mask, given at the unscaled size, two pixels wide into an enlarged picture."""
    large = np.kron(mask.astype(bool), np.ones((scale, scale), bool))
    line = large & ~ndimage.binary_erosion(large, iterations=2 if scale > 1 else 1)
    drawn = picture.copy()
    drawn[line] = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return drawn


def strip(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Put pictures side by side on black, centred vertically."""
    height = max(tile.shape[0] for tile in tiles)
    width = sum(tile.shape[1] for tile in tiles) + GAP * (len(tiles) - 1)
    canvas = np.zeros((height, width, 3), np.uint8)
    left = 0
    for tile in tiles:
        top = (height - tile.shape[0]) // 2
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        left += tile.shape[1] + GAP
    return canvas


def jpeg_uri(picture: np.ndarray) -> str:
    """Encode a picture as a data URI that a page can hold."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return data_uri(buffer.getvalue(), "image/jpeg")


def data_uri(content: bytes, media_type: str) -> str:
    """Encode bytes as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def views(axial: Iterable[int], coronal: int, sagittal: int) -> list[tuple[int, int]]:
    """Return (axis, index) of the slices of one strip: axial ones from below, then a coronal and a sagittal one."""
    return [*((2, index) for index in sorted(axial)), (1, coronal), (0, sagittal)]
