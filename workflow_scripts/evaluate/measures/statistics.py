"""Statistics over scored cases, each told apart from a meaningless number by a note (paper 3.6 and 3.6.1).

A value that cannot be computed, or says nothing at this number of cases, is None, and the note gives the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy import stats

MIN_CASES = 3
ZERO_METHOD = "pratt"
EXACT_WILCOXON = 50
PERMUTED_WILCOXON = 13  # 2**13 patterns of signs are fewer than the resamples, so each is taken once
SIGNIFICANCE = 0.05
DECIMALS = 9


@dataclass(frozen=True)
class Description:
    """Location and spread of a sample; ``iqr`` is the width between the quartiles (linear interpolation)."""

    n: int
    mean: float | None = None
    sd: float | None = None
    median: float | None = None
    iqr: float | None = None


@dataclass(frozen=True)
class Agreement:
    """How two sets of volumes of the same cases agree; the interval is that of the ICC."""

    n: int
    spearman: float | None = None
    spearman_p: float | None = None
    icc: float | None = None
    icc_low: float | None = None
    icc_high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of two arms; differences are second − first."""

    n: int
    zeros: int
    mean_first: float | None = None
    mean_second: float | None = None
    mean_difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    shapiro_w: float | None = None
    shapiro_p: float | None = None
    statistic: float | None = None
    p: float | None = None
    method: str = ""
    rank_biserial: float | None = None
    note: str = ""


def names(record: type) -> list[str]:
    """Return the field names of one of the records above, which are columns of the tables."""
    return [field.name for field in fields(record)]


def describe(values: np.ndarray) -> Description:
    """Describe a sample (n,); NaN values are left out and not counted in ``n``. The deviation has n − 1.

    Example
    -------
    >>> describe(np.array([1.0, 2.0, 3.0, np.nan]))
    Description(n=3, mean=2.0, sd=1.0, median=2.0, iqr=1.0)
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return Description(0)
    low, median, high = np.percentile(values, [25, 50, 75])
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return Description(len(values), float(values.mean()), sd, float(median), float(high - low))


def agreement(predicted: np.ndarray, reference: np.ndarray, confidence: float) -> Agreement:
    """Compare predicted and reference volumes (n,) by Spearman's correlation and ICC(3,1).

    Example
    -------
    >>> agreed = agreement(np.array([1.0, 4.0, 9.0, 30.0]), np.array([2.0, 5.0, 8.0, 33.0]), confidence=0.95)
    >>> agreed.n, round(agreed.spearman, 2), round(agreed.icc, 2)
    (4, 1.0, 0.99)
    """
    n = len(predicted)
    if n < MIN_CASES:
        return Agreement(n, note=f"n < {MIN_CASES}: neither Spearman nor ICC")
    result, notes = Agreement(n), []
    constant = [name for name, values in (("predicted", predicted), ("reference", reference)) if np.ptp(values) == 0]
    if constant:
        notes.append(f"{' and '.join(constant)} volumes all equal: no Spearman")
    else:
        rho, p = stats.spearmanr(predicted, reference)
        result = replace(result, spearman=float(rho), spearman_p=float(p))
    icc = icc_consistency(np.column_stack([predicted, reference]), confidence)
    if icc is None:
        notes.append("volumes do not vary between cases: no ICC")
    else:
        result = replace(result, icc=icc[0], icc_low=icc[1], icc_high=icc[2])
    return replace(result, note="; ".join(notes))


def icc_consistency(ratings: np.ndarray, confidence: float) -> tuple[float, float, float] | None:
    """Return ICC(3,1), two-way mixed effects, single rater, consistency, and its confidence interval.

    Parameters
    ----------
    ratings
        shape (cases, raters); here the raters are the prediction and the reference
    confidence
        level of the interval

    Notes
    -----
    With the mean squares between cases B and of the residual E, and k raters, ICC(3,1) = (B − E) / (B + (k − 1) E);
    the interval follows from F = B/E (Shrout and Fleiss 1979; Koo and Li 2016). None where B and E are both 0.

    Example
    -------
    >>> icc_consistency(np.array([[1.0, 2.0], [3.0, 4.0], [7.0, 8.0]]), 0.95)  # the second rater adds 1
    (1.0, 1.0, 1.0)
    """
    n, k = ratings.shape
    case_means = ratings.mean(axis=1, keepdims=True)
    rater_means = ratings.mean(axis=0, keepdims=True)
    residual = ratings - case_means - rater_means + ratings.mean()
    between = k * float(((case_means - ratings.mean()) ** 2).sum()) / (n - 1)
    error = float((residual**2).sum()) / ((n - 1) * (k - 1))
    if between + error == 0:
        return None
    icc = (between - error) / (between + (k - 1) * error)
    if error == 0:
        return icc, icc, icc
    ratio, degrees, tail = between / error, (n - 1, (n - 1) * (k - 1)), (1 + confidence) / 2
    low = ratio / stats.f.ppf(tail, *degrees)
    high = ratio * stats.f.ppf(tail, *reversed(degrees))
    return icc, float((low - 1) / (low + k - 1)), float((high - 1) / (high + k - 1))


def compare(first: np.ndarray, second: np.ndarray, *, draws: int, confidence: float, seed: int) -> Comparison:
    """Compare two arms on the same cases (n,) by the two-sided Wilcoxon signed-rank test.

    Cases without a difference are counted in ``zeros`` and enter the ranking (Pratt): a pair of equal scores, most
    often two zeros, speaks for no difference and is not dropped. Differences are rounded to nine decimals, so
    that rounding errors do not break ties. The interval of the mean difference is a BCa bootstrap over cases. The
    effect size is the matched-pairs rank-biserial correlation, positive where ``second`` is higher.

    Example
    -------
    >>> first, second = np.array([0.1, 0.4, 0.5, 0.6, 0.7, 0.8]), np.array([0.2, 0.6, 0.5, 0.9, 0.75, 0.84])
    >>> compared = compare(first, second, draws=200, confidence=0.95, seed=0)
    >>> compared.n, compared.zeros, compared.method, compared.p, compared.rank_biserial
    (6, 1, 'permutation', 0.0625, 1.0)
    """
    difference = np.round(second - first, DECIMALS)
    n, zeros = len(difference), int((difference == 0).sum())
    if n < MIN_CASES:
        return Comparison(n, zeros, note=f"n < {MIN_CASES}: no test")
    result = Comparison(n, zeros, float(first.mean()), float(second.mean()), float(difference.mean()))
    if zeros == n:
        return replace(result, p=1.0, rank_biserial=0.0, note="all differences are zero: p is 1 by definition")
    notes = []
    if np.ptp(difference) == 0:
        notes.append("all differences are equal: no Shapiro-Wilk test, no interval")
    else:
        low, high = _bca_interval(difference, draws, confidence, seed)
        if low is None:
            notes.append("the bootstrap interval is degenerate")
        shapiro = stats.shapiro(difference)
        result = replace(
            result,
            difference_low=low,
            difference_high=high,
            shapiro_w=float(shapiro.statistic),
            shapiro_p=float(shapiro.pvalue),
        )
    method = wilcoxon_method(difference)
    null = stats.PermutationMethod() if method == "permutation" else method
    test = stats.wilcoxon(difference, zero_method=ZERO_METHOD, alternative="two-sided", method=null)
    if 2.0 ** (1 - (n - zeros)) > SIGNIFICANCE:
        notes.append(f"{n - zeros} non-zero differences: p cannot fall below {SIGNIFICANCE}")
    return replace(
        result,
        statistic=float(test.statistic),
        p=float(test.pvalue),
        method=method,
        rank_biserial=rank_biserial(difference),
        note="; ".join(notes),
    )


def wilcoxon_method(difference: np.ndarray) -> str:
    """Choose the null distribution of the Wilcoxon test for differences (n,): exact, permutation or asymptotic.

    The exact distribution holds where no difference is zero and no two are equally large; up to 50 differences it is
    used, beyond them the normal approximation (with continuity correction) is close. With zeros or ties, up to 13
    differences all patterns of signs are permuted; beyond them the normal approximation, corrected for ties, is used.

    Example
    -------
    >>> wilcoxon_method(np.array([0.1, -0.2, 0.3])), wilcoxon_method(np.array([0.1, -0.1, 0.3]))
    ('exact', 'permutation')
    """
    plain = np.all(difference != 0) and len(np.unique(np.abs(difference))) == len(difference)
    if plain:
        return "exact" if len(difference) <= EXACT_WILCOXON else "asymptotic"
    return "permutation" if len(difference) <= PERMUTED_WILCOXON else "asymptotic"


def rank_biserial(difference: np.ndarray) -> float:
    """Return (R⁺ − R⁻) / (R⁺ + R⁻) of the signed ranks, zeros ranked and then left out (Kerby 2014).

    Example
    -------
    >>> rank_biserial(np.array([0.1, 0.2, -0.3]))
    0.0
    """
    ranks = stats.rankdata(np.abs(difference))
    positive, negative = ranks[difference > 0].sum(), ranks[difference < 0].sum()
    return float((positive - negative) / (positive + negative))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust a family of p-values by Holm's step-down method; None stays None and is not counted.

    Example
    -------
    >>> holm([0.01, None, 0.03])
    [0.02, None, 0.03]
    """
    order = sorted((index for index, p in enumerate(p_values) if p is not None), key=lambda index: p_values[index])
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _bca_interval(
    values: np.ndarray, draws: int, confidence: float, seed: int
) -> tuple[float, float] | tuple[None, None]:
    result = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=draws,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    low, high = map(float, result.confidence_interval)
    return (low, high) if np.isfinite([low, high]).all() else (None, None)
