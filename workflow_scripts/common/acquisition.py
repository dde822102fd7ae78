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


def describe_slices(stack: Stack, mask: np.ndarray) -> dict[str, Any]:
    """Return what no header of a mask on the acquired slices can say, array axes (column, row, slice); RAS+, mm.

    ``header_error_mm`` is the longest distance of a slice from where the one affine of a header puts it.
    """
    regular = Stack.of_grid(stack.shape, stack.affine)
    return {
        "lesion_ml": round(stack.millilitres(mask), 4),
        "equal_gaps": stack.equal_gaps,
        "tilt_degrees": round(stack.tilt_degrees, 4),
        "header_error_mm": round(float(np.linalg.norm(regular.origins - stack.origins, axis=1).max()), 3),
        "column_step": stack.column_step.tolist(),
        "row_step": stack.row_step.tolist(),
        "slice_origins": stack.origins.tolist(),
        "slice_shares": stack.shares.round(4).tolist(),
    }


def stack_of(record: Mapping[str, Any]) -> Stack:
    """Return the acquired slices that `describe` wrote."""
    affine = np.array(record["acquired_affine"])
    regular = Stack.of_grid(tuple(record["acquired_shape"]), affine)
    origins = record["acquired_origins"]
    return regular if origins is None else replace(regular, origins=np.array(origins))
