"""Scores on the acquired slices beside those on the final grid."""

from collections.abc import Iterable, Mapping
from typing import Any

from workflow_scripts.common.vocabulary import ENSEMBLE, HELD_OUT, REPORTED_CRITERIA, criterion_label
from workflow_scripts.report.tables.numbers import LEVEL, interval, number

Row = Mapping[str, str]

COMPARED = {"dice": 3, "hd95_mm": 2, "volume_difference_ml": 2}  # decimals
GROUP = ("cohort", "split", "criterion", "arm")
TESTED = ("cohort", "split", "criterion", "family", "first", "second")


def grid_sets(final: Iterable[Row], acquired: Iterable[Row], min_component_ml: float) -> list[tuple[str, list[Any]]]:
    """Return the means of each ensemble on both grids, gathered by held-out set and criterion.

    A row has arm and n, and ``cells``: value and interval of each measure of `COMPARED`, final before acquired grid.
    """
    grids = [_means(final), _means(acquired)]
    sets: dict[str, list[Any]] = {}
    for key, measured in grids[0].items():
        cohort, split, criterion, arm = key
        both = [measured, grids[1].get(key, {})]
        cells = [_cell(grid.get(measure), decimals) for measure, decimals in COMPARED.items() for grid in both]
        name = f"{cohort}, {split} set, {criterion_label(criterion, min_component_ml)}"
        counts = dict.fromkeys(grid["dice"]["n"] for grid in both if grid)
        sets.setdefault(name, []).append({"arm": arm, "n": " / ".join(counts), "cells": cells})
    return list(sets.items())


def verdicts(final: Iterable[Row], acquired: Iterable[Row]) -> tuple[int, int]:
    """Count the tests of held-out patients made on both grids, and those of them on different sides of the level."""
    sides = [
        {
            tuple(row[name] for name in TESTED): float(row["p_holm"]) <= LEVEL
            for row in rows
            if row["p_holm"] and row["split"] in HELD_OUT and row["criterion"] in REPORTED_CRITERIA
        }
        for rows in (final, acquired)
    ]
    both = sides[0].keys() & sides[1].keys()
    return len(both), sum(sides[0][key] != sides[1][key] for key in both)


def _means(summary: Iterable[Row]) -> dict[tuple[str, ...], dict[str, Row]]:
    found: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in summary:
        if row["member"] == ENSEMBLE and row["split"] in HELD_OUT and row["criterion"] in REPORTED_CRITERIA:
            found.setdefault(tuple(row[name] for name in GROUP), {})[row["measure"]] = row
    return found


def _cell(row: Row | None, decimals: int) -> tuple[str, str]:
    """Return the mean, and its interval with the number of cases in which the measure is undefined, if any."""
    if not row:
        return "", ""
    undefined = f"{row['missing']} undefined" if int(row["missing"]) else ""
    return number(row["mean"], decimals), "; ".join(filter(None, (interval(row, "mean", decimals), undefined)))
