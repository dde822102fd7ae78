"""How predicted and reference volumes agree: Spearman's correlation and ICC(3,1), each with its interval."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pingouin
from scipy import stats

from workflow_scripts.common.seeds import generator
from workflow_scripts.evaluate.measures.intervals import (
    LEAST_N,
    NONE,
    ROUNDING,
    UPPER_SHARE,
    Interval,
    correlation_interval,
    of_few,
)

MIN_PATIENTS = 3
NEARLY_ONE = 1 - 1e-6  # a correlation of ±1 without one of the patients counts as this, whose z is finite
ICC_TYPES = ("ICC3", "ICC(C,1)")  # pingouin's name changed between releases


@dataclass(frozen=True)
class Agreement:
    """How two sets of volumes of the same patients agree."""

    n: int
    spearman: float | None = None
    spearman_low: float | None = None
    spearman_high: float | None = None
    icc: float | None = None
    icc_low: float | None = None
    icc_high: float | None = None
    note: str = ""


def agreement(predicted: np.ndarray, reference: np.ndarray, confidence: float, *, draws: int, seed: int) -> Agreement:
    """Compare predicted and reference volumes (n,); what cannot be said is None, and the note gives the reason.

    ``draws`` and ``seed`` are those of the bootstrap of `icc_interval`.

    Example
    -------
    >>> volumes = np.array([1.0, 4.0, 9.0, 30.0]), np.array([2.0, 5.0, 8.0, 33.0])
    >>> agreed = agreement(*volumes, confidence=0.95, draws=1000, seed=1)
    >>> agreed.n, round(agreed.spearman, 2), round(agreed.icc, 2), agreed.note
    (4, 1.0, 0.99, 'n < 6: no interval')
    """
    n = len(predicted)
    if n < MIN_PATIENTS:
        return Agreement(n, note=f"n < {MIN_PATIENTS}: neither Spearman nor ICC")
    ratings = np.column_stack([predicted, reference])
    result, notes = Agreement(n), of_few(n)
    constant = [name for name, values in (("predicted", predicted), ("reference", reference)) if np.ptp(values) == 0]
    if constant:
        notes.append(f"{' and '.join(constant)} volumes all equal: no Spearman")
    else:
        low, high = spearman_interval(ratings, confidence)
        rho = float(stats.spearmanr(predicted, reference).statistic)
        result = replace(result, spearman=rho, spearman_low=low, spearman_high=high)
        notes += ["too little disorder for an interval of Spearman"] * (n >= LEAST_N and low is None)
    if np.ptp(ratings.sum(axis=1)) == np.ptp(predicted - reference) == 0:
        return replace(result, note="; ".join([*notes, "volumes do not vary between patients: no ICC"]))
    low, high = icc_interval(ratings, confidence, draws=draws, seed=seed)
    if n >= LEAST_N and low is None:
        notes.append("too little variation for an interval of the ICC")
    return replace(result, icc=icc(ratings), icc_low=low, icc_high=high, note="; ".join(notes))


def icc(ratings: np.ndarray) -> float:
    """Return ICC(3,1): two-way mixed effects, consistency, one rater. Shape of ``ratings``: (patients, raters)."""
    patients, raters = np.indices(ratings.shape)
    frame = pd.DataFrame({"patient": patients.ravel(), "rater": raters.ravel(), "ml": ratings.ravel()})
    # Of this table pingouin rounds the interval alone, which is not used.
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # its other types of ICC may divide by 0
        warnings.simplefilter("ignore", DeprecationWarning)  # pingouin calls pandas in a way of the past
        table = pingouin.intraclass_corr(frame, targets="patient", raters="rater", ratings="ml")
    return float(table.loc[table["Type"].isin(ICC_TYPES), "ICC"].iloc[0])


def spearman_interval(ratings: np.ndarray, confidence: float) -> Interval:
    """Return the interval of Spearman's correlation, ratings (n, 2), from the jackknife of its Fisher's z.

    Student's t has 2 (n − 1) degrees of freedom: with n − 1 it covers more often than it says, with the normal
    distribution less often (docs/statistics.md). None below `LEAST_N`, and where the correlation is ±1, or has no value
    without one of the patients.
    """
    n = len(ratings)
    if n < LEAST_N:
        return NONE
    estimate = float(_spearman(ratings))
    without = _spearman(np.stack([np.delete(ratings, left_out, axis=0) for left_out in range(n)]))
    if np.isnan([estimate, *without]).any():
        return NONE
    z = np.arctanh(np.clip(without, -NEARLY_ONE, NEARLY_ONE))
    error = float(np.sqrt((n - 1) / n * ((z - z.mean()) ** 2).sum()))
    return correlation_interval(estimate, error, 2 * (n - 1), confidence) if error > ROUNDING else NONE


def icc_interval(ratings: np.ndarray, confidence: float, *, draws: int, seed: int) -> Interval:
    """Return the interval of ICC(3,1) of two raters, ratings (n, 2), from a bootstrap-t of its Fisher's z.

    The usual one, from F, needs normal volumes; those of lesions are so skewed that it covers 72 to 89 % of the time
    where it says 95 (docs/statistics.md). Each sample is studentised by its own jackknife. The ratios count in both
    directions alike; the upper bound is calibrated by `UPPER_SHARE`. None below `LEAST_N`, where the estimate is ±1 or
    undefined, and where too many samples are.
    """
    n = len(ratings)
    if n < LEAST_N:
        return NONE
    common, apart = ratings.sum(axis=1), ratings[:, 0] - ratings[:, 1]
    chosen = generator(seed, "interval of the ICC").integers(0, n, (draws, n))
    with np.errstate(divide="ignore", invalid="ignore"):
        z, error = _fisher_of_icc(common, apart)
        sampled, errors = _fisher_of_icc(common[chosen], apart[chosen])
        ratios = np.abs(sampled - z) / errors
    levels = [confidence, 1 - UPPER_SHARE * (1 - confidence)]
    down, up = np.quantile(np.where(np.isnan(ratios), np.inf, ratios), levels, method="inverted_cdf")
    if not np.isfinite([z, error, up]).all() or error < ROUNDING:
        return NONE
    return float(np.tanh(z - down * error)), float(np.tanh(z + up * error))


def _spearman(ratings: np.ndarray) -> np.ndarray:
    """Return Spearman's correlations (...,) of ratings (..., n, 2); NaN where one of the two does not vary."""
    ranks = stats.rankdata(ratings, axis=-2)
    first, second = np.moveaxis(ranks - ranks.mean(axis=-2, keepdims=True), -1, 0)
    with np.errstate(invalid="ignore"):
        return (first * second).sum(axis=-1) / np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))


def _fisher_of_icc(common: np.ndarray, apart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Fisher's z of ICC(3,1) of two raters, and its jackknife error, from sums and differences (..., n).

    ICC(3,1) is (variance of the sum − that of the difference) / their sum, so that its z is half their log ratio.
    """
    n = common.shape[-1]
    (whole, without), (other, other_without) = _variances(common), _variances(apart)
    each = np.log(without / other_without) / 2
    error = np.sqrt((n - 1) / n * ((each - each.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1))
    return np.log(whole / other) / 2, error


def _variances(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances (...,) of values (..., n), and those without each of them (..., n)."""
    n = values.shape[-1]
    squares = (values - values.mean(axis=-1, keepdims=True)) ** 2
    total = squares.sum(axis=-1, keepdims=True)
    left = np.where(total > 0, np.maximum(total - squares * n / (n - 1), 0), 0)
    return total[..., 0] / n, left / (n - 1)
