"""What went wrong in a segmentation: lesions missed, false lesions, the boundary, or the side."""

import numpy as np
from scipy import ndimage

NEIGHBOURS = np.ones((3, 3, 3), bool)
SHARE = 0.25  # of the volume: below it, a missed or false part is no more than the boundary's trouble
LARGER = 1.5  # times the reference: segmentation too large; the inverse: too small


def what_went_wrong(reference: np.ndarray, segmentation: np.ndarray, middle: float) -> list[str]:
    """Name the errors of a segmentation, the gravest first; empty where both masks are empty or equal.

    Parameters
    ----------
    reference, segmentation
        boolean, shape (x, y, z) of RAS+ orientation, on one grid
    middle
        index along x that lies between the hemispheres, for example that of the brain's centre

    Returns
    -------
    Of ``missed``, ``false lesion``, ``side``, ``boundary``. A part that is no more than a quarter of its mask is not
    named. ``side``: the masks do not touch and lie on different sides of ``middle``.
    """
    if np.array_equal(reference, segmentation):
        return []
    if not segmentation.any():
        return ["missed"]
    if not reference.any():
        return ["false lesion"]
    if not (reference & segmentation).any():
        opposite = (_centre(reference) - middle) * (_centre(segmentation) - middle) < 0
        return ["side"] if opposite else ["missed", "false lesion"]
    missed, false = _apart(reference, segmentation), _apart(segmentation, reference)
    found = [(missed, "missed"), (false, "false lesion")]
    named = [word for share, word in sorted(found, key=lambda pair: -pair[0]) if share > SHARE]
    return [*named, "boundary"]


def size_in_words(reference: np.ndarray, segmentation: np.ndarray) -> str:
    """Say whether a segmentation is much larger or smaller than its reference; empty where it is neither."""
    if not reference.any() or not segmentation.any():
        return ""
    ratio = segmentation.sum() / reference.sum()
    return "too large" if ratio > LARGER else "too small" if ratio < 1 / LARGER else ""


def _apart(mask: np.ndarray, other: np.ndarray) -> float:
    """Return the share of a mask that lies in components without a voxel of the other one."""
    labels, count = ndimage.label(mask, NEIGHBOURS)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    touched = np.unique(labels[mask & other])
    return float(1 - sizes[touched].sum() / sizes[1:].sum())


def _centre(mask: np.ndarray) -> float:
    return float(np.nonzero(mask)[0].mean())
