"""Patients assigned to the splits: exact in the cohort, close to it in each stratum, hardly moved by one another."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from workflow_scripts.common import seeds
from workflow_scripts.common.vocabulary import SPLITS
from workflow_scripts.split.patients.strata import Patient

LEAST_PATIENTS = 3  # from this many on, no split that has a ratio stays empty


def assign(patients: Sequence[Patient], strata: Sequence[str], ratios: Mapping[str, float], seed: int) -> list[str]:
    """Return the split of each patient of one cohort.

    Splits fixed in the case sheet stay and count towards the ratios; the rest is assigned. Each patient has a place
    between 0 and 1: those of a stratum are spaced evenly, in the order of a hash of their names. The lowest places of
    the cohort go to test, the next to validation, the others to training, in numbers that are exact. A patient more or
    less moves the places of its stratum a little, so that hardly another patient changes sides (docs/usage.md).

    Parameters
    ----------
    strata
        name of each patient's stratum
    ratios
        wanted share of `SPLITS`, adding up to 1
    """
    result = [patient.fixed for patient in patients]
    free = [index for index, split in enumerate(result) if not split]
    if not free:
        return result
    fixed = np.array([result.count(split) for split in SPLITS])
    totals = split_totals(fixed, len(free), np.array([ratios[split] for split in SPLITS]))
    places = _places([patients[index] for index in free], [strata[index] for index in free], seed)
    order = [index for _, index in sorted(zip(places, free, strict=True))]
    for index, split in zip(order, np.repeat(SPLITS[::-1], totals[::-1]), strict=True):
        result[index] = str(split)
    return result


def _places(patients: Sequence[Patient], strata: Sequence[str], seed: int) -> list[tuple[float, float]]:
    """Return each patient's place, and its hash for patients at the same place."""
    hashes = [seeds.number(seed, f"split {patient.cohort} patient {patient.patient}") for patient in patients]
    rank: dict[int, int] = {}
    size: dict[str, int] = defaultdict(int)
    for index in sorted(range(len(patients)), key=hashes.__getitem__):
        rank[index] = size[strata[index]]
        size[strata[index]] += 1
    begin = {stratum: seeds.number(seed, f"split {patients[0].cohort} stratum {stratum}") for stratum in size}
    return [((rank[index] + begin[stratum]) / size[stratum], hashes[index]) for index, stratum in enumerate(strata)]


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
