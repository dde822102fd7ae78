"""How much the members of an ensemble agree."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import ndimage

from workflow_scripts.common.masks import dice
from workflow_scripts.common.volume import Volume


def share_of_members(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Return in each voxel the share of the masks (0 and 1) that mark it, float32.

    Examples
    --------
    >>> share_of_members([np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0])])
    array([1. , 0.5, 0. , 0. ], dtype=float32)
    """
    return np.mean(masks, axis=0, dtype=np.float64).astype(np.float32)


def mean_probability(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of the members' lesion probabilities, float32; summed in float64, as in `vote`."""
    return np.mean(probabilities, axis=0, dtype=np.float64).astype(np.float32)


def dice_of_pairs(masks: Sequence[np.ndarray]) -> list[float]:
    """Return the Dice of every pair of masks; none for a single mask."""
    return [float(dice(first > 0, second > 0)) for first, second in combinations(masks, 2)]


def components_ml(mask: Volume) -> list[float]:
    """Return the volumes of a mask's connected parts, the largest first, mL; voxels touch by face, edge or corner."""
    labels, count = ndimage.label(mask.data > 0, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * mask.voxel_ml
    return sorted((float(size) for size in sizes), reverse=True)
