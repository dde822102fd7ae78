"""Whether a registered MRI lies where the NCCT says: measured on the result, however it came about.

Both numbers compare the MRI with the NCCT of the same case, so neither needs a reference cohort or a unit of signal.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from workflow_scripts.common.volume import Volume, resample, same_grid
from workflow_scripts.preprocess.voxels.information import mutual_information
from workflow_scripts.preprocess.voxels.morphology import erode

BINS = 16
SMOOTHING_MM = 2.0
POINTS = 40_000
STEPS_MM = (8.0, 4.0, 2.0)
FARTHEST_MM = 24.0
LEAST_GAIN = 1.002
SURFACE_MM = 5.0


def mri_quality(ncct: Volume, mirrored: Volume, brain: np.ndarray, mri: Volume) -> dict[str, Any]:
    """Return how a registered MRI fits the NCCT; the first two images share a grid with the mask."""
    on_grid = mri if same_grid(ncct, mri) else resample(mri, ncct.data.shape, ncct.affine, order=1, background=0)
    return {
        "mri_offset_mm": offset_mm(ncct, brain, mri),
        "mri_side_ratio": side_ratio(ncct, mirrored, brain, on_grid),
    }


def offset_mm(ncct: Volume, brain: np.ndarray, mri: Volume) -> float:
    """Return how far the MRI must be shifted, in mm, to share most information with the NCCT; 0 where it lies best.

    Mutual information over the voxels of the brain, climbed along the axes in steps down to 2 mm and to 24 mm at
    most. ``mri`` is 0 outside its brain; ``brain`` is boolean, on the grid of ``ncct``.
    """
    voxels = np.argwhere(brain)
    voxels = voxels[:: max(len(voxels) // POINTS, 1)]
    values = _smooth(ncct)[tuple(voxels.T)]
    labels = np.searchsorted(_edges(values), values)
    moving, index = _smooth(mri), np.linalg.inv(mri.affine)
    points = (ncct.affine @ np.column_stack([voxels, np.ones(len(voxels))]).T)[:3]
    edges = _edges(moving[moving > 0]) if (moving > 0).any() else np.zeros(1)

    def information(shift: np.ndarray) -> float:
        places = index[:3, :3] @ (points + shift[:, None]) + index[:3, 3:]
        found = ndimage.map_coordinates(moving, places, order=1, mode="grid-constant", cval=0)
        return _information(labels, np.searchsorted(edges, found))

    return float(np.linalg.norm(_climb(information)))


def side_ratio(ncct: Volume, mirrored: Volume, brain: np.ndarray, mri: Volume) -> float | None:
    """Return the information that the MRI shares with the NCCT over what it shares with the mirrored NCCT.

    Above 1 for images of one head; below 1 where one of them has left and right swapped; near 1 where they show two
    heads. Mutual information inside the brain, away from its surface, less its bias in samples of this size. All
    images share a grid; the mirrored one is at its minimum where it has no counterpart. ``None`` where too few voxels
    can be compared.
    """
    inside = erode(brain, ncct.spacing, SURFACE_MM) & (mirrored.data > mirrored.data.min()) & (mri.data > 0)
    if np.count_nonzero(inside) < BINS**3:
        return None
    signal = _ranked(_smooth(mri)[inside])
    own, other = (_information(_ranked(_smooth(image)[inside]), signal) for image in (ncct, mirrored))
    bias = (BINS - 1) ** 2 / (2 * np.count_nonzero(inside))
    return max(own - bias, 0.0) / max(other - bias, bias)


def _climb(information: Callable[[np.ndarray], float]) -> np.ndarray:
    best, most = np.zeros(3), information(np.zeros(3))
    for step in STEPS_MM:
        moves = [sign * step * axis for axis in np.eye(3) for sign in (-1, 1)]
        while True:
            tried = [
                (information(best + move), best + move) for move in moves if np.abs(best + move).max() <= FARTHEST_MM
            ]
            value, place = max(tried, key=lambda pair: pair[0])
            if value <= LEAST_GAIN * most:
                break
            best, most = place, value
    return best


def _smooth(image: Volume) -> np.ndarray:
    sigma = SMOOTHING_MM / image.spacing
    return ndimage.gaussian_filter(image.data.astype(np.float32), np.where(sigma > 0.5, sigma, 0))


def _edges(values: np.ndarray) -> np.ndarray:
    """Return the limits between bins of equal numbers of values."""
    return np.quantile(values, np.arange(1, BINS) / BINS)


def _ranked(values: np.ndarray) -> np.ndarray:
    return np.searchsorted(_edges(values), values)


def _information(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mutual information of two arrays of bins 0 to 16."""
    size = BINS + 1
    return mutual_information(np.bincount(first * size + second, minlength=size * size).reshape(size, size))
