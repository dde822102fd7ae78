"""How firmly the arms stand in their order: ranks over bootstrap samples of the patients."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from workflow_scripts.common.seeds import generator
from workflow_scripts.evaluate.measures.description import OfMean
from workflow_scripts.evaluate.measures.intervals import LEAST_N, TOO_FEW, mean_interval


@dataclass(frozen=True)
class Rank:
    """Rank of one arm by its mean, 1 the highest; ``first_share`` of the samples have it first, ties shared."""

    n: int
    mean: float | None = None
    mean_low: float | None = None
    mean_high: float | None = None
    rank: float | None = None
    rank_low: float | None = None
    rank_high: float | None = None
    first_share: float | None = None
    note: str = ""


def rank_stability(
    scores: np.ndarray, *, draws: int, confidence: float, seed: int, of_mean: OfMean = mean_interval
) -> list[Rank]:
    """Rank arms by their mean score, and again in each of ``draws`` samples of the patients, with replacement.

    Parameters
    ----------
    scores
        shape (patients, arms), the higher the better
    confidence
        share of the samples between ``rank_low`` and ``rank_high``, and level of the intervals of the means
    of_mean
        makes the interval of an arm's mean
    """
    n, arms = scores.shape
    if not n:
        return [Rank(0, note="no patient") for _ in range(arms)]
    means = scores.mean(axis=0)
    stated = [(float(mean), *of_mean(arm, confidence)) for mean, arm in zip(means, scores.T, strict=True)]
    if arms == 1:
        return [Rank(n, *stated[0], note="one arm: no order")]
    ranks = stats.rankdata(-means.round(9))
    if n < LEAST_N:
        return [Rank(n, *mean, float(rank), note=TOO_FEW) for mean, rank in zip(stated, ranks, strict=True)]
    chosen = generator(seed, "ranks of arms").integers(0, n, (draws, n))
    sampled = stats.rankdata(-scores[chosen].mean(axis=1).round(9), axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(sampled, [tail, 1 - tail], axis=0, method="inverted_cdf")
    leads = sampled == sampled.min(axis=1, keepdims=True)
    first = (leads / leads.sum(axis=1, keepdims=True)).mean(axis=0)
    return [Rank(n, *mean, *map(float, order)) for mean, *order in zip(stated, ranks, low, high, first, strict=True)]
