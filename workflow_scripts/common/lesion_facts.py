"""Volume and side of a lesion."""

from typing import Any

import numpy as np

from workflow_scripts.common.volume import Volume

BILATERAL_SHARE = 0.1


def lesion_facts(lesion: Volume, to_template: np.ndarray) -> dict[str, Any]:
    """Return the volume of a lesion mask, ``lesion_ml``, and its ``side`` (`side`)."""
    return {
        "lesion_ml": np.count_nonzero(lesion.data > 0) * lesion.voxel_ml,
        "side": side(lesion, to_template),
    }


def side(lesion: Volume, to_template: np.ndarray) -> str:
    """Say where a lesion lies: ``left``, ``right``, ``bilateral`` or, for an empty mask, ``none``.

    ``to_template`` maps the lesion's points to a template whose mid-sagittal plane is x = 0 (4×4, RAS+, mm; x grows to
    the patient's right). Bilateral: the smaller part has a tenth of the volume or more.
    """
    voxels = np.argwhere(lesion.data > 0)
    if not len(voxels):
        return "none"
    x = (to_template @ lesion.affine @ np.column_stack([voxels, np.ones(len(voxels))]).T)[0]
    right = np.count_nonzero(x > 0) / len(x)
    if min(right, 1 - right) >= BILATERAL_SHARE:
        return "bilateral"
    return "right" if right > 0.5 else "left"
