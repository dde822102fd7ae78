"""What a model knows of the scans that it was trained on, and whether another scan is like them.

Only sums over the training set are kept: means, deviations and one covariance, nothing of a single scan.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.covariance import LedoitWolf

DEVIATIONS = 4.0  # of the training set
# A small training set may be more alike than scans of one scanner are: nothing nearer than this is told apart.
LEAST = {
    "median_hu": 2.5,
    "quartiles_apart_hu": 1.5,
    "percentile_1_hu": 6.0,
    "percentile_99_hu": 10.0,
}
LEAST_SHARE = {"brain_ml": 0.25, "noise_hu": 0.5}  # of the mean
FARTHER = 1.5  # times the farthest training scan, each measured from the others
FEWEST_FOR_FEATURES = 4

FLAGS = {
    "brain_ml": "brain volume unlike the training set",
    "median_hu": "brain brighter or darker than the training set",
    "quartiles_apart_hu": "contrast within the brain unlike the training set",
    "percentile_1_hu": "darkest tissue unlike the training set",
    "percentile_99_hu": "brightest tissue unlike the training set",
    "noise_hu": "noise unlike the training set",
    "feature_distance": "network sees an unfamiliar image",
}


def fit_reference(measures: Sequence[Mapping[str, float]], features: np.ndarray) -> dict[str, Any]:
    """Sum up the training set.

    Parameters
    ----------
    measures
        of `scan_measures`, one mapping a scan
    features
        of `encoder_features`, (scans, features)
    """
    limits = {name: _limits(name, [each[name] for each in measures]) for name in measures[0]}
    reference: dict[str, Any] = {"scans": len(measures), "limits": limits, "features": None}
    if len(features) >= FEWEST_FOR_FEATURES:
        space = _fit_space(features)
        left_out = [distance(_fit_space(np.delete(features, one, 0)), features[one]) for one in range(len(features))]
        reference["features"] = space | {"limit": FARTHER * max(left_out)}
    return reference


def distance(space: Mapping[str, Any], features: np.ndarray) -> float:
    """Return the Mahalanobis distance of a scan from the training set, over the root of the number of features.

    The covariance is shrunk (Ledoit and Wolf 2004), since there are more features than scans. About 1 for a scan like
    those of training.
    """
    z = (features - np.array(space["mean"])) / np.array(space["sd"])
    return float(np.sqrt(z @ np.array(space["precision"]) @ z / len(z)))


def unfamiliar(
    reference: Mapping[str, Any], measures: Mapping[str, float], features: np.ndarray
) -> list[dict[str, Any]]:
    """Judge a scan: one entry a number, with ``number``, ``value``, ``low``, ``high`` and ``flag`` ("" within)."""
    found = [(name, measures[name], *limits) for name, limits in reference["limits"].items()]
    if space := reference["features"]:
        found.append(("feature_distance", distance(space, features), 0.0, space["limit"]))
    return [
        {"number": name, "value": value, "low": low, "high": high, "flag": "" if low <= value <= high else FLAGS[name]}
        for name, value, low, high in found
    ]


def _limits(name: str, values: Sequence[float]) -> list[float]:
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    reach = max(DEVIATIONS * deviation, LEAST.get(name, 0.0), LEAST_SHARE.get(name, 0.0) * abs(mean))
    return [mean - reach, mean + reach]


def _fit_space(features: np.ndarray) -> dict[str, Any]:
    mean, deviation = features.mean(axis=0), features.std(axis=0, ddof=1)
    # A feature that never varies says nothing in units of its deviation, which would be rounding.
    deviation = np.maximum(deviation, 1e-3 * np.abs(features).max())
    precision = LedoitWolf(assume_centered=True).fit((features - mean) / deviation).precision_
    return {"mean": mean.tolist(), "sd": deviation.tolist(), "precision": precision.tolist()}
