"""Write one table of results in the form of the paper's Tables 1–3, B.4 and B.5, from the summary of the scores."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.vocabulary import CRITERIA, ENSEMBLE, SPLITS


@dataclass(frozen=True)
class Measure:
    """A measure of the summary: its columns' prefix, the prefix and decimals here, and whether more is better."""

    source: str
    name: str
    unit: str
    mean_decimals: int
    median_decimals: int
    higher: bool


MEASURES = (
    Measure("dice", "dsc", "", 4, 3, True),
    Measure("hd95_mm", "hd95", "_mm", 2, 2, False),
    Measure("volume_difference_ml", "avd", "_ml", 2, 2, False),
)
SINGLE = (("spearman", "corr"), ("icc", "icc"))
COLUMNS = (
    "cohort",
    "split",
    "criterion",
    "n",
    "cases",
    "experiment",
    *(f"{m.name}_{part}{m.unit}" for m in MEASURES for part in ("mean", "median_iqr")),
    "hd95_penalised_mean_mm",
    "hd95_undefined",
    "corr",
    "icc",
    "dsc_mean_of_seeds",
    "best",
    "note",
)


def make_table(
    summary: Sequence[Mapping[str, str]], arms: Sequence[str], split: str, criteria: Sequence[str]
) -> list[dict[str, str]]:
    """Return one row for each cohort × criterion × arm, formatted as in the paper.

    ``best`` names the columns in which a row is the best of its cohort and criterion, ties included; nothing is best
    where only one arm has a value, and no mean or median of HD95 is where the arms miss different numbers of cases.
    """
    chosen = [row for row in summary if row["arm"] in arms and row["split"] == split and row["criterion"] in criteria]
    rows = [_row(row, chosen) for row in chosen if row["member"] == ENSEMBLE]
    cohorts = list(dict.fromkeys(row["cohort"] for row in rows))
    rows.sort(
        key=lambda row: (_position(cohorts, row), criteria.index(row["criterion"]), arms.index(row["experiment"]))
    )
    for _, block in groupby(rows, key=lambda row: (row["cohort"], row["criterion"])):
        _mark_best(list(block))
    return rows


def _position(cohorts: Sequence[str], row: Mapping[str, str]) -> int:
    return cohorts.index(row["cohort"])


def _row(row: Mapping[str, str], summary: Iterable[Mapping[str, str]]) -> dict[str, str]:
    made = {name: row[name] for name in ("cohort", "split", "criterion", "n", "cases", "hd95_undefined", "note")}
    made["experiment"] = row["arm"]
    for m in MEASURES:
        mean, median, iqr = (row[f"{m.source}_{part}"] for part in ("mean", "median", "iqr"))
        made[f"{m.name}_mean{m.unit}"] = fixed(mean, m.mean_decimals)
        spread = f"{fixed(median, m.median_decimals)} ({fixed(iqr, m.median_decimals)})"
        made[f"{m.name}_median_iqr{m.unit}"] = spread if median else ""
    made["hd95_penalised_mean_mm"] = fixed(row["hd95_penalised_mm_mean"], 2)
    for source, name in SINGLE:
        made[name] = fixed(row[source], 2)
    same = ("arm", "cohort", "split", "criterion")
    seeds = [
        float(other["dice_mean"])
        for other in summary
        if other["member"] != ENSEMBLE and other["dice_mean"] and all(other[key] == row[key] for key in same)
    ]
    made["dsc_mean_of_seeds"] = f"{min(seeds):.3f}–{max(seeds):.3f}" if seeds else ""
    return made


def fixed(value: str, decimals: int) -> str:
    """Format a number of a table with fixed decimals; an empty cell stays empty."""
    return f"{float(value):.{decimals}f}" if value else ""


def _mark_best(rows: list[dict[str, str]]) -> None:
    directions = {"hd95_penalised_mean_mm": False, "corr": True, "icc": True}
    for m in MEASURES:
        if m.name != "hd95" or len({row["hd95_undefined"] for row in rows}) == 1:
            directions |= {f"{m.name}_mean{m.unit}": m.higher, f"{m.name}_median_iqr{m.unit}": m.higher}
    best: list[list[str]] = [[] for _ in rows]
    for column in (column for column in COLUMNS if column in directions):
        values = [float(row[column].split(" ")[0]) if row[column] else None for row in rows]
        known = [value for value in values if value is not None]
        if len(known) > 1:
            winner = max(known) if directions[column] else min(known)
            for names, value in zip(best, values, strict=True):
                names += [column] * (value == winner)
    for row, names in zip(rows, best, strict=True):
        row["best"] = ",".join(names)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", required=True, help="rows of the table, in this order")
    parser.add_argument("--split", choices=SPLITS, required=True)
    parser.add_argument("--criteria", nargs="+", choices=CRITERIA, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write one table."""
    arguments = _parse(argv)
    rows = make_table(read_tsv(arguments.summary), arguments.arms, arguments.split, arguments.criteria)
    write_tsv(arguments.out, rows, COLUMNS)


if __name__ == "__main__":
    run(main)
