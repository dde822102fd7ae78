"""Binary morphology with balls measured in mm, so that it means the same on a fine and on a coarse grid."""

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from workflow_scripts.common.masks import bounding_box


def erode(mask: np.ndarray, spacing: np.ndarray, radius_mm: float) -> np.ndarray:
    """Keep voxels farther than ``radius_mm`` from every voxel outside; the edge of the array is not outside."""
    if mask.all() or not mask.any():
        return mask
    box = bounding_box(mask, margin=1)
    eroded = np.zeros(mask.shape, bool)
    eroded[box] = ndimage.distance_transform_edt(mask[box], sampling=spacing) > radius_mm
    return eroded


def dilate(mask: np.ndarray, spacing: np.ndarray, radius_mm: float) -> np.ndarray:
    """Add voxels within ``radius_mm`` of the mask."""
    if not mask.any():
        return mask
    box = bounding_box(mask, margin=int(np.ceil(radius_mm / np.min(spacing))))
    dilated = np.zeros(mask.shape, bool)
    dilated[box] = ndimage.distance_transform_edt(~mask[box], sampling=spacing) <= radius_mm
    return dilated


def opened(mask: np.ndarray, spacing: np.ndarray, radius_mm: float) -> np.ndarray:
    """Remove what a ball does not fit into."""
    return mask & dilate(erode(mask, spacing, radius_mm), spacing, radius_mm)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Keep the largest face-connected component; an empty mask stays empty."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask.astype(bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def hull_excess(mask: np.ndarray) -> float | None:
    """Return (volume of the convex hull − volume) / volume, or ``None`` for a mask without volume.

    The hull runs through the centres of the outer voxel faces, between the hull of the voxel centres, which is too
    small, and that of the corners, which is too large.
    """
    points = np.concatenate([_outer_faces(mask, axis) for axis in range(3)]) if mask.any() else np.empty((0, 3))
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):
        return None
    return float(hull.volume / np.count_nonzero(mask) - 1)


def _outer_faces(mask: np.ndarray, axis: int) -> np.ndarray:
    """Return the first and last face of the mask along every line in direction ``axis``, shape (points, 3)."""
    lines = np.argwhere(mask.any(axis=axis))
    first = mask.argmax(axis=axis)[tuple(lines.T)]
    last = mask.shape[axis] - 1 - np.flip(mask, axis).argmax(axis=axis)[tuple(lines.T)]
    return np.concatenate([np.insert(lines.astype(float), axis, end, axis=1) for end in (first - 0.5, last + 0.5)])
