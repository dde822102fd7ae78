"""Patients assigned to the splits so that cohort and strata both come close to the wanted ratios."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linprog

from workflow_scripts.common import seeds
from workflow_scripts.common.vocabulary import SPLITS
from workflow_scripts.split.patients.strata import Patient

LEAST_PATIENTS = 3  # from this many on, no split that has a ratio stays empty


def assign(patients: Sequence[Patient], strata: Sequence[str], ratios: Mapping[str, float], seed: int) -> list[str]:
    """Return the split of each patient of one cohort.

    Splits fixed in the case sheet stay and count towards the ratios; the rest is assigned. Each stratum then gives
    every split its share of these patients rounded up or down, such that the splits' totals are exact. Who goes
    where depends on the seed, the cohort's name and its patients, not on their order or on other cohorts.

    Parameters
    ----------
    strata
        name of each patient's stratum
    ratios
        wanted share of `SPLITS`, adding up to 1
    """
    free: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(patients)), key=lambda index: patients[index].patient):
        if not patients[index].fixed:
            free[strata[index]].append(index)
    result = [patient.fixed for patient in patients]
    if not free:
        return result
    names = sorted(free)
    fixed = np.array([result.count(split) for split in SPLITS])
    totals = split_totals(fixed, sum(map(len, free.values())), np.array([ratios[split] for split in SPLITS]))
    generator = seeds.generator(seed, f"split {patients[0].cohort}")
    counts = controlled_rounding(np.array([len(free[name]) for name in names]), totals, generator)
    for name, row in zip(names, counts, strict=True):
        order = generator.permutation(free[name])
        for index, split in zip(order, np.repeat(SPLITS, row), strict=True):
            result[index] = str(split)
    return result


def split_totals(fixed: np.ndarray, free: int, ratios: np.ndarray) -> np.ndarray:
    """Return how many of the ``free`` patients each split gets, beside the ``fixed`` ones it has.

    Largest-remainder apportionment of what each split lacks; then, from three patients in all, a split that would
    stay empty takes one from the largest.
    """
    lacking = np.maximum(0, ratios * (fixed.sum() + free) - fixed)
    totals = largest_remainder(free, lacking)
    if fixed.sum() + free >= LEAST_PATIENTS:
        for split in np.flatnonzero((ratios > 0) & (fixed + totals == 0)):
            donors = np.where(totals > 0, fixed + totals, 0)
            donor = int(donors.argmax())
            if donors[donor] > 1:
                totals[donor] -= 1
                totals[split] += 1
    return totals


def largest_remainder(count: int, weights: np.ndarray) -> np.ndarray:
    """Apportion ``count`` seats by ``weights``; ties go to the earlier entry."""
    quota = count * weights / weights.sum()
    seats = np.floor(quota + 1e-9).astype(int)
    order = np.argsort(-(quota - seats).round(9), kind="stable")
    seats[order[: count - seats.sum()]] += 1
    return seats


def controlled_rounding(rows: np.ndarray, columns: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the integer table with margins ``rows`` and ``columns`` in which each entry is rounded up or down.

    Entries are those of independence, row × column / total. A zero-restricted controlled rounding always exists
    (Causey, Cox and Ernst, JASA 80, 1985); this one rounds up where the fractions are largest, ties at random.
    """
    exact = np.outer(rows, columns) / rows.sum()
    low = np.floor(exact + 1e-9)
    fraction = np.clip(exact - low, 0, None)
    benefit = fraction + 1e-3 * generator.random(fraction.shape)
    row_sums = np.kron(np.eye(len(rows)), np.ones(len(columns)))
    column_sums = np.kron(np.ones(len(rows)), np.eye(len(columns)))
    solution = linprog(
        -benefit.ravel(),
        A_eq=np.vstack([row_sums, column_sums]),
        b_eq=np.concatenate([rows - low.sum(axis=1), columns - low.sum(axis=0)]),
        bounds=[(0, float(value > 1e-9)) for value in fraction.ravel()],
        method="highs-ds",  # a vertex of a transport polytope: whole numbers
    )
    if not solution.success:
        raise RuntimeError(f"the table {rows} by {columns} has no controlled rounding: {solution.message}")
    return (low + np.rint(solution.x.reshape(exact.shape))).astype(int)
