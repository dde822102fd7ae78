"""What representations tell of an attribute: read off linearly, and shared with the nearest neighbours.

Both are a skill: 1 − loss / (loss by chance), 0 for chance and 1 for perfect. Of numbers that a linear probe predicts
it is R², the chance being the mean of the cases that the probe was fitted on; of words the balanced accuracy between
chance and perfection; of neighbours it is how much closer they are than any two cases of different patients.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from workflow_scripts.common import seeds

FOLDS, REPEATS = 5, 4
PENALTIES = np.logspace(-2, 5, 15)
NEIGHBOURS = 3


@dataclass(frozen=True)
class Cases:
    """An attribute of n cases: ``values`` (n,) are floats or words, ``patients`` (n,) says who each case is of.

    ``weights`` (draws, n) says how often each case counts: once in the first row, which gives the value; in each other
    row as often as its patient was drawn, which gives the interval.
    """

    values: np.ndarray
    patients: np.ndarray
    weights: np.ndarray
    seed: int

    @property
    def numeric(self) -> bool:
        """Say whether the values are numbers."""
        return self.values.dtype.kind == "f"


# Of representations (n, features): the skill for each row of the weights.
Measure = Callable[[np.ndarray, Cases], np.ndarray]


def weights_of(patients: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return the weights of the cases, (1 + draws, n): all 1, then those of bootstrap draws of the patients."""
    names, index = np.unique(patients, return_inverse=True)
    drawn = seeds.generator(seed, "bootstrap of patients").multinomial(
        len(names), np.full(len(names), 1 / len(names)), draws
    )
    return np.vstack([np.ones(len(patients)), drawn[:, index]])


def probe_skill(features: np.ndarray, cases: Cases) -> np.ndarray:
    """Predict values from the representations, (n, features), of heads that the probe was not fitted on.

    Ridge regression, of words on their indicators, each word weighted alike, in `REPEATS` times `FOLDS`-fold
    cross-validation in which a patient's cases stay together. Standardisation and penalty come from the fitted cases
    alone. Returns the skill for each row of the weights.
    """
    loss, chance = np.zeros(len(features)), np.zeros(len(features))
    for fitted, held_out in _folds(cases):
        values = cases.values[fitted]
        predicted = _model(cases.numeric).fit(features[fitted], values).predict(features[held_out])
        if cases.numeric:
            loss[held_out] += (predicted - cases.values[held_out]) ** 2
            chance[held_out] += (values.mean() - cases.values[held_out]) ** 2
        else:
            loss[held_out] += predicted != cases.values[held_out]
    if not cases.numeric:
        words, index, counts = np.unique(cases.values, return_inverse=True, return_counts=True)
        loss, chance = loss / counts[index], REPEATS * (1 - 1 / len(words)) / counts[index]
    return 1 - (cases.weights @ loss) / (cases.weights @ chance)


def _folds(cases: Cases) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    kind = GroupKFold if cases.numeric else StratifiedGroupKFold
    for repeat in range(REPEATS):
        folds = kind(FOLDS, shuffle=True, random_state=seeds.integer(cases.seed, "probe folds", repeat))
        yield from folds.split(cases.values, cases.values, cases.patients)


def _model(numeric: bool) -> Pipeline:
    ridge = RidgeCV(PENALTIES) if numeric else RidgeClassifierCV(PENALTIES, class_weight="balanced")
    return make_pipeline(StandardScaler(), ridge)


def nearest(features: np.ndarray, patients: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest cases of other patients, and their distances, both (n, count), the nearest first.

    ``features`` (n, features) are standardised; the distance is Euclidean. No case may lack ``count`` others.
    """
    standard = StandardScaler().fit_transform(features)
    distance = np.linalg.norm(standard[:, None] - standard[None], axis=2)
    distance[patients[:, None] == patients[None]] = np.inf
    order = distance.argsort(axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(distance, order, axis=1)


def neighbour_skill(features: np.ndarray, cases: Cases) -> np.ndarray:
    """Compare the value of each case with those of its `NEIGHBOURS` nearest cases of other patients.

    The loss is the mean absolute difference (of words: the share that differs) between a case and its neighbours, by
    chance that of all cases of different patients. A pair counts as often as both of its cases do, so that the
    interval knows of a case that is the neighbour of many. Returns the skill for each row of the weights.
    """
    values = cases.values
    apart = np.abs(values[:, None] - values[None]) if cases.numeric else values[:, None] != values[None]
    order, _ = nearest(features, cases.patients, NEIGHBOURS)
    near = np.zeros(apart.shape)
    np.put_along_axis(near, order, 1, axis=1)
    others = (cases.patients[:, None] != cases.patients[None]).astype(float)
    return 1 - _mean(cases.weights, apart, near) / _mean(cases.weights, apart, others)


def _mean(weights: np.ndarray, values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Average values over pairs of cases, both (n, n), for each row of weights (draws, n)."""
    total, count = (((weights @ matrix) * weights).sum(axis=1) for matrix in (values * pairs, pairs))
    return total / count
