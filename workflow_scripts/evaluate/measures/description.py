"""Location and spread of a measure over the patients of a group."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workflow_scripts.evaluate.measures.intervals import LEAST_N, Interval, mean_interval, median_interval, of_few

ALL_EQUAL = "all values are equal: no interval"

OfMean = Callable[[np.ndarray, float], Interval]


@dataclass(frozen=True)
class Description:
    """Mean and median with their intervals; ``iqr`` is the width between the quartiles (linear interpolation)."""

    n: int
    mean: float | None = None
    mean_low: float | None = None
    mean_high: float | None = None
    sd: float | None = None
    median: float | None = None
    median_low: float | None = None
    median_high: float | None = None
    iqr: float | None = None
    note: str = ""


def describe(values: np.ndarray, confidence: float, of_mean: OfMean = mean_interval) -> Description:
    """Describe a sample (n,); NaN values are left out and not counted in ``n``. The deviation has n − 1.

    ``of_mean`` makes the interval of the mean. What cannot be said is None, and the note gives the reason.

    Example
    -------
    >>> described = describe(np.array([1.0, 2.0, 3.0, np.nan]), confidence=0.95)
    >>> described.n, described.mean, described.mean_low, described.note
    (3, 2.0, None, 'n < 6: no interval')
    """
    values = values[~np.isnan(values)]
    n = len(values)
    if not n:
        return Description(0, note="no value")
    notes = of_few(n)
    if n >= LEAST_N and np.ptp(values) == 0:
        notes.append(ALL_EQUAL)
    low, median, high = np.percentile(values, [25, 50, 75])
    return Description(
        n,
        float(values.mean()),
        *of_mean(values, confidence),
        float(values.std(ddof=1)) if n > 1 else None,
        float(median),
        *median_interval(values, confidence),
        float(high - low) if n > 1 else None,
        "; ".join(notes),
    )
