"""Masks brought back from the grid of the final images to that of the acquired scan."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.volume import Volume, resample

ONE_HALF_TOLERANCE = 1e-4


def to_acquired(mask: Volume, conversion: Mapping[str, Any]) -> Volume:
    """Return ``mask`` on the acquired grid (`resample_mask`), 0 outside the image that was segmented.

    Parameters
    ----------
    mask
        uint8, on the grid of the final images
    conversion
        content of ``ncct.json``: the acquired slices, array axes (column, row, slice), RAS+, mm

    Returns
    -------
    Slices in the order of the acquired ones, each sampled where it was acquired. The affine is theirs (sheared for a
    tilted gantry); where their gaps differ, no affine is, and it has the mean gap (`describe_slices` says the rest).
    """
    stack = stack_of(conversion)
    affine = np.asarray(conversion["acquired_affine"], float)
    if conversion["acquired_origins"] is None:
        return resample_mask(mask, stack.shape, affine)
    slices = []
    for origin in stack.origins:
        place = affine.copy()
        place[:3, 3] = origin
        slices.append(resample_mask(mask, (stack.columns, stack.rows, 1), place).data)
    return Volume(np.concatenate(slices, axis=2), affine)


def resample_mask(mask: Volume, shape: tuple[int, int, int], affine: np.ndarray) -> Volume:
    """Sample a mask on another grid where linear interpolation says more than one half.

    As nnU-Net brings its segmentations back. Between two voxels of 1 mm this follows the border better than the
    nearest one does. Where the value is one half, as midway between two slices, the nearest voxel decides.

    Returns
    -------
    uint8 of ``shape``, RAS+, mm
    """
    share = resample(mask, shape, affine, order=1, background=0).data
    nearest = resample(mask, shape, affine, order=0, background=0).data
    undecided = np.abs(share - 0.5) < ONE_HALF_TOLERANCE
    return Volume(np.where(undecided, nearest, share > 0.5).astype(np.uint8), np.asarray(affine, float))
