"""Distances between the surfaces of two masks, and what is measured with them (docs/metrics.md)."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from workflow_scripts.common.volume import Volume

ORTHOGONAL = 1e-5  # cosine between the axes of a grid, below which the nearest voxel is that of a regular grid
# What a query of the tree and a point in it take, in voxels of a distance transform (measured; they decide speed only).
QUERY, BUILD = 100, 5


class SurfaceDistances(NamedTuple):
    """For each surface voxel of a mask the distance in mm to the nearest of the other mask, shapes (n,) and (m,)."""

    from_reference: np.ndarray
    from_prediction: np.ndarray


def surface_distances(reference: Volume, prediction: Volume) -> SurfaceDistances | None:
    """Return the distances of both directions; None when a mask is empty.

    The surface of a mask is the set of its voxels that have a face neighbour outside the mask or outside the image.
    Distances are taken between voxel centres in world coordinates, so any affine is right, sheared ones included.
    """
    surfaces = [_surface_voxels(mask.data) for mask in (reference, prediction)]
    if not all(map(len, surfaces)):
        return None
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
    within = sum(np.count_nonzero(directed <= tolerance_mm * (1 + 1e-9)) for directed in distances)
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


def _surface_voxels(mask: np.ndarray) -> np.ndarray:
    """Return the indices (n, 3) of the surface voxels of a boolean mask."""
    if not mask.any():
        return np.empty((0, 3), int)
    occupied = [np.flatnonzero(mask.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    inside = mask[tuple(slice(along[0], along[-1] + 1) for along in occupied)]
    padded = np.pad(inside, 1)
    buried = inside.copy()
    for axis, size in enumerate(inside.shape):  # ten times as fast as an erosion of scipy
        middle = [slice(1, -1)] * inside.ndim
        for first in (0, 2):
            middle[axis] = slice(first, first + size)
            buried &= padded[tuple(middle)]
    return np.argwhere(inside & ~buried) + [along[0] for along in occupied]


def _to_nearest(points: np.ndarray, targets: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the distance in mm (n,) of each point (n, 3) to the nearest target (m, 3); both are voxel indices.

    Few points are sought in a tree. For many the distance transform of the box around both is faster, and its time
    depends on the box alone; it needs a grid whose axes (columns, mm) stand at right angles.
    """
    spacing = np.linalg.norm(axes, axis=0)
    cosines = (axes.T @ axes) / np.outer(spacing, spacing)
    if np.abs(cosines - np.eye(3)).max() > ORTHOGONAL:
        return _tree(targets @ axes.T).query(points @ axes.T)[0]
    targets = _within_reach(points, targets, spacing)
    low = np.minimum(points.min(axis=0), targets.min(axis=0))
    shape = np.maximum(points.max(axis=0), targets.max(axis=0)) + 1 - low
    if QUERY * len(points) + BUILD * len(targets) < shape.prod():
        return _tree(targets * spacing).query(points * spacing)[0]
    elsewhere = np.ones(shape, bool)
    elsewhere[tuple((targets - low).T)] = False
    nearest = ndimage.distance_transform_edt(elsewhere, sampling=spacing, return_distances=False, return_indices=True)
    offsets = points - low - nearest[:, *(points - low).T].T
    return np.linalg.norm(offsets * spacing, axis=1)


def _tree(targets: np.ndarray) -> KDTree:
    """Return a tree of points (m, 3); unbalanced, it is ten times as fast where much of a surface is equally far."""
    return KDTree(targets, leafsize=32, balanced_tree=False, compact_nodes=False)


def _within_reach(points: np.ndarray, targets: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the targets that may be the nearest of a point: no farther from the points' box than one target can be."""
    low, high = points.min(axis=0), points.max(axis=0)
    to_farthest_corner = np.maximum(np.abs(targets - low), np.abs(targets - high)) * spacing
    to_box = np.maximum(np.maximum(low - targets, targets - high), 0) * spacing
    reach = np.linalg.norm(to_farthest_corner, axis=1).min()
    return targets[np.linalg.norm(to_box, axis=1) <= reach * (1 + 1e-9)]
