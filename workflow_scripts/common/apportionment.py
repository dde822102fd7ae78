"""How many patients of a cohort each split gets.

Imports the standard library alone: the rules ask this too, before the split is made.
"""

from collections.abc import Sequence

LEAST_PATIENTS = 3  # from this many on, no split that has a ratio stays empty


def split_totals(fixed: Sequence[int], free: int, ratios: Sequence[float]) -> list[int]:
    """Return how many of the ``free`` patients each split gets, beside the ``fixed`` ones it has.

    Largest-remainder apportionment of what each split lacks; then, from three patients in all, a split that would
    stay empty takes one from the largest.

    Examples
    --------
    >>> split_totals([0, 0, 0], 20, [0.7, 0.2, 0.1])
    [14, 4, 2]
    """
    everybody = sum(fixed) + free
    totals = largest_remainder(free, [max(0.0, r * everybody - f) for r, f in zip(ratios, fixed, strict=True)])
    if everybody >= LEAST_PATIENTS:
        for split, ratio in enumerate(ratios):
            if ratio > 0 and fixed[split] + totals[split] == 0:
                size = [f + total if total else 0 for f, total in zip(fixed, totals, strict=True)]
                donor = size.index(max(size))
                if size[donor] > 1:
                    totals[donor] -= 1
                    totals[split] += 1
    return totals


def largest_remainder(count: int, weights: Sequence[float]) -> list[int]:
    """Apportion ``count`` seats by ``weights``, of which one is above 0; ties go to the earlier entry."""
    quota = [count * weight / sum(weights) for weight in weights]
    seats = [int(part + 1e-9) for part in quota]
    by_remainder = sorted(range(len(quota)), key=lambda index: -round(quota[index] - seats[index], 9))
    for index in by_remainder[: count - sum(seats)]:
        seats[index] += 1
    return seats
