"""Pixels outside the acquired field of a CT."""

import numpy as np
from scipy import ndimage

SAME_HU = 0.5


def without_padding(slices: np.ndarray, padding_hu: float, floor_hu: float) -> np.ndarray:
    """Give the padding of each slice, array (column, row, slice), the lowest HU.

    It is what has the padding's value and is connected to the slice's rim, since tissue may have that value too.
    Values below ``floor_hu`` are padding already and left to whoever clips there.
    """
    if padding_hu <= floor_hu:
        return slices
    cleaned = np.array(slices)
    for index in range(slices.shape[2]):
        labels, _ = ndimage.label(np.abs(slices[..., index] - padding_hu) < SAME_HU)
        rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        cleaned[np.isin(labels, rim[rim > 0]), index] = floor_hu
    return cleaned
