"""Whether metal lies so near the brain that its streaks can spoil the brain mask."""

import numpy as np

from workflow_scripts.common.volume import Volume
from workflow_scripts.preprocess.voxels.morphology import dilate

METAL_HU = 2500.0  # the densest bone has up to 2300 HU in a scan of 1.5 mm, a tooth 2800; metal ends the scale at 3071
NEAR_MM = 30.0  # the teeth lie farther from the brain


def metal_near(head: Volume, brain: np.ndarray) -> float:
    """Return how much metal there is in the brain mask or within 30 mm of it, in mL.

    ``head`` is in HU; ``brain`` is boolean, on its grid.
    """
    metal = head.data > METAL_HU
    if not metal.any():
        return 0.0
    return float(np.count_nonzero(metal & dilate(brain, head.spacing, NEAR_MM)) * head.voxel_ml)
