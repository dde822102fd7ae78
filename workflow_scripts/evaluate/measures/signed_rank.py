"""The signed-rank test of paired differences, exact whatever zeros and ties there are, and what goes with it.

Zeros are ranked and then left out (Pratt 1959): a pair of equal scores, most often two zeros, speaks for no difference.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from workflow_scripts.evaluate.measures.intervals import LEAST_N, NONE, Interval

ZERO_METHOD = "pratt"
EXACT = 200  # non-zero differences; above it the normal approximation is as good


class SignedRank(NamedTuple):
    """The smaller sum of ranks, the two-sided p, how it was found, and the least p that these differences allow."""

    statistic: float
    p: float
    method: str
    least_p: float


def signed_rank_test(difference: np.ndarray) -> SignedRank:
    """Test whether differences (n,) are symmetric about 0, two-sided.

    Given the absolute differences, each non-zero one has either sign with probability ½. The distribution of the sum of
    the positive ranks under this is found by convolution, so that p is exact with zeros and ties. scipy's own test
    is exact only without them, and its asymptotic p may fall below what the non-zero differences allow.

    Example
    -------
    >>> signed_rank_test(np.array([0.1, 0.2, 0.0, 0.3, 0.3]))
    SignedRank(statistic=0.0, p=0.125, method='exact', least_p=0.125)
    """
    ranks = stats.rankdata(np.abs(difference))
    positive, negative = ranks[difference > 0].sum(), ranks[difference < 0].sum()
    nonzero = ranks[difference != 0]
    statistic, least = float(min(positive, negative)), min(1.0, 2.0 ** (1 - len(nonzero)))
    if not len(nonzero):
        return SignedRank(0.0, 1.0, "by definition", 1.0)
    if len(nonzero) > EXACT:
        test = stats.wilcoxon(difference, zero_method=ZERO_METHOD, correction=False, method="asymptotic")
        return SignedRank(statistic, float(test.pvalue), "asymptotic", least)
    below = _null_distribution(nonzero)[: round(2 * statistic) + 1].sum()
    return SignedRank(statistic, min(1.0, 2 * float(below)), "exact", least)


def hodges_lehmann(difference: np.ndarray, confidence: float) -> tuple[float, float, float] | tuple[float, None, None]:
    """Return the pseudo-median of differences (n,), the median of the means of all pairs, and its interval.

    The interval holds the shifts that the signed-rank test does not reject (Hollander and Wolfe 1999); none below
    `LEAST_N` differences or where all are equal.
    """
    n = len(difference)
    first, second = np.triu_indices(n)
    means = np.sort((difference[first] + difference[second]) / 2)
    return float(np.median(means)), *_hodges_lehmann_interval(means, n, confidence)


def _hodges_lehmann_interval(means: np.ndarray, n: int, confidence: float) -> Interval:
    if n < LEAST_N or means[0] == means[-1]:
        return NONE
    tail = (1 - confidence) / 2
    if n > EXACT:
        deviation = np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        left_out = int(len(means) / 2 + stats.norm.ppf(tail) * deviation)
    else:
        cumulated = np.cumsum(_null_distribution(np.arange(1, n + 1))[::2])
        left_out = int(np.count_nonzero(cumulated <= tail))
    return (float(means[left_out - 1]), float(means[-left_out])) if left_out else NONE


def rank_biserial(difference: np.ndarray) -> float:
    """Return (R⁺ − R⁻) / (R⁺ + R⁻) of the signed ranks (Kerby 2014); 0 where all differences are.

    pingouin drops the zeros before it ranks, which gives another number where there are some, and the same without.

    Example
    -------
    >>> rank_biserial(np.array([0.1, 0.2, -0.3]))
    0.0
    """
    ranks = stats.rankdata(np.abs(difference))
    positive, negative = ranks[difference > 0].sum(), ranks[difference < 0].sum()
    return float((positive - negative) / (positive + negative)) if positive + negative else 0.0


def common_language(difference: np.ndarray) -> float:
    """Return the share of pairs with a positive difference, zeros counted half.

    It is that of the same patient under both arms. pingouin's compares every patient with every other.

    Example
    -------
    >>> common_language(np.array([0.1, 0.2, 0.0, -0.3]))
    0.625
    """
    return float(np.mean((np.sign(difference) + 1) / 2))


def _null_distribution(ranks: np.ndarray) -> np.ndarray:
    """Return the probabilities of twice the sum of those ranks (multiples of ½) that get a positive sign."""
    doubled = np.rint(2 * ranks).astype(int)
    probabilities = np.zeros(doubled.sum() + 1)
    probabilities[0] = 1.0
    reached = 0
    for rank in doubled:
        reached += rank
        shifted = probabilities[: reached - rank + 1].copy()
        probabilities[: reached + 1] /= 2
        probabilities[rank : reached + 1] += shifted / 2
    return probabilities
