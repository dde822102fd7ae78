"""Lesion masks from label images: merged labels, floats that were ones, and no guess where nothing is marked."""

from collections.abc import Set

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume

WHOLE = 1e-3  # a label may be so far from a whole number: masks go through floating point
SAME_LABEL = 0.05  # values within 5 % of the highest are one label that was resampled or rescaled


def merge_labels(labels: np.ndarray, chosen: Set[int], known: Set[int] | None = None) -> np.ndarray:
    """Return 1 where ``labels`` has one of the ``chosen`` values; any shape, uint8.

    Raises `InputError` for a value that is not ``known`` (None: any value may occur), and for an image without any
    chosen one: that a label is not drawn does not say that there is no lesion.
    """
    whole = np.rint(labels).astype(np.int64)
    found = {int(value) for value in np.unique(whole)}
    if known is not None and (surplus := found - known - {0}):
        raise InputError(
            f"The label image holds {_listed(surplus)}, beside the known {_listed(known)}.",
            "download the file again; if that does not help, the data set has changed.",
        )
    if np.abs(labels - whole).max() > WHOLE:
        raise InputError("The label image holds fractions.", "download the file again.")
    if not found & chosen:
        marked = f"only {_listed(found - {0})}" if found - {0} else "nothing"
        raise InputError(
            f"The label image marks {marked}, and none of {_listed(chosen)}: whether there is a lesion is unknown.",
            "choose other --labels, or leave it unlabelled.",
        )
    return np.isin(whole, list(chosen)).astype(np.uint8)


def binary(mask: Volume) -> Volume:
    """Return a mask of one label as 0 and 1, whatever the label's number and its rounding.

    A mask of graded values, as resampling leaves them, is cut at half of the highest. All zeros stay so. Raises
    `InputError` for negative values and for several labels.
    """
    highest = float(mask.data.max())
    if mask.data.min() < -WHOLE:
        raise InputError("The mask holds negative values.", "give a mask of 0 and one label.")
    if highest < WHOLE:
        return mask.with_data(np.zeros(mask.data.shape, np.uint8))
    labels = np.unique(mask.data[mask.data > WHOLE])
    several = labels[labels < (1 - SAME_LABEL) * highest]
    if several.size and np.abs(labels - np.rint(labels)).max() < WHOLE:
        raise InputError(
            f"The mask holds several labels ({_listed({round(float(label)) for label in labels[:9]})}).",
            "say with --labels which of them are the lesion, or merge them.",
        )
    return mask.with_data((mask.data > highest / 2).astype(np.uint8))


def _listed(values: Set[int]) -> str:
    return ", ".join(map(str, sorted(values)))
