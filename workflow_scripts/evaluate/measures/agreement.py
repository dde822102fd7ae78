"""How predicted and reference volumes agree: Spearman's correlation and ICC(3,1), each with its interval."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pingouin
from scipy import stats

from workflow_scripts.evaluate.measures.intervals import LEAST_N, ROUNDING, TOO_FEW, correlation_interval

MIN_PATIENTS = 3
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


def agreement(predicted: np.ndarray, reference: np.ndarray, confidence: float) -> Agreement:
    """Compare predicted and reference volumes (n,); what cannot be said is None, and the note gives the reason.

    The interval of Spearman's correlation is Fisher's, with the error of Bonett and Wright (2000) and Student's t.

    Example
    -------
    >>> agreed = agreement(np.array([1.0, 4.0, 9.0, 30.0]), np.array([2.0, 5.0, 8.0, 33.0]), confidence=0.95)
    >>> agreed.n, round(agreed.spearman, 2), round(agreed.icc, 2), agreed.note
    (4, 1.0, 0.99, 'n < 6: no interval')
    """
    n = len(predicted)
    if n < MIN_PATIENTS:
        return Agreement(n, note=f"n < {MIN_PATIENTS}: neither Spearman nor ICC")
    result, notes = Agreement(n), [TOO_FEW] if n < LEAST_N else []
    constant = [name for name, values in (("predicted", predicted), ("reference", reference)) if np.ptp(values) == 0]
    if constant:
        notes.append(f"{' and '.join(constant)} volumes all equal: no Spearman")
    else:
        rho = float(stats.spearmanr(predicted, reference).statistic)
        result = replace(result, spearman=rho)
        if n >= LEAST_N:
            low, high = correlation_interval(rho, np.sqrt((1 + rho**2 / 2) / (n - 3)), n - 2, confidence)
            result = replace(result, spearman_low=low, spearman_high=high)
            notes += ["volumes in the same or in the reverse order: no interval of Spearman"] * (low is None)
    ratings = np.column_stack([predicted, reference])
    if np.ptp(ratings.sum(axis=1)) == np.ptp(predicted - reference) == 0:
        return replace(result, note="; ".join([*notes, "volumes do not vary between patients: no ICC"]))
    low, high = icc_interval(ratings, confidence)
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


def icc_interval(ratings: np.ndarray, confidence: float) -> tuple[float, float] | tuple[None, None]:
    """Return the interval of ICC(3,1) of two raters, ratings (n, 2), from the jackknife of its Fisher's z.

    The usual one, from F, needs normal volumes; those of lesions are so skewed that it covers 71 to 90 % of the time
    where it says 95 (docs/statistics.md). The jackknife (Arvesen and Schmitz 1970) needs no distribution. None below
    `LEAST_N`, and where the estimate is ±1 or undefined, or is the same, whichever patient is left out.
    """
    n = len(ratings)
    if n < LEAST_N:
        return None, None
    others = [np.arange(n) != left_out for left_out in range(n)]
    estimate, without = _consistency(ratings), np.array([_consistency(ratings[kept]) for kept in others])
    if not (np.abs([estimate, *without]) < 1 - ROUNDING).all():
        return None, None
    z = np.arctanh(without)
    error = np.sqrt((n - 1) / n * ((z - z.mean()) ** 2).sum())
    if error < ROUNDING:
        return None, None
    return correlation_interval(estimate, error, n - 1, confidence)


def _consistency(ratings: np.ndarray) -> float:
    """ICC(3,1) of two raters, (n, 2): what the variances of sum and difference leave, without pingouin's 20 ms."""
    common, apart = (values.var() for values in (ratings.sum(axis=1), ratings[:, 0] - ratings[:, 1]))
    return float((common - apart) / (common + apart)) if common + apart else np.nan
