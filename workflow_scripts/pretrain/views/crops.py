"""Pairs of views of images (paper 3.4.1, 3.7.3): where they are cut and how one is read.

All positions and sizes are in voxels in the order (z, y, x). Drawing knows only geometry and works on all images of a
batch at once; reading touches only the voxels of the view.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.pretrain.settings import PretrainSettings
from workflow_scripts.pretrain.views.scans import Scan, Sliceable


@dataclass(frozen=True)
class Crops:
    """V boxes in the grids of scans, which they may leave.

    Attributes
    ----------
    scan
        index of the scan, shape (V,)
    start, size
        first voxel and number of voxels along z, y and x, shape (V, 3)
    mirrored
        whether the box is read from the mirrored image, bool (V,)
    angle
        radians that the box is turned by around its middle in the plane, from y to x, shape (V,)
    """

    scan: np.ndarray
    start: np.ndarray
    size: np.ndarray
    mirrored: np.ndarray
    angle: np.ndarray

    def __len__(self) -> int:
        return len(self.scan)

    def of(self, rows: np.ndarray) -> Self:
        """Return some of the crops."""
        return Crops(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Join crops, first part first."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


@dataclass(frozen=True)
class BrainBoxes:
    """What the crops of n scans are placed by.

    Attributes
    ----------
    box
        first and one past last index of the brain along z, y and x, shape (n, 3, 2)
    brain_below
        brain voxels in the box below its slice h, for h from 0 to the greatest height, shape (n, H + 1)
    """

    box: np.ndarray
    brain_below: np.ndarray

    @classmethod
    def of(cls, scans: Sequence[Scan]) -> Self:
        """Collect the boxes of some scans."""
        box = np.array([scan.box for scan in scans])
        below = np.zeros((len(scans), int(np.diff(box[:, 0]).max()) + 1))
        for row, scan in zip(below, scans, strict=True):
            row[1:] = scan.brain_area.sum()
            row[1 : len(scan.brain_area) + 1] = np.cumsum(scan.brain_area)
        return cls(box, below)


def draw_views(
    boxes: BrainBoxes, chosen: np.ndarray, settings: PretrainSettings, rng: np.random.Generator
) -> list[Crops]:
    """Place the views of B scans, whose indices are ``chosen``.

    A slab of the brain's bounding box is drawn; inside it both views share the height (unless ``independent_z``) and
    one parent crop in the plane, and each is a smaller crop of that parent. With the symmetry augmentation one of the
    two, either with the same chance, is read from the mirrored image (paper 3.7.3). Local views (multi-crop of DINO)
    come from the same slab and parent; where a view of the pair is mirrored, each of them is with the same chance.

    Returns
    -------
    list of Crops
        the pairs, 2B: the first views of all scans, then their second views; and, if there are any, the local views:
        B for each of ``local_views.count``
    """
    count, local = len(chosen), settings.local_views
    slab = draw_slabs(boxes, chosen, settings, rng)
    offset = rng.integers(settings.slab_slices - settings.patch_size[0] + 1, size=(2, count))
    if not settings.independent_z:
        offset[1] = offset[0]
    low, high = np.moveaxis(boxes.box[chosen, 1:], 2, 0)
    parent = _draw_inside(settings.patch_size[1:], low, high, settings.parent_scale, rng)

    def place(patch: Sequence[int], scale: Sequence[float], first: np.ndarray, mirrored: np.ndarray) -> Crops:
        start, size = _draw_inside(patch[1:], parent[0], parent[0] + parent[1], scale, rng)
        height = np.full(count, patch[0])
        angle = _draw_angles(count, settings, rng)
        return Crops(chosen, np.column_stack([first, start]), np.column_stack([height, size]), mirrored, angle)

    contralateral = rng.random(count) < (settings.symmetry_probability if settings.symmetry else 0.0)
    side = rng.random(count) < 0.5
    pair = [
        place(settings.patch_size, settings.view_scale, slab + offset[view], contralateral & (side == (view == 0)))
        for view in range(2)
    ]
    locals_ = [
        place(
            local.patch_size,
            local.scale,
            slab + rng.integers(settings.slab_slices - local.patch_size[0] + 1, size=count),
            contralateral & (rng.random(count) < 0.5),
        )
        for _ in range(local.count)
    ]
    return [Crops.joined(views) for views in (pair, locals_) if views]


def draw_slabs(
    boxes: BrainBoxes, chosen: np.ndarray, settings: PretrainSettings, rng: np.random.Generator
) -> np.ndarray:
    """Draw the first slice of a slab of each bounding box (B,), preferring slabs that hold much brain.

    A slab whose brain fraction is below ``min_brain_fraction`` is drawn again with the probability of its background
    fraction; the last of ``max_draws`` draws is kept (paper 3.4.1). A brain lower than the slab is centred in it.
    """
    (bottom, top), slices = boxes.box[chosen, 0].T, settings.slab_slices
    spare = top - bottom - slices
    start = _centred(slices, bottom, top)
    pending = spare > 0
    for _ in range(settings.max_draws):
        drawn = bottom + _below(spare + 1, rng)
        start = np.where(pending, drawn, start)
        fraction = brain_fraction(boxes, chosen, start, slices)
        pending &= (fraction < settings.min_brain_fraction) & (rng.random(len(chosen)) >= fraction)
    return start


def brain_fraction(boxes: BrainBoxes, chosen: np.ndarray, start: np.ndarray, slices: int) -> np.ndarray:
    """Share of brain voxels in slabs that span the bounding box in the plane, shape (B,)."""
    box, highest = boxes.box[chosen], boxes.brain_below.shape[1] - 1
    first = (start - box[:, 0, 0]).clip(0, highest)
    last = (start - box[:, 0, 0] + slices).clip(0, highest)
    voxels = boxes.brain_below[chosen, last] - boxes.brain_below[chosen, first]
    return voxels / (np.prod(box[:, 1:, 1] - box[:, 1:, 0], axis=1) * slices)


def read_view(
    scan: Scan, start: Sequence[int], size: Sequence[int], mirrored: bool, patch: Sequence[int], angle: float = 0.0
) -> Tensor:
    """Read a crop, pad it with background and scale it in the plane to the patch.

    Returns
    -------
    Tensor
        shape (C, *patch); z is never scaled, y and x are interpolated bilinearly
    """
    array = scan.mirrored if mirrored else scan.image
    if angle:
        plane = _read_turned(array, start, size, patch, angle, scan.background)
    else:
        plane = torch.from_numpy(read_block(array, start, size, scan.background)).reshape(1, -1, *size[1:])
        if tuple(size[1:]) != tuple(patch[1:]):
            plane = F.interpolate(plane, size=tuple(patch[1:]), mode="bilinear", align_corners=False)
    return plane.reshape(-1, *patch)


def _read_turned(
    array: Sliceable,
    start: Sequence[int],
    size: Sequence[int],
    patch: Sequence[int],
    angle: float,
    background: np.ndarray,
) -> Tensor:
    """Read the square around a turned box, (C, z, y, x), and the box from it: (1, C z, *patch's plane)."""
    reach = int(np.ceil(np.hypot(*size[1:]) / 2)) + 1
    first = [begin + length // 2 - reach for begin, length in zip(start[1:], size[1:], strict=True)]
    square = 2 * reach + 1
    block = torch.from_numpy(read_block(array, (start[0], *first), (size[0], square, square), background))
    y, x = turned(torch.tensor([size[1:]]), patch[1:], torch.tensor([angle]))
    places = torch.stack([x + (start[2] - first[1]), y + (start[1] - first[0])], dim=-1).float()
    # From -1 at the first voxel to 1 at the last, x before y.
    places = 2 * places / (square - 1) - 1
    return F.grid_sample(block.reshape(1, -1, square, square), places, mode="bilinear", align_corners=True)


def turned(size: Tensor, patch: Sequence[int], angle: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the points of patches (h, w) lie in boxes that are turned around their middles.

    Points and voxels are centred in equal parts of the box, as in ``interpolate(align_corners=False)``.

    Parameters
    ----------
    size
        voxels of the boxes along y and x, (V, 2)
    angle
        radians, (V,)

    Returns
    -------
    tuple
        y and x in voxels from the first one of the box before it is turned, both float64 (V, h, w)
    """
    size, cosine, sine = (
        size[:, :, None, None],
        *(part(angle.double())[:, None, None] for part in (torch.cos, torch.sin)),
    )
    y, x = (
        (torch.arange(length, device=angle.device) + 0.5).mul(1 / length).sub(0.5) * size[:, axis, 0].double()
        for axis, length in enumerate(patch)
    )
    middle_y, middle_x = (size[:, axis] / 2 - 0.5 for axis in range(2))
    y, x = y[:, :, None], x[:, None, :]
    return middle_y + cosine * y - sine * x, middle_x + sine * y + cosine * x


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
    patch: Sequence[int], low: np.ndarray, high: np.ndarray, scale: Sequence[float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw spans of ``scale`` times the patch between ``low`` and ``high`` (B, 2): starts and sizes along y and x.

    Where the drawn size does not fit it is the patch's own. Room narrower than that is centred in it (the rest becomes
    background).
    """
    room = high - low
    size = np.rint(patch * rng.uniform(*scale, low.shape)).astype(int)
    size = np.where(size > room, patch, size)
    free = low + _below(room - size + 1, rng)
    return np.where(size <= room, free, _centred(size, low, high)), size


def _draw_angles(count: int, settings: PretrainSettings, rng: np.random.Generator) -> np.ndarray:
    rotation = settings.augmentation["rotation"]
    if not rotation["probability"]:
        return np.zeros(count)
    turned_ones = rng.random(count) < rotation["probability"]
    return np.where(turned_ones, np.deg2rad(rng.uniform(*rotation["degrees"], count)), 0.0)


def _below(limit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw whole numbers from 0 up to below ``limit``, one each."""
    return (rng.random(limit.shape) * limit).astype(int)


def _centred(size: np.ndarray | int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return low - (size - (high - low)) // 2
