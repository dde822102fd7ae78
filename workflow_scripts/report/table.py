"""Write one table of results in the form of the paper's Tables 1–3, B.4 and B.5, from the summary of the scores."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv, write_text, write_tsv
from workflow_scripts.common.vocabulary import CRITERIA, ENSEMBLE, SPLITS, TRAIN, VALIDATION, criterion_label
from workflow_scripts.report.tables.formats import Heading, latex, markdown
from workflow_scripts.report.tables.numbers import fixed, interval
from workflow_scripts.report.tables.reference import PAPER_COLUMNS, beside


@dataclass(frozen=True)
class Measure:
    """A measure of the summary: its name there, the prefix and decimals here, and whether more is better."""

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
ESTIMATES = (
    *(f"{m.name}_{part}{m.unit}" for m in MEASURES for part in ("mean", "median_iqr")),
    *("hd95_penalised_mean_mm", "corr", "icc"),
)
COLUMNS = (
    *("cohort", "split", "criterion", "n", "scored", "cases", "experiment"),
    *(f"{name}{part}" for name in ESTIMATES for part in ("", "_interval")),
    *("hd95_undefined", "dsc_mean_of_seeds", "best", "note"),
    *PAPER_COLUMNS,
)
GROUP = ("arm", "member", "cohort", "split", "criterion")

Row = Mapping[str, str]


def make_table(
    summary: Sequence[Row],
    agreement: Sequence[Row],
    arms: Sequence[str],
    split: str,
    criteria: Sequence[str],
    selected_on: str,
) -> list[dict[str, str]]:
    """Return one row for each cohort × criterion × arm, formatted as in the paper, each estimate with its interval.

    ``best`` names the columns in which a row is the best of its cohort and criterion on the set ``selected_on``, ties
    included; nothing is best where only one arm has a value, and no mean or median of HD95 is where the arms miss
    different numbers of cases. On another set nothing is: arms are chosen on that one alone.
    """
    chosen = [row for row in summary if row["arm"] in arms and row["split"] == split and row["criterion"] in criteria]
    measured: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in chosen:
        measured.setdefault(_group(row), {})[row["measure"]] = row
    agreed = {_group(row): row for row in agreement}
    seeds = [row for row in chosen if row["member"] != ENSEMBLE and row["measure"] == "dice"]
    rows = [_row(one, agreed[key], seeds) for key, one in measured.items() if key[1] == ENSEMBLE]
    cohorts = list(dict.fromkeys(row["cohort"] for row in rows))
    rows.sort(
        key=lambda row: (
            cohorts.index(row["cohort"]),
            criteria.index(row["criterion"]),
            arms.index(row["experiment"]),
        )
    )
    for _, block in groupby(rows, key=lambda row: (row["cohort"], row["criterion"])):
        if split == selected_on:
            _mark_best(list(block))
    return rows


def _group(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in GROUP)


def _row(measured: Mapping[str, Row], agreed: Row, seeds: Iterable[Row]) -> dict[str, str]:
    dice, hd95 = measured["dice"], measured["hd95_mm"]
    made = {name: dice[name] for name in ("cohort", "split", "criterion", "n", "scored", "cases")}
    made |= {"experiment": dice["arm"], "hd95_undefined": hd95["missing"]}
    for m in MEASURES:
        row, decimals = measured[m.source], m.median_decimals
        mean, median = f"{m.name}_mean{m.unit}", f"{m.name}_median_iqr{m.unit}"
        made[mean], made[f"{mean}_interval"] = _estimate(row, "mean", m.mean_decimals)
        middle, made[f"{median}_interval"] = _estimate(row, "median", decimals)
        made[median] = f"{middle} ({fixed(row['iqr'], decimals) or '–'})" if middle else ""
    penalised = {"mean": hd95["penalised_mean"], "mean_low": hd95["penalised_low"], "mean_high": hd95["penalised_high"]}
    made["hd95_penalised_mean_mm"], made["hd95_penalised_mean_mm_interval"] = _estimate(penalised, "mean", 2)
    for source, name in SINGLE:
        made[name], made[f"{name}_interval"] = _estimate(agreed, source, 2)
    same = [float(row["mean"]) for row in seeds if row["mean"] and _same_but_member(row, dice)]
    made["dsc_mean_of_seeds"] = (
        "–".join(dict.fromkeys(f"{mean:.3f}" for mean in (min(same), max(same)))) if same else ""
    )
    notes = [*dice["note"].split("; "), *hd95["note"].split("; "), *agreed["note"].split("; ")]
    made["note"] = "; ".join(_named(dict.fromkeys(filter(None, notes))))
    return made | {"best": ""}


def _named(notes: Iterable[str]) -> list[str]:
    """Say of which measure the one note is that only HD95 has."""
    return [f"HD95 {note}" if note.startswith("undefined in") else note for note in notes]


def _same_but_member(row: Row, other: Row) -> bool:
    return all(row[name] == other[name] for name in GROUP if name != "member")


def _estimate(row: Row, name: str, decimals: int) -> tuple[str, str]:
    """Return an estimate and its interval as text; both are empty where there is none."""
    return fixed(row[name], decimals), interval(row, name, decimals)


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
    parser.add_argument("--agreement", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", required=True, help="rows of the table, in this order")
    parser.add_argument("--split", choices=SPLITS, required=True)
    parser.add_argument("--criteria", nargs="+", choices=CRITERIA, required=True)
    parser.add_argument("--selected-on", choices=[TRAIN, VALIDATION], required=True, help="split with a best arm")
    parser.add_argument("--paper", type=Path, required=True, help="the paper's numbers, paper.tsv")
    parser.add_argument("--title", required=True, help="title of the table")
    parser.add_argument("--notice", help="sentence of the study that its tables carry")
    parser.add_argument("--min-component-ml", type=float, required=True, help="limit of criterion large, mL")
    parser.add_argument("--confidence", type=float, required=True, help="level of the intervals")
    for form in ("tsv", "markdown", "latex"):
        parser.add_argument(f"--out-{form}", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write one table in three formats."""
    arguments = _parse(argv)
    summary, agreement = read_tsv(arguments.summary), read_tsv(arguments.agreement)
    made = make_table(summary, agreement, arguments.arms, arguments.split, arguments.criteria, arguments.selected_on)
    rows = beside(made, read_tsv(arguments.paper))

    def label(criterion: str) -> str:
        return criterion_label(criterion, arguments.min_component_ml)

    heading = Heading(arguments.title, arguments.notice, arguments.confidence, label)
    write_tsv(arguments.out_tsv, rows, COLUMNS)
    write_text(arguments.out_markdown, markdown(rows, heading))
    write_text(arguments.out_latex, latex(rows, heading, arguments.out_latex.stem))


if __name__ == "__main__":
    run(main)
