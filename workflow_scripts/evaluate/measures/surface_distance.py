"""Distances between the surfaces of two masks, and what is measured with them (docs/metrics.md)."""

from typing import NamedTuple

import edt
import numpy as np
from scipy.spatial import KDTree

from workflow_scripts.common.masks import bounding_box
from workflow_scripts.common.volume import Volume
from workflow_scripts.evaluate.measures.acquired import AcquiredMask

ROUNDING = 1e-6  # of a distance, relative; the distance transform computes with 32 bits
ORTHOGONAL = 1e-5  # cosine between the axes of a grid, below which the nearest voxel is that of a regular grid
# What a query of the tree and a point in it take, in voxels of a distance transform (measured; they decide speed only).
QUERY, BUILD = 100, 5
NEAR, LOOK_UPS = 3, 2  # voxels along an axis within which a neighbour is looked up; look-ups a voxel of the box


class SurfaceDistances(NamedTuple):
    """For each surface voxel of a mask the distance in mm to the nearest of the other mask, shapes (n,) and (m,)."""

    from_reference: np.ndarray
    from_prediction: np.ndarray


def surface_distances(reference: Volume, prediction: Volume) -> SurfaceDistances | None:
    """Return the distances of both directions; None when a mask is empty.

    The surface of a mask is the set of its voxels that have a face neighbour outside the mask or outside the image.
    Distances are taken between voxel centres in world coordinates, so any affine is right, sheared ones included, and
    acquired slices (`AcquiredMask`) lie where they were acquired.
    """
    masks = [volume.data for volume in (reference, prediction)]
    if not all(mask.any() for mask in masks):
        return None
    if isinstance(reference, AcquiredMask) and not reference.stack.equal_gaps:
        points = [reference.points(np.argwhere(_surface(np.pad(mask, 1))) - 1) for mask in masks]
        return SurfaceDistances(_search(*points, np.eye(3)), _search(*reversed(points), np.eye(3)))
    box = bounding_box(masks[0] | masks[1])
    surfaces = [_surface(np.pad(mask[box], NEAR)) for mask in masks]
    axes = reference.affine[:3, :3]
    return SurfaceDistances(_to_nearest(*surfaces, axes), _to_nearest(*reversed(surfaces), axes))


def hd95_mm(distances: SurfaceDistances | None) -> float | None:
    """Return the 95th percentile Hausdorff distance in mm: the larger of the 95th percentiles of the two directions.

    Percentiles are interpolated linearly. None when a mask is empty.

    Example
    -------
    >>> near, far = np.zeros((2, 9, 9, 9), bool)
    >>> near[2, 4, 4] = far[7, 4, 4] = True
    >>> hd95_mm(surface_distances(*(Volume(mask, np.diag([2.0, 1, 1, 1])) for mask in (near, far))))
    10.0
    """
    return None if distances is None else float(max(np.percentile(directed, 95) for directed in distances))


def surface_dice(distances: SurfaceDistances | None, tolerance_mm: float) -> float | None:
    """Return the share of both surfaces that lies within ``tolerance_mm`` of the other one (Nikolov et al. 2021).

    Surface voxels are counted, not weighed by area. None when a mask is empty.
    """
    if distances is None:
        return None
    # Distances of exactly the tolerance, which rounding may move to either side, are within it.
    within = sum(np.count_nonzero(directed <= tolerance_mm * (1 + ROUNDING)) for directed in distances)
    return within / sum(map(len, distances))


def diagonal_mm(volume: Volume) -> float:
    """Return the longest distance between two voxel centres of an image, mm.

    Example
    -------
    >>> diagonal_mm(Volume(np.zeros((4, 5, 1)), np.eye(4)))
    5.0
    """
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(volume.data.shape) - 1)
    world = corners @ volume.affine[:3, :3].T
    return float(np.linalg.norm(world[:, None] - world[None], axis=-1).max())


def _surface(mask: np.ndarray) -> np.ndarray:
    """Return where a boolean mask, which is empty at the rim of its array, has a face neighbour outside itself."""
    buried = mask.copy()
    for axis in range(mask.ndim):  # ten times as fast as an erosion of scipy
        for shift in (slice(None, -1), slice(1, None)):
            here, there = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
            here[axis], there[axis] = shift, slice(1, None) if shift.stop else slice(None, -1)
            buried[tuple(here)] &= mask[tuple(there)]
    return mask & ~buried


def _to_nearest(surface: np.ndarray, other: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the distance in mm (n,) of each voxel of a surface to the nearest one of the other, in C order.

    Both are boolean and empty within `NEAR` voxels of the rim. Few voxels are sought in a tree. For many, neighbours
    are looked up first, and those that have none near are read from the distance transform, whose time depends on the
    box alone. Both need a grid whose axes (columns, mm) stand at right angles.
    """
    spacing = np.linalg.norm(axes, axis=0)
    cosines = (axes.T @ axes) / np.outer(spacing, spacing)
    places, targets = np.flatnonzero(surface), np.count_nonzero(other)
    if np.abs(cosines - np.eye(3)).max() > ORTHOGONAL:
        return _search(np.argwhere(surface), np.argwhere(other), axes)
    distances, far = np.empty(len(places)), np.arange(len(places))
    if QUERY * len(places) + BUILD * targets >= surface.size:
        distances, far = _look_up(places, other, spacing)
    if not len(far):
        return distances
    if QUERY * len(far) + BUILD * targets < surface.size:
        points = np.stack(np.unravel_index(places[far], surface.shape), axis=1)
        distances[far] = _search(points, _within_reach(points, np.argwhere(other), spacing), np.diag(spacing))
    else:
        squared = edt.edtsq(~other, anisotropy=tuple(spacing), parallel=1)
        distances[far] = np.sqrt(squared.ravel()[places[far]].astype(float))
    return distances


def _look_up(places: np.ndarray, other: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances (n,) of the voxels with flat indices ``places`` that have a neighbour, and which have none.

    Neighbours are asked from the nearest on, until `LOOK_UPS` a voxel of the box are spent.
    """
    steps = np.array(list(np.ndindex(*[2 * NEAR + 1] * 3))) - NEAR
    lengths = np.linalg.norm(steps * spacing, axis=1)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] < (NEAR + 1) * spacing.min()]  # farther on, a nearer one may lie beyond `NEAR`
    flat = steps @ [other.shape[1] * other.shape[2], other.shape[2], 1]
    occupied = other.ravel()
    distances, far, left = np.empty(len(places)), np.arange(len(places)), LOOK_UPS * other.size
    for step, length in zip(flat[order], lengths[order], strict=True):
        if left <= 0 or not len(far):
            break
        left -= len(far)
        found = occupied[places + step]
        distances[far[found]] = length
        far, places = far[~found], places[~found]
    return distances, far


def _search(points: np.ndarray, targets: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the distances (n,) of points (n, 3) to the nearest of (m, 3) by a tree; ``axes`` is any 3×3 matrix."""
    # Unbalanced, a tree is ten times as fast where much of a surface is equally far.
    tree = KDTree(targets @ axes.T, leafsize=32, balanced_tree=False, compact_nodes=False)
    return tree.query(points @ axes.T)[0]


def _within_reach(points: np.ndarray, targets: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the targets that may be the nearest of a point: no farther from the points' box than one target can be."""
    low, high = points.min(axis=0), points.max(axis=0)
    to_farthest_corner = np.maximum(np.abs(targets - low), np.abs(targets - high)) * spacing
    to_box = np.maximum(np.maximum(low - targets, targets - high), 0) * spacing
    reach = np.linalg.norm(to_farthest_corner, axis=1).min()
    return targets[np.linalg.norm(to_box, axis=1) <= reach * (1 + 1e-9)]
