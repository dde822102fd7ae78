"""Whether each slice of a CT goes with its neighbours."""

import numpy as np

from workflow_scripts.common.errors import InputError

WINDOW_HU = (-1024, 2000)
JUMP_HU = (
    250.0  # mean difference of neighbouring slices; between those of a head it is below 150 even at the skull base
)
STANDS_OUT = 2.0  # times as unlike either neighbour as these are unlike each other
NOISE_HU = 30.0


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
            "fetch that image again, or leave it out and raise ingest.max_missing_slices.",
        )
