"""Masks: how much two agree, and where one lies."""

import numpy as np


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Return 2|A∩B| / (|A|+|B|) of two boolean arrays; 1 when both are empty, 0 when one is.

    Example
    -------
    >>> round(float(dice(np.array([True, True]), np.array([True, False]))), 3)
    0.667
    """
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0


def bounding_box(mask: np.ndarray, margin: int = 0) -> tuple[slice, ...]:
    """Return the smallest box around a mask, widened by ``margin`` voxels but not beyond the array.

    Example
    -------
    >>> bounding_box(np.array([False, False, True, True, False]), margin=1)
    (slice(1, 5, None),)
    """
    box = []
    for axis, size in enumerate(mask.shape):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        box.append(slice(max(int(inside[0]) - margin, 0), min(int(inside[-1]) + 1 + margin, size)))
    return tuple(box)
