"""Confidence intervals that hold at the small n of a stroke study; docs/statistics.md has their coverage."""

import numpy as np
from scipy import stats

from workflow_scripts.common.seeds import generator

LEAST_N = 6  # the range of five values holds the median with 94 %, so that there is no interval of 95 %
TOO_FEW = f"n < {LEAST_N}: no interval"
ENOUGH = 10  # from here on intervals cover as they say (docs/statistics.md)
FEW = f"n < {ENOUGH}: 95 % intervals of six patients cover 88 to 99 % in simulations"
# Of the probability to miss beyond the upper bound, what is used: a small sample of long-tailed values mostly lacks
# the tail, and its upper bound is too low more often than a bootstrap of the sample can know.
UPPER_SHARE = 0.4
ROUNDING = 1e-9  # of a correlation; one that is nearer to ±1 is ±1

Interval = tuple[float, float] | tuple[None, None]
NONE: Interval = (None, None)


def of_few(n: int) -> list[str]:
    """Return what is to be noted of intervals of n patients; nothing where they are enough.

    Example
    -------
    >>> of_few(5), of_few(10)
    (['n < 6: no interval'], [])
    """
    return [] if n >= ENOUGH else [TOO_FEW if n < LEAST_N else FEW]


def mean_interval(values: np.ndarray, confidence: float) -> Interval:
    """Return Student's interval of the mean of values (n,); none below `LEAST_N` or where all are equal."""
    n = len(values)
    if n < LEAST_N or np.ptp(values) == 0:
        return NONE
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)


def skewed_mean_interval(values: np.ndarray, confidence: float, *, draws: int, seed: int) -> Interval:
    """Return the studentised bootstrap interval (percentile-t) of the mean of values (n,) with a long upper tail.

    For distances, absolute volumes and counts, whose mean Student's interval covers less often than it says. The upper
    bound is calibrated by `UPPER_SHARE` (docs/statistics.md). Where so many values are equal that samples without
    spread leave no bound, it is Student's. None below `LEAST_N` or where all are equal.
    """
    if len(values) < LEAST_N or np.ptp(values) == 0:
        return NONE
    ratios = _studentised(values, draws, seed)
    tail = (1 - confidence) / 2
    below, above = np.quantile(ratios, [UPPER_SHARE * tail, 1 - tail], method="inverted_cdf")
    if not np.isfinite([below, above]).all():
        return mean_interval(values, confidence)
    return float(values.mean() - above * values.std()), float(values.mean() - below * values.std())


def symmetric_mean_interval(values: np.ndarray, confidence: float, *, draws: int, seed: int) -> Interval:
    """Return the symmetric studentised bootstrap interval of the mean of values (n,), as far down as up.

    For differences of Dice, many of which are 0 where both arms miss a lesion, so that Student's interval covers less
    often than it says. Student's, or none, where `skewed_mean_interval` is.
    """
    if len(values) < LEAST_N or np.ptp(values) == 0:
        return NONE
    reach = np.quantile(np.abs(_studentised(values, draws, seed)), confidence, method="inverted_cdf")
    if not np.isfinite(reach):
        return mean_interval(values, confidence)
    return float(values.mean() - reach * values.std()), float(values.mean() + reach * values.std())


def _studentised(values: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return how far the means of bootstrap samples lie from that of values (n,), in their own deviations (draws,)."""
    sampled = values[generator(seed, "interval of a mean").integers(0, len(values), (draws, len(values)))]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (sampled.mean(axis=1) - values.mean()) / sampled.std(axis=1)
    return np.where(np.isnan(ratios), 0.0, ratios)


def within(interval: Interval, least: float, most: float) -> Interval:
    """End an interval where the measure itself does, which takes no value out of it.

    Example
    -------
    >>> within((-0.02, 0.3), 0, 1)
    (0, 0.3)
    """
    low, high = interval
    return NONE if low is None or high is None else (max(low, least), min(high, most))


def median_interval(values: np.ndarray, confidence: float) -> Interval:
    """Return the interval of the median of values (n,) from order statistics.

    The k-th smallest and the k-th largest value enclose the median with a binomial probability. The interval lies
    between the two pairs whose probabilities enclose ``confidence`` (Hettmansperger and Sheather 1986). Where the
    median is a value that many patients share, as 0 may be, it covers more often than it says. None below `LEAST_N` or
    where all are equal.
    """
    n = len(values)
    if n < LEAST_N or np.ptp(values) == 0:
        return NONE
    depths = np.arange(1, (n + 1) // 2 + 1)
    coverage = 1 - 2 * stats.binom.cdf(depths - 1, n, 0.5)
    outer = int(np.count_nonzero(coverage >= confidence))
    if not outer:
        return NONE
    ordered = np.sort(values)
    ends = np.array([ordered[outer - 1], ordered[n - outer]])
    if outer < len(depths):
        wide, narrow = coverage[outer - 1], coverage[outer]
        part = (wide - confidence) / (wide - narrow)
        inwards = (n - outer) * part / (outer + (n - 2 * outer) * part)
        ends = (1 - inwards) * ends + inwards * np.array([ordered[outer], ordered[n - outer - 1]])
    return float(ends[0]), float(ends[1])


def correlation_interval(estimate: float, error: float, degrees: int, confidence: float) -> Interval:
    """Return the interval of a correlation whose Fisher's z has the standard error ``error``; none at ±1."""
    if not abs(estimate) < 1 - ROUNDING:
        return NONE
    half = stats.t.ppf((1 + confidence) / 2, degrees) * error
    return float(np.tanh(np.arctanh(estimate) - half)), float(np.tanh(np.arctanh(estimate) + half))
