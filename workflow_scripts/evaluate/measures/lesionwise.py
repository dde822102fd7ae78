"""Lesions, the 26-connected components of a mask: which were found, which small ones do not count (docs/metrics.md)."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from workflow_scripts.common.volume import Volume
from workflow_scripts.evaluate.measures.acquired import slice_ml

FACES_EDGES_CORNERS = ndimage.generate_binary_structure(3, 3)
VOLUME_TOLERANCE = 1e-6


class Detection(NamedTuple):
    """Lesions of the reference that were found or missed, and predicted ones where the reference has none."""

    found: int
    missed: int
    false: int

    @property
    def f1(self) -> float:
        """2 found / (2 found + missed + false); 1 where neither mask holds a lesion."""
        total = 2 * self.found + self.missed + self.false
        return 2 * self.found / total if total else 1.0

    @property
    def sensitivity(self) -> float | None:
        """Share of the reference's lesions that were found; None where there are none."""
        lesions = self.found + self.missed
        return self.found / lesions if lesions else None


def detect(reference: np.ndarray, prediction: np.ndarray) -> Detection:
    """Match the lesions of two boolean masks (x, y, z) on one grid.

    A lesion of the reference is found if one voxel of it or more is predicted; a predicted lesion is false if no voxel
    of it lies in the reference (ISLES 2022, Hernandez Petzsche et al.). One predicted lesion may find several.

    Example
    -------
    >>> detect(np.array([[[1, 1, 0, 0, 1]]]) > 0, np.array([[[0, 1, 1, 0, 0]]]) > 0)
    Detection(found=1, missed=1, false=0)
    """
    referred, lesions = ndimage.label(reference, FACES_EDGES_CORNERS)
    predicted, candidates = ndimage.label(prediction, FACES_EDGES_CORNERS)
    both = reference & prediction
    found, confirmed = (len(np.unique(labels[both])) for labels in (referred, predicted))
    return Detection(found, lesions - found, candidates - confirmed)


def without_small_components(mask: Volume, limit_ml: float) -> Volume:
    """Return the mask without its 26-connected components of ``limit_ml`` or less.

    Example
    -------
    >>> mask = np.zeros((20, 20, 20), bool)
    >>> mask[:4, :4, :4] = mask[6:18, 6:18, 6:18] = True  # 0.064 mL and 1.728 mL
    >>> int(without_small_components(Volume(mask, np.eye(4)), 1.0).data.sum())
    1728
    """
    labels, _ = ndimage.label(mask.data, structure=FACES_EDGES_CORNERS)
    volumes = np.bincount(labels.ravel(), np.broadcast_to(slice_ml(mask), labels.shape).ravel())
    kept = volumes > limit_ml * (1 + VOLUME_TOLERANCE)
    kept[0] = False
    return mask.with_data(kept[labels])
