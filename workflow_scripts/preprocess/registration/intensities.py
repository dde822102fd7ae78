"""How images look to the registration."""

import numpy as np

from workflow_scripts.common.volume import Volume
from workflow_scripts.preprocess.voxels.morphology import dilate

BRIGHTEST_QUANTILE = 0.995


def ct_for_registration(ct: Volume, brain: np.ndarray, window_hu: tuple[float, float], background: float) -> Volume:
    """Clip a CT to a window of soft tissue and set everything outside the brain to ``background`` (HU)."""
    return ct.with_data(np.where(brain, np.clip(ct.data, *window_hu), np.float32(background)))


def mri_for_registration(stripped: Volume) -> Volume:
    """Clip a stripped MRI (0 outside the brain) at 0 and at its 99.5th percentile inside.

    Without the upper limit a bright lesion would leave the rest of the brain few of the histogram's bins.
    """
    inside = stripped.data[stripped.data > 0]
    brightest = float(np.quantile(inside, BRIGHTEST_QUANTILE)) if inside.size else 0.0
    return stripped.with_data(np.clip(stripped.data, 0, brightest))


def registration_mask(brain: np.ndarray, spacing: np.ndarray, margin_mm: float) -> np.ndarray:
    """Widen a brain mask, so that the contrast at the surface of the brain takes part in the registration."""
    return dilate(brain, spacing, margin_mm)
