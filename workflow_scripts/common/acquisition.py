"""The acquired geometry of a scan, as ``ncct.json`` holds it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from workflow_scripts.common.stack import Stack

EXACT_MM = 0.01


def describe(stack: Stack) -> dict[str, Any]:
    """Return the entries of ``ncct.json`` that `stack_of` reads; RAS+, mm, array axes (column, row, slice).

    ``acquired_origins``, the first pixel of each slice, is null where the affine gives the same positions.
    """
    regular = Stack.of_grid(stack.shape, stack.affine)
    exact = np.abs(regular.origins - stack.origins).max() < EXACT_MM
    return {
        "acquired_shape": list(stack.shape),
        "acquired_affine": stack.affine.tolist(),
        "acquired_origins": None if exact else stack.origins.tolist(),
        "equal_gaps": stack.equal_gaps,
        "tilt_degrees": round(stack.tilt_degrees, 4),
    }


def stack_of(record: Mapping[str, Any]) -> Stack:
    """Return the acquired slices that `describe` wrote."""
    affine = np.array(record["acquired_affine"])
    regular = Stack.of_grid(tuple(record["acquired_shape"]), affine)
    origins = record["acquired_origins"]
    return regular if origins is None else replace(regular, origins=np.array(origins))
