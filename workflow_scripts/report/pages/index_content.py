"""The content of the index page, put together from the tables of all stages."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from statistics import median
from typing import Any

from workflow_scripts.common.vocabulary import (
    ALL_LESIONS,
    ENSEMBLE,
    HELD_OUT,
    REPORTED_CRITERIA,
    SPLITS,
    TABLES,
    criterion_label,
)
from workflow_scripts.report.figure_dice import significance
from workflow_scripts.report.table import fixed

Row = Mapping[str, str]

SMALLEST_P = 1e-4
# Packages whose version changes results; the others of requirements.txt are their dependencies or the tests'.
SHOWN_PACKAGES = (
    *("snakemake", "dcm2niix", "itk-elastix", "deepbet", "nilearn", "nibabel", "numpy", "scipy", "pandas", "torch"),
    *("nnunetv2", "dynamic_network_architectures", "batchgeneratorsv2", "captum", "scikit-learn", "matplotlib"),
)


def cohort_rows(splits: Iterable[Row]) -> list[dict[str, Any]]:
    """Count patients, cases, splits, labels, sides and lesion volumes of each cohort."""
    rows = []
    for cohort, members in _by(splits, "cohort"):
        volumes = [float(row["lesion_ml"]) for row in members if row["lesion_ml"]]
        lesions = [volume for volume in volumes if volume > 0]
        rows.append(
            {
                "cohort": cohort,
                "patients": len({row["patient"] for row in members}),
                "cases": len(members),
                **{split: sum(row["split"] == split for row in members) for split in SPLITS},
                "labelled": len(volumes),
                "lesions": len(lesions),
                "volumes": f"{median(lesions):.1f} ({min(lesions):.1f}–{max(lesions):.1f})" if lesions else "",
                **{side: sum(row["side"] == side for row in members) for side in ("left", "right", "bilateral")},
            }
        )
    return rows


def result_table(name: str, rows: Sequence[Row], min_component_ml: float) -> dict[str, Any]:
    """Return a table for the page: its title, and a block with heading and rows for each cohort and criterion."""
    blocks = []
    for (cohort, criterion), members in groupby(rows, key=lambda row: (row["cohort"], row["criterion"])):
        block = list(members)
        counted = dict.fromkeys(f"n = {row['n']}" for row in block)
        of = f" of {block[0]['cases']} labelled cases" if block[0]["n"] != block[0]["cases"] else ""
        blocks.append(
            {
                "heading": f"{cohort}, {criterion_label(criterion, min_component_ml)} ({', '.join(counted)}{of})",
                "rows": [{**row, "best": set(row["best"].split(","))} for row in block],
                "notes": _notes(block),
            }
        )
    return {"name": name, "title": TABLES[name].title, "blocks": blocks}


def comparison_families(comparisons: Iterable[Row], min_component_ml: float) -> list[tuple[str, list[Row]]]:
    """Format the comparisons on held-out cases, gathered by the family that Holm's method adjusts over."""
    rows = []
    for row in comparisons:
        if row["split"] not in HELD_OUT or row["criterion"] not in REPORTED_CRITERIA:
            continue
        interval = f"{_signed(row['difference_low'])} to {_signed(row['difference_high'])}"
        rows.append(
            {
                **row,
                "family": _set_name(row, min_component_ml),
                "difference": _signed(row["mean_difference"]),
                "interval": interval if row["difference_low"] else "",
                "effect": _signed(row["rank_biserial"], 2),
                "normality": _p(row["shapiro_p"]),
                "raw": _p(row["p"]),
                "adjusted": _p(row["p_holm"]),
                "mark": significance(row["p_holm"]) if row["p_holm"] else "",
            }
        )
    return _by(rows, "family")


def agreement_sets(agreement: Iterable[Row], min_component_ml: float) -> list[tuple[str, list[Row]]]:
    """Format the agreement of volumes of every ensemble, gathered by held-out set and criterion."""
    rows = [
        {
            **row,
            "set": _set_name(row, min_component_ml),
            "spearman": _number(row["spearman"], 2),
            "spearman_p": _p(row["spearman_p"]),
            "icc": _number(row["icc"], 2),
            "interval": f"{_number(row['icc_low'], 2)} to {_number(row['icc_high'], 2)}" if row["icc_low"] else "",
        }
        for row in agreement
        if row["member"] == ENSEMBLE and row["split"] in HELD_OUT and row["criterion"] in REPORTED_CRITERIA
    ]
    return sorted(_by(rows, "set"), key=lambda group: HELD_OUT.index(group[1][0]["split"]))


def member_rows(summary: Iterable[Row], members: Sequence[str]) -> list[dict[str, Any]]:
    """Return the mean Dice (all lesions) of each training beside that of their ensemble, for each held-out set."""
    chosen = [row for row in summary if row["criterion"] == ALL_LESIONS and row["split"] in HELD_OUT]
    rows = []
    for (cohort, split, arm), group in _by(chosen, "cohort", "split", "arm"):
        dice = {row["member"]: fixed(row["dice_mean"], 4) for row in group}
        means = [dice[member] for member in members]
        rows.append({"cohort": cohort, "split": split, "arm": arm, "n": group[0]["n"], "means": means})
    return rows


def headlines(summary: Iterable[Row], min_component_ml: float) -> list[str]:
    """Say, for each held-out set and criterion, which arm has the highest mean Dice of the ensemble."""
    chosen = [row for row in summary if row["member"] == ENSEMBLE and row["split"] in HELD_OUT and row["dice_mean"]]
    lines = []
    for (cohort, split, criterion), group in _by(chosen, "cohort", "split", "criterion"):
        if criterion in REPORTED_CRITERIA:
            best = max(group, key=lambda row: float(row["dice_mean"]))
            lines.append(
                f"{cohort}, {split} set, {criterion_label(criterion, min_component_ml)} (n = {best['n']}): "
                f"highest mean Dice {float(best['dice_mean']):.3f}, {best['arm']}."
            )
    return lines


def probe_tables(tables: Iterable[Sequence[Row]]) -> list[dict[str, Any]]:
    """Return, for each table probe.tsv, the name of its pretraining and its rows with the estimates for readers."""
    kinds = ("pretrained", "random", "difference")
    return [
        {
            "pretraining": table[0]["pretraining"],
            "rows": [{**row, "cells": [_probe_cell(row, kind) for kind in kinds]} for row in table],
        }
        for table in tables
    ]


def _probe_cell(row: Row, kind: str) -> dict[str, Any]:
    """Write an estimate with its interval, and mark a difference that is evidence.

    That takes two intervals above 0: the difference's, and the pretrained features', since features can be less wrong
    than random ones and still know nothing.
    """
    if not row[kind]:
        return {"text": "–", "best": False}
    sign = "+" if kind == "difference" else "-"
    value, low, high = (_number(row[f"{kind}{part}"], 2, sign) for part in ("", "_low", "_high"))
    told = all(float(row[f"{bound}_low"]) > 0 for bound in ("pretrained", "difference"))
    return {"text": f"{value} ({low} to {high})", "best": kind == "difference" and told}


def pinned_versions(requirements: str) -> list[tuple[str, str]]:
    """Read the versions of `SHOWN_PACKAGES` from the text of a requirements file."""
    pins = dict(line.split("==") for line in requirements.splitlines() if "==" in line and not line.startswith("#"))
    return [(name, pins[name].split()[0]) for name in SHOWN_PACKAGES if name in pins]


def _notes(rows: Sequence[Row]) -> list[str]:
    """Gather the notes of a block, each once, with the arms it applies to, or without arms where it applies to all."""
    said: dict[str, list[str]] = {}
    for row in rows:
        for note in filter(None, row["note"].split("; ")):
            said.setdefault(note, []).append(row["experiment"])
    return [note if len(arms) == len(rows) else f"{', '.join(arms)}: {note}" for note, arms in said.items()]


def _set_name(row: Row, min_component_ml: float) -> str:
    return f"{row['cohort']}, {row['split']} set, {criterion_label(row['criterion'], min_component_ml)}"


def _p(value: str) -> str:
    return "< 0.0001" if value and float(value) < SMALLEST_P else fixed(value, 4)


def _number(value: str, decimals: int, sign: str = "-") -> str:
    return f"{float(value):{sign}.{decimals}f}".replace("-", "−") if value else ""


def _signed(value: str, decimals: int = 3) -> str:
    return _number(value, decimals, sign="+")


def _by(rows: Iterable[Row], *columns: str) -> list[tuple[Any, list[Row]]]:
    """Group rows by columns in the order of their first appearance."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        key = tuple(row[column] for column in columns)
        groups.setdefault(key[0] if len(key) == 1 else key, []).append(row)
    return list(groups.items())
