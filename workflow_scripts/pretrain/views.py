"""Pairs of views of one image (paper 3.4.1, 3.7.3): where they are cut and how they are read.

All positions and sizes are in voxels in the order (z, y, x). Drawing a pair of views knows only geometry; reading
touches only the voxels of the view.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.pretrain.cohort import Scan, Sliceable
from workflow_scripts.pretrain.settings import Settings

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Crop:
    """A box in the grid of a scan, which it may leave, and the array it is read from."""

    start: Triple
    size: Triple
    mirrored: bool


def draw_views(scan: Scan, settings: Settings, rng: np.random.Generator) -> tuple[Crop, Crop]:
    """Place two views of a scan.

    A slab of the brain's bounding box is drawn; inside it both views share the height (unless ``independent_z``) and
    one parent crop in the plane, and each is a smaller crop of that parent. With the symmetry augmentation one of the
    two, either with the same chance, is read from the mirrored image (paper 3.7.3).
    """
    patch = settings.patch_size
    slab = draw_slab(scan, settings, rng)
    height = [int(rng.integers(settings.slab_slices - patch[0] + 1)) for _ in range(2)]
    if not settings.independent_z:
        height[1] = height[0]
    parents = [_draw_inside(patch[axis], scan.box[axis], settings.parent_scale, rng) for axis in (1, 2)]
    pair = []
    for offset in height:
        spans = [_draw_inside(patch[axis], parents[axis - 1], settings.view_scale, rng) for axis in (1, 2)]
        pair.append((slab + offset, *(span[0] for span in spans), *(span[1] - span[0] for span in spans)))
    contralateral, first = rng.random() < settings.symmetry_probability, rng.random() < 0.5
    mirrored = (first, not first) if settings.symmetry and contralateral else (False, False)
    one, two = (
        Crop((z, y, x), (patch[0], height_y, width_x), side)
        for (z, y, x, height_y, width_x), side in zip(pair, mirrored, strict=True)
    )
    return one, two


def draw_slab(scan: Scan, settings: Settings, rng: np.random.Generator) -> int:
    """Draw the first slice of a slab of the bounding box, preferring slabs that hold much brain.

    A slab whose brain fraction is below ``min_brain_fraction`` is drawn again with the probability of its background
    fraction; the last of ``max_draws`` draws is kept (paper 3.4.1). A brain lower than the slab is centred in it.
    """
    (bottom, top), slices = scan.box[0], settings.slab_slices
    if top - bottom <= slices:
        return _centred(slices, bottom, top)
    for _ in range(settings.max_draws):
        start = int(rng.integers(bottom, top - slices + 1))
        fraction = brain_fraction(scan, start, slices)
        if fraction >= settings.min_brain_fraction or rng.random() < fraction:
            break
    return start


def brain_fraction(scan: Scan, start: int, slices: int) -> float:
    """Share of brain voxels in a slab that spans the bounding box in the plane."""
    first = start - scan.box[0][0]
    return float(scan.brain_area[first : first + slices].sum() / (scan.box_area * slices))


def read_view(scan: Scan, crop: Crop, patch: Sequence[int]) -> Tensor:
    """Read a crop, pad it with background and scale it in the plane to the patch.

    Returns
    -------
    Tensor
        shape (C, *patch); z is never scaled, y and x are interpolated bilinearly
    """
    array = scan.mirrored if crop.mirrored else scan.image
    block = torch.from_numpy(read_block(array, crop.start, crop.size, scan.background))
    channels, slices = block.shape[:2]
    plane = block.reshape(1, channels * slices, *crop.size[1:])
    if tuple(crop.size[1:]) != tuple(patch[1:]):
        plane = F.interpolate(plane, size=tuple(patch[1:]), mode="bilinear", align_corners=False)
    return plane.reshape(channels, *patch)


def read_block(array: Sliceable, start: Sequence[int], size: Sequence[int], background: np.ndarray) -> np.ndarray:
    """Read a box of an array (C, z, y, x); what lies outside the array gets the channel's ``background`` value."""
    block = np.empty((array.shape[0], *size), np.float32)
    block[...] = background.reshape(-1, 1, 1, 1)
    low = [max(first, 0) for first in start]
    high = [min(first + length, limit) for first, length, limit in zip(start, size, array.shape[1:], strict=True)]
    if all(a < b for a, b in zip(low, high, strict=True)):
        inner = tuple(slice(a - first, b - first) for a, b, first in zip(low, high, start, strict=True))
        block[(slice(None), *inner)] = array[(slice(None), *(slice(a, b) for a, b in zip(low, high, strict=True)))]
    return block


def _draw_inside(
    patch: int, room: tuple[int, int], scale: Sequence[float], rng: np.random.Generator
) -> tuple[int, int]:
    """Draw a span of ``scale`` times the patch inside ``room``; of the patch itself where the drawn size does not fit.

    Room narrower than the patch is centred in it (the rest becomes background).
    """
    low, high = room
    size = round(patch * rng.uniform(*scale))
    if size > high - low:
        size = patch
    position = rng.random()
    spare = high - low - size
    start = low + int(position * (spare + 1)) if spare >= 0 else _centred(size, low, high)
    return start, start + size


def _centred(size: int, low: int, high: int) -> int:
    return low - (size - (high - low)) // 2
