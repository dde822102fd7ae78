"""Patients assigned to the splits: exact in the cohort, close to it in each stratum, hardly moved by one another."""

from collections.abc import Mapping, Sequence

import numpy as np

from workflow_scripts.common.apportionment import split_totals
from workflow_scripts.common.stratified_order import even_places
from workflow_scripts.common.vocabulary import SPLITS
from workflow_scripts.split.patients.strata import Patient


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
    totals = split_totals([result.count(split) for split in SPLITS], len(free), [ratios[split] for split in SPLITS])
    names = [patients[index].patient for index in free]
    places = even_places(names, [strata[index] for index in free], seed, f"split {patients[0].cohort}")
    order = [index for _, index in sorted(zip(places, free, strict=True))]
    for index, split in zip(order, np.repeat(SPLITS[::-1], totals[::-1]), strict=True):
        result[index] = str(split)
    return result
