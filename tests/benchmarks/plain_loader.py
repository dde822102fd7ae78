"""A reference of the pretraining's benchmark: a loader as it is usually written.

It makes views one after the other with batchgenerators, with the ranges and order of the authors' recipe, blur and
shift slice by slice. The authors scale slices with OpenCV; torch takes as long (0.3 to 0.5 ms a view), and
scipy's zoom, which stood here before, 10 ms.
"""

import numpy as np
import torch
from batchgenerators.augmentations import color_augmentations as colour
from batchgenerators.augmentations.noise_augmentations import augment_gaussian_blur, augment_gaussian_noise
from torch.nn import functional as F


def plain_views(scan: np.ndarray, background: float, patch: tuple[int, int, int], rng: np.random.Generator) -> list:
    """Two views of an array (z, y, x): shared parent crop, crops of their own, resized in the plane, augmented."""
    depth, *plane = patch
    start = rng.integers(scan.shape[0] - depth + 1)
    slab = scan[start : start + depth]
    parent = _crop(slab, [round(side * rng.uniform(1.4, 1.8)) for side in plane], background, rng)
    views = []
    for _ in range(2):
        view = _crop(parent, [round(side * rng.uniform(0.8, 1.2)) for side in plane], background, rng)
        scaled = F.interpolate(torch.from_numpy(view)[None], size=plane, mode="bilinear", align_corners=False)
        views.append(plain_augment(scaled[0].numpy(), rng))
    return views


def plain_augment(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Augment one view (z, y, x)."""
    volume = augment_gaussian_noise(view[None].astype(np.float32), (0, 0.1))
    if rng.random() < 0.8:
        volume = augment_gaussian_blur(volume[0], (0.1, 2.0), per_channel=True)[None]
    if rng.random() < 0.8:
        volume = colour.augment_brightness_multiplicative(volume, (0.75, 1.25))
    if rng.random() < 0.8:
        volume = colour.augment_brightness_additive(volume[0], 0, 0.4)[None]
    volume = colour.augment_contrast(volume, (0.75, 1.25), preserve_range=True)
    if rng.random() < 0.8:
        volume = colour.augment_gamma(volume, (0.7, 1.5), per_channel=True, retain_stats=True)
    for axis in (1, 2, 3):
        if rng.random() < 0.5:
            volume = np.flip(volume, axis)
    return np.ascontiguousarray(volume[0])


def _crop(array: np.ndarray, sides: list[int], background: float, rng: np.random.Generator) -> np.ndarray:
    missing = [max(0, side - length) for side, length in zip(sides, array.shape[1:], strict=True)]
    if any(missing):
        widths = [(0, 0), *((width // 2, width - width // 2) for width in missing)]
        array = np.pad(array, widths, constant_values=background)
    y, x = (rng.integers(length - side + 1) for side, length in zip(sides, array.shape[1:], strict=True))
    return array[:, y : y + sides[0], x : x + sides[1]]
