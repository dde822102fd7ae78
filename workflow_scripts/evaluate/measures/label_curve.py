"""Dice against the number of labelled patients: intervals over patients and draws, and the labels that an arm saves.

A curve is measured at some numbers of labels, each by some trainings (draws) on the same patients of a held-out set.
Between them it is taken as straight in the logarithm of the labels, and as never falling (isotonic regression); beyond
them nothing is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from workflow_scripts.common.seeds import generator
from workflow_scripts.evaluate.measures.intervals import LEAST_N, NONE, Interval

Curve = Mapping[int, np.ndarray]  # number of labels -> Dice (draws, patients)
BEYOND = {1: "above", -1: "below", 0: ""}  # the numbers of labels measured
LEVELS = 64  # of Dice at which two curves are compared
LEAST_RISE = 1e-9  # of Dice, so that a level of a flat part has one number of labels: the least


@dataclass(frozen=True)
class Samples:
    """Samples of patients and draws, as weights; the first is what was measured (`_weights`)."""

    patients: np.ndarray  # (samples + 1, patients)
    draws: Mapping[int, np.ndarray]  # number of draws -> (samples + 1, draws)

    @classmethod
    def drawn(cls, patients: int, draws: Sequence[int], samples: int, seed: int) -> "Samples":
        """Draw samples of ``patients`` patients, and of each number of ``draws``; equal numbers share their draws."""
        weights = {count: _weights(count, samples, seed, f"label curve: {count} draws") for count in sorted(set(draws))}
        return cls(_weights(patients, samples, seed, "label curve: patients"), weights)

    def means(self, dice: np.ndarray) -> np.ndarray:
        """Return the mean of Dice (draws, patients) in every sample, (samples + 1,)."""
        return ((self.draws[len(dice)] @ dice) * self.patients).sum(axis=1)


def _weights(count: int, samples: int, seed: int, purpose: str) -> np.ndarray:
    """Return weights with which the means of ``count`` values are distributed as Student's interval takes them to be.

    Bootstrap samples of three draws spread too little, and do not know how little three tell of their own spread.
    Normal weights over the root of a χ² with count − 1 degrees of freedom do; one value does not move.
    """
    rng = generator(seed, purpose)
    normal, degrees = rng.normal(size=(samples, count)), max(count - 1, 1)
    spread = np.sqrt(rng.chisquare(degrees, (samples, 1)) * count)
    apart = (normal - normal.mean(axis=1, keepdims=True)) / spread
    return 1 / count + np.vstack([np.zeros((1, count)), apart])


def interval(values: np.ndarray, patients: int, confidence: float) -> Interval:
    """Return the range of ``confidence`` of the sampled ``values``, all but the first; none for few patients."""
    if patients < LEAST_N:
        return NONE
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def labels_needed(levels: np.ndarray, labels: Sequence[int], means: Sequence[float]) -> np.ndarray:
    """Return the logarithm of the least number of labels with which a curve reaches each level of Dice.

    inf where no number measured reaches it, −inf where every one exceeds it.

    Example
    -------
    >>> np.exp(labels_needed(np.array([0.2, 0.3]), [5, 20], [0.2, 0.4])).round(6)
    array([ 5., 10.])
    """
    order = np.argsort(labels)
    rising = isotonic_regression(np.asarray(means, float)[order]).x
    strict = rising + LEAST_RISE * np.arange(len(rising))
    needed = np.interp(levels, strict, np.log(np.asarray(labels, float)[order]))
    return np.where(levels > strict[-1], np.inf, np.where(levels < strict[0], -np.inf, needed))


@dataclass(frozen=True)
class Saving:
    """How many times the labels of one arm another needs for the same Dice, and the Dice compared.

    ``beyond`` is "above" where the factor is more than ``factor``, and "below" where it is less: what the numbers of
    labels that were measured tell. ``low_beyond`` and ``high_beyond`` say the same of the bounds of the interval.
    """

    dice_from: float | None = None
    dice_to: float | None = None
    factor: float | None = None
    factor_low: float | None = None
    factor_high: float | None = None
    beyond: str = ""
    low_beyond: str = ""
    high_beyond: str = ""


def saving(
    reference: Mapping[int, np.ndarray],
    other: Mapping[int, np.ndarray],
    labels: int | None,
    patients: int,
    confidence: float,
) -> Saving:
    """Compare two curves over all levels of Dice that both reach, or at one number of the other's ``labels``.

    Parameters
    ----------
    reference, other
        number of labels -> mean Dice in every sample, (samples + 1,) (`Samples.means`)
    labels
        a number of the other curve; None: over both curves
    patients
        of whom Dice is the mean
    """
    compared = {labels: other[labels]} if labels else other
    samples = range(len(next(iter(other.values()))))
    logs, lows, highs = np.transpose(
        [log_saving(*({n: means[i] for n, means in curve.items()} for curve in (reference, compared))) for i in samples]
    )
    # Where the curves share no level, the claim that holds at every number of labels.
    bounds = {1: max(reference) / max(compared), -1: min(reference) / min(compared)}
    told = [_told(value, bounds) for value in (logs[0], *interval(logs, patients, confidence))]
    (factor, beyond), (low, low_beyond), (high, high_beyond) = told
    low_level, high_level = [other[labels][0]] * 2 if labels else (lows[0], highs[0])
    dice = (None, None) if np.isnan(low_level) else (float(low_level), float(high_level))
    return Saving(*dice, factor, low, high, beyond, low_beyond, high_beyond)


def _told(log_factor: float | None, bounds: Mapping[int, float]) -> tuple[float | None, str]:
    if log_factor is None:
        return None, ""
    side = int(np.sign(log_factor)) if np.isinf(log_factor) else 0
    return (bounds[side] if side else float(np.exp(log_factor))), BEYOND[side]


def log_saving(reference: Mapping[int, float], other: Mapping[int, float]) -> tuple[float, float, float]:
    """Return the mean logarithm of reference's over other's labels for equal Dice, and the Dice compared, from and to.

    The mean is over the levels of Dice that both curves reach. Where they share none it is inf (the other is above) or
    −inf, and the levels are NaN. A curve of one number of labels is compared at its Dice.
    """
    first, second = (np.sort(isotonic_regression([curve[n] for n in sorted(curve)]).x) for curve in (reference, other))
    low, high = max(first[0], second[0]), min(first[-1], second[-1])
    if low > high:
        return (np.inf if second[0] > first[-1] else -np.inf), np.nan, np.nan
    levels = np.linspace(low, high, LEVELS)
    needed = [
        _inside(labels_needed(levels, list(curve), list(curve.values())), list(curve)) for curve in (reference, other)
    ]
    return float(np.mean(needed[0] - needed[1])), float(low), float(high)


def _inside(needed: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Bring levels that rounding put a hair beyond a curve back to its end."""
    return np.clip(needed, np.log(min(labels)), np.log(max(labels)))
