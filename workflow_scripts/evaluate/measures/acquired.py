"""Masks on the acquired slices, whose gaps may differ, so that no affine says where they lie."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from workflow_scripts.common.stack import Stack
from workflow_scripts.common.volume import Volume


@dataclass(frozen=True)
class AcquiredMask(Volume):
    """A boolean mask (column, row, slice) on the slices of ``stack``; the affine has their mean gap."""

    stack: Stack

    def with_data(self, data: np.ndarray) -> Self:
        """Return another mask on the same slices."""
        return replace(self, data=data)

    def points(self, indices: np.ndarray) -> np.ndarray:
        """Return the world coordinates in mm (n, 3) of voxel indices (n, 3), each in its slice's true place."""
        within = indices[:, :2] @ np.stack([self.stack.column_step, self.stack.row_step])
        return within + self.stack.origins[indices[:, 2]]


def slice_ml(mask: Volume) -> np.ndarray:
    """Return the volume in mL of one voxel of each slice along the third axis, shape (slices,)."""
    if not isinstance(mask, AcquiredMask):
        return np.full(mask.data.shape[2], mask.voxel_ml)
    stack = mask.stack
    return stack.shares * np.linalg.norm(np.cross(stack.column_step, stack.row_step)) / 1000


def volume_ml(mask: Volume) -> float:
    """Return the volume of a boolean mask in mL, each slice with the thickness that it stands for."""
    return float(np.count_nonzero(mask.data, axis=(0, 1)) @ slice_ml(mask))
