"""Whether a lesion mask lies where an infarct can be."""

from typing import Any

import numpy as np


def lesion_quality(lesion: np.ndarray, brain: np.ndarray, difference: np.ndarray) -> dict[str, Any]:
    """Return the share of a lesion mask outside the brain, and how much darker it is than the other side.

    ``lesion_darker_hu`` is the mean of ``difference`` (mirrored − NCCT, HU, 0 where there is none) inside the mask:
    positive where the lesion is darker than its counterpart, as an infarct is. For an empty mask both are ``None``.
    The masks are boolean; all three share a grid.
    """
    voxels = np.count_nonzero(lesion)
    compared = difference[lesion & (difference != 0)]
    return {
        "lesion_outside_brain_fraction": np.count_nonzero(lesion & ~brain) / voxels if voxels else None,
        "lesion_darker_hu": float(compared.mean()) if len(compared) else None,
    }
