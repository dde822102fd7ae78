"""Masks that were drawn on a scan as acquired: of a lesion, or of the brain."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.stack import Stack, in_order_of, sample
from workflow_scripts.common.volume import Volume, resample, same_grid, to_ras
from workflow_scripts.ingest.image.drawn_on import find_grid, in_true_place
from workflow_scripts.ingest.image.head_ct_check import AIR_HU

ROUNDING = 1e-3
LESION = "lesion mask"


def follow(
    mask: Volume,
    stack: Stack,
    ncct: Volume,
    record: Mapping[str, Any] = MappingProxyType({}),
    name: str = LESION,
) -> Volume:
    """Bring a mask, called ``name`` in messages, to the grid of the upright NCCT by its nearest voxel.

    The mask lies either on the grid of ``ncct`` already; or on an image that dcm2niix makes of the scan, whose true
    place ``record`` (ncct.json) knows; or on the acquired slices. Programs that know no shear
    store those with a plain grid that starts at the first or the last slice, so the affine of such a mask has to
    agree within the planes and at that slice only; pixels then stay with their slice.

    Raises `InputError` when it lies on neither grid.
    """
    upright = to_ras(mask)
    if same_grid(upright, ncct):
        return upright.with_data(upright.data.astype(np.uint8))
    acquired = in_order_of(stack, mask)
    if grid := find_grid(acquired, record.get("dcm2niix_grids", [])):
        acquired = in_true_place(acquired, grid, stack)
        if grid["true_affine"] is not None:
            return resample(acquired, ncct.data.shape, ncct.affine, order=0, background=0)
    elif acquired.data.shape != stack.shape or not _starts_alike(stack, acquired):
        other = record.get("other_affine")
        if other is not None and same_grid(upright, to_ras(Volume(np.zeros(stack.shape, np.uint8), np.array(other)))):
            raise InputError(
                f"The {name} fits the qform of the NCCT's header, which places the scan by its sform.",
                "find out which is right, and give scan and mask that one only.",
            )
        raise InputError(
            f"The {name} {mask.data.shape} is not on the grid of the NCCT as acquired {stack.shape} "
            "(shape, or position within the planes, differs).",
            "draw or resample the mask on the NCCT's own grid"
            + (", or correct lesion_space in the case sheet." if name == LESION else "."),
        )
    target = in_order_of(stack, ncct)
    data = sample(stack, acquired.data.astype(np.uint8), target.data.shape, target.affine, order=0, background=0)
    return to_ras(Volume(data, target.affine))


def binary(mask: Volume, labels: Sequence[int] = (), name: str = LESION) -> Volume:
    """Return the mask as 0 and 1: where it has one of ``labels``, or its only one where none are given.

    Values within `ROUNDING` of a whole number are that number, since masks are resampled in floating point. Raises
    `InputError` when the mask holds other values, labels of which none is named, or no background.
    """
    whole = np.rint(mask.data)
    values = np.unique(whole if np.abs(mask.data - whole).max() < ROUNDING else mask.data)
    found = values[values != 0]
    fractions = found[found != np.rint(found)]
    if (fractions.size and found.size > 1) or (found.size > 1 and not labels):
        shown = ", ".join(f"{value:g}" for value in found[:5])
        raise InputError(
            f"The {name} holds {found.size} values beside 0 ({shown}{', …' if found.size > 5 else ''}).",
            "give a mask of 0 and one label."
            if fractions.size or name != LESION
            else "give a mask of 0 and one label, or name those that are lesion in column lesion_labels.",
        )
    if labels and found.size and not np.isin(found, labels).any():
        raise InputError(
            f"The lesion mask holds label {', '.join(f'{value:g}' for value in found[:5])}, "
            f"and none of those that are lesion ({', '.join(map(str, labels))}).",
            "correct lesion_labels in the case sheet or the configuration; a mask without lesion holds zeros only.",
        )
    if (found < 0).any():
        raise InputError(f"The {name} holds the negative label {found.min():g}.", "give a mask of 0 and one label.")
    if found.size and values.size == found.size:
        raise InputError(f"The {name} covers the whole image.", f"give a mask that is 0 outside the {name.split()[0]}.")
    if fractions.size:  # one value and 0: a mask, whatever its scale
        whole = np.where(mask.data > 0, 1, 0)
    return mask.with_data((np.isin(whole, labels) if labels else whole != 0).astype(np.uint8))


def require_in_head(mask: Volume, ncct: Volume, name: str = LESION, most: float = 0.5) -> None:
    """Raise `InputError` when more than a share of a mask lies in air or in the padding of the NCCT on its grid."""
    values, counts = np.unique(np.rint(ncct.data), return_counts=True)
    padding = values[counts.argmax()]
    covered = np.rint(ncct.data[mask.data > 0])
    outside = (covered < AIR_HU) | (covered == padding)
    if outside.size and outside.mean() > most:
        raise InputError(
            f"{100 * outside.mean():.0f} % of the {name} lie outside the head.",
            "check that the mask belongs to this scan and is not mirrored or shifted.",
        )


def _starts_alike(stack: Stack, mask: Volume) -> bool:
    """Say whether planes and the first or last slice agree within half a pixel."""
    steps = np.stack([stack.column_step, stack.row_step], axis=1)
    pixel = np.linalg.norm(steps, axis=0).min()
    field = np.array([stack.columns, stack.rows])
    if (np.linalg.norm(mask.affine[:3, :2] - steps, axis=0) * field > pixel / 2).any():
        return False
    ends = mask.affine[:3, 3] + np.array([[0], [len(stack.origins) - 1]]) * mask.affine[:3, 2]
    return bool((np.linalg.norm(ends - stack.origins[[0, -1]], axis=1) < pixel / 2).any())
