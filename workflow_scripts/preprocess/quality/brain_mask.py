"""Whether a brain mask holds the whole brain."""

import numpy as np
from scipy import ndimage

from workflow_scripts.common.masks import bounding_box
from workflow_scripts.common.volume import Volume
from workflow_scripts.preprocess.stripping.tissue import BRAIN_WINDOW_HU, SMOOTHING_MM

BEYOND_MM = 25.0


def tissue_beyond(head: Volume, brain: np.ndarray) -> float | None:
    """Return how thick the soft tissue beyond the brain mask is: the median over its surface, mm.

    Measured from a voxel at the surface to the nearest that is bone, air or padding, less one voxel. ``head`` is in HU;
    ``brain`` is boolean, on its grid. The skull lies a few mm from a brain, farther from a mask that is too small.
    ``None`` for an empty mask.
    """
    if not brain.any():
        return None
    box = bounding_box(brain, round(BEYOND_MM / head.spacing.min()))
    mask = brain[box]
    surface = mask & ~ndimage.binary_erosion(mask)
    hu = ndimage.gaussian_filter(head.data[box].astype(np.float32), SMOOTHING_MM / head.spacing)
    soft = (hu >= BRAIN_WINDOW_HU[0]) & (hu <= BRAIN_WINDOW_HU[1]) | mask
    if soft.all():
        return BEYOND_MM
    distance = ndimage.distance_transform_edt(soft, sampling=head.spacing)
    return float(max(np.median(distance[surface]) - head.spacing.mean(), 0.0))


def end_share(brain: np.ndarray) -> float:
    """Return the area of the mask's lowest or highest slice, whichever is larger, over that of its largest slice.

    ``brain`` is boolean, array axes RAS+. A whole brain ends in a dome above and a stem below; one that the field of
    view cuts off ends in a plane.
    """
    areas = brain.sum(axis=(0, 1))
    used = areas[areas > 0]
    return float(max(used[0], used[-1]) / used.max()) if len(used) else 0.0
