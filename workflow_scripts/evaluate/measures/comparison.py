"""The paired comparison of two arms on the same patients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pingouin
from scipy import stats

from workflow_scripts.evaluate.measures.description import OfMean
from workflow_scripts.evaluate.measures.intervals import mean_interval, of_few
from workflow_scripts.evaluate.measures.power import SIGNIFICANCE, detectable_difference, patients_needed
from workflow_scripts.evaluate.measures.signed_rank import (
    common_language,
    hodges_lehmann,
    rank_biserial,
    signed_rank_test,
)

MIN_PATIENTS = 3
DECIMALS = 9


@dataclass(frozen=True)
class Comparison:
    """Differences are second − first; positive effects say that ``second`` is higher."""

    n: int
    zeros: int
    mean_first: float | None = None
    mean_first_low: float | None = None
    mean_first_high: float | None = None
    mean_second: float | None = None
    mean_second_low: float | None = None
    mean_second_high: float | None = None
    mean_difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    hodges_lehmann: float | None = None
    hodges_lehmann_low: float | None = None
    hodges_lehmann_high: float | None = None
    shapiro_w: float | None = None
    shapiro_p: float | None = None
    statistic: float | None = None
    p: float | None = None
    method: str = ""
    rank_biserial: float | None = None
    common_language: float | None = None
    detectable_difference: float | None = None
    patients_needed: int | None = None
    note: str = ""


def compare(
    first: np.ndarray,
    second: np.ndarray,
    *,
    confidence: float,
    of_arm: OfMean = mean_interval,
    of_difference: OfMean = mean_interval,
) -> Comparison:
    """Compare two arms, one value of each patient (n,), by the exact two-sided signed-rank test.

    ``of_arm`` makes the interval of an arm's mean, ``of_difference`` that of the mean difference. Differences are
    rounded to nine decimals, so that rounding errors do not break ties. What cannot be said is None, and the note gives
    the reason.

    Example
    -------
    >>> first, second = np.array([0.1, 0.4, 0.5, 0.6, 0.7, 0.8]), np.array([0.2, 0.6, 0.5, 0.9, 0.75, 0.84])
    >>> compared = compare(first, second, confidence=0.95)
    >>> compared.n, compared.zeros, compared.method, compared.p, compared.rank_biserial
    (6, 1, 'exact', 0.0625, 1.0)
    """
    difference = np.round(second - first, DECIMALS)
    n, zeros = len(difference), int((difference == 0).sum())
    if n < MIN_PATIENTS:
        return Comparison(n, zeros, note=f"n < {MIN_PATIENTS}: no test")
    notes = of_few(n)
    first_low, first_high = of_arm(first, confidence)
    second_low, second_high = of_arm(second, confidence)
    low, high = of_difference(difference, confidence)
    shift, shift_low, shift_high = hodges_lehmann(difference, confidence)
    test = signed_rank_test(difference)
    result = Comparison(
        n,
        zeros,
        mean_first=float(first.mean()),
        mean_first_low=first_low,
        mean_first_high=first_high,
        mean_second=float(second.mean()),
        mean_second_low=second_low,
        mean_second_high=second_high,
        mean_difference=float(difference.mean()),
        difference_low=low,
        difference_high=high,
        hodges_lehmann=shift,
        hodges_lehmann_low=shift_low,
        hodges_lehmann_high=shift_high,
        statistic=test.statistic,
        p=test.p,
        method=test.method,
        rank_biserial=rank_biserial(difference),
        common_language=common_language(difference),
        detectable_difference=detectable_difference(difference),
        patients_needed=patients_needed(difference),
    )
    if np.ptp(difference):
        shapiro = stats.shapiro(difference)
        result = replace(result, shapiro_w=float(shapiro.statistic), shapiro_p=float(shapiro.pvalue))
    elif zeros:
        notes.append("all differences are zero: p is 1 by definition, no interval")
    else:
        notes.append("all differences are equal: no Shapiro-Wilk test, no interval")
    if test.least_p > SIGNIFICANCE and zeros < n:
        notes.append(f"{n - zeros} non-zero differences: p cannot fall below {test.least_p:.3g}")
    return replace(result, note="; ".join(notes))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust a family of p-values by Holm's step-down method; None stays None and is not counted.

    Example
    -------
    >>> holm([0.01, None, 0.03])
    [0.02, None, 0.03]
    """
    tested = np.array([np.nan if p is None else p for p in p_values], float)
    if np.isnan(tested).all():
        return [None] * len(tested)
    adjusted = pingouin.multicomp(tested, method="holm")[1]
    return [None if np.isnan(p) else float(p) for p in adjusted]
