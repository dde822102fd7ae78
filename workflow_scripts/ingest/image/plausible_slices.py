"""Whether each slice of a CT goes with its neighbours."""

from collections.abc import Sequence

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.ingest.image.head_ct_check import AIR_HU

WINDOW_HU = (-1024, 2000)
JUMP_HU = (
    250.0  # mean difference of neighbouring slices; between those of a head it is below 150 even at the skull base
)
STANDS_OUT = 2.0  # times as unlike either neighbour as these are unlike each other
NOISE_HU = 30.0
NEARLY_SQUARE = 1.5  # longer over shorter side of a pixel
TORN = 3.0  # times the change along the other axis; heads have 1.0 to 1.5, rows of a wrong length 7
TISSUE_HU = (-20, 120)
BONE_HU = 300
SAME_TISSUE_HU = 10.0  # medians of what is tissue in one of two neighbours; brain over ventricles makes 5
SAME_AIR_HU = 20.0
LEAST_PIXELS = 50


def require_smooth_values(slices: np.ndarray) -> None:
    """Raise `InputError` where a slice has values that its neighbours have not; array (column, row, slice), HU.

    A slice whose file had another rescaling, was damaged or belongs to another scan differs from both neighbours by
    more than these differ from each other; a block of such slices differs at its ends by more than anatomy does.
    """
    count = slices.shape[2]
    planes = (np.clip(slices[..., index], *WINDOW_HU).astype(np.float32) for index in range(count))
    before, last, step, stride = None, None, [], []
    for plane in planes:
        if last is not None:
            step.append(float(np.abs(plane - last).mean()))
        if before is not None:
            stride.append(float(np.abs(plane - before).mean()))
        before, last = last, plane
    odd = {
        index + 1
        for index, across in enumerate(stride)
        if min(step[index], step[index + 1]) > STANDS_OUT * across + NOISE_HU
    }
    odd |= {index + 1 for index, size in enumerate(step) if size > JUMP_HU}
    if odd:
        first = min(odd) + 1
        raise InputError(
            f"Slice {first} of {count} does not go with its neighbours: it has other values, or other anatomy.",
            "fetch that image again; in a study, leave it out and raise ingest.max_missing_slices.",
        )


def require_whole_rows(slices: np.ndarray, pixel_mm: Sequence[float]) -> None:
    """Raise `InputError` where neighbouring rows have nothing in common, as where their length is wrong.

    Heads change as much from row to row as from column to column; array (column, row, slice), HU, and the size of a
    pixel along both. Pixels that are not nearly square say nothing.
    """
    if max(pixel_mm) > NEARLY_SQUARE * min(pixel_mm):
        return
    changes = [0.0, 0.0]
    for index in range(slices.shape[2]):
        plane = np.clip(slices[..., index], *WINDOW_HU).astype(np.float32)
        for axis in (0, 1):
            changes[axis] += float(np.abs(np.diff(plane, axis=axis)).mean())
    if max(changes) > TORN * min(changes):
        raise InputError(
            "The rows of the NCCT's slices do not go with each other: the number of rows or columns is wrong.",
            "export the original images again.",
        )


def require_like_tissue(slices: np.ndarray) -> None:
    """Raise `InputError` where tissue or air of a slice has other HU than the slice below has in the same places.

    For slices with a rescaling each, of which one that is wrong by little makes no jump yet; array (column, row,
    slice), HU.
    """
    count = slices.shape[2]
    for index in range(1, count):
        pair = slices[..., index - 1], slices[..., index]
        if any(map(_differs, *_compared(*pair))):
            raise InputError(
                f"Slices {index} and {index + 1} of {count} have rescalings of their own and do not agree in HU.",
                "export the original images again.",
            )


def _compared(lower: np.ndarray, upper: np.ndarray) -> tuple[list[np.ndarray], list[float]]:
    """Return differences of two slices where one is tissue and the other no bone, and where both are air; limits."""
    change = upper - lower
    soft = (np.minimum(lower, upper) > AIR_HU) & (np.maximum(lower, upper) < BONE_HU)
    air = np.maximum(lower, upper) < AIR_HU
    tissue = [(plane >= TISSUE_HU[0]) & (plane <= TISSUE_HU[1]) for plane in (lower, upper)]
    # Where most of the tissue lies under bone, as at the vertex, its borders are compared and say nothing.
    kept = [change[soft & part] for part in tissue if 2 * np.count_nonzero(soft & part) > np.count_nonzero(part)]
    return [*kept, change[air]], [*[SAME_TISSUE_HU] * len(kept), SAME_AIR_HU]


def _differs(change: np.ndarray, most: float) -> bool:
    return change.size >= LEAST_PIXELS and abs(float(np.median(change))) > most
