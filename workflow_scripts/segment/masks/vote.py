"""The vote of several models (paper 3.5: majority of three)."""

from collections.abc import Sequence

import numpy as np


def vote(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return where the mean of the members exceeds one half, as uint8.

    For masks of 0 and 1 that is the majority vote; a tie, which needs an even number of masks, counts as background.
    For probabilities it is the decision of their mean. The order of the members does not matter.

    Examples
    --------
    >>> vote([np.array([1, 1, 0]), np.array([1, 0, 0]), np.array([0, 1, 0])])
    array([1, 1, 0], dtype=uint8)
    """
    return (np.mean(members, axis=0, dtype=np.float64) > 0.5).astype(np.uint8)
