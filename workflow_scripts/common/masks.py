"""How much two masks agree."""

import numpy as np


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Return 2|A∩B| / (|A|+|B|) of two boolean arrays; 1 when both are empty, 0 when one is."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0
