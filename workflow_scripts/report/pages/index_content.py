"""The content of the index page, put together from the tables of all stages."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from workflow_scripts.common.vocabulary import (
    ALL_LESIONS,
    ENSEMBLE,
    HELD_OUT,
    REPORTED_CRITERIA,
    TABLES,
    criterion_label,
)
from workflow_scripts.report.tables.formats import notes, reference_note
from workflow_scripts.report.tables.numbers import fixed, interval, number, p_value, significance

Row = Mapping[str, str]

MEASURE_NAMES = {
    "dice": "Dice",
    "hd95_mm": "HD95, mm",
    "surface_dice_2mm": "surface Dice at 2 mm",
    "surface_dice_5mm": "surface Dice at 5 mm",
    "volume_difference_ml": "absolute volume difference, mL",
    "signed_volume_difference_ml": "volume difference, predicted − reference, mL",
    "lesion_f1": "F1 of lesions",
    "lesion_sensitivity": "sensitivity for lesions",
    "false_lesions": "false lesions a case",
}
VARIANCE_PARTS = ("case", "method", "seed", "case_by_method", "residual")
# Packages whose version changes results; the others of requirements.txt are their dependencies or the tests'.
SHOWN_PACKAGES = (
    *("snakemake", "dcm2niix", "itk-elastix", "deepbet", "nilearn", "nibabel", "numpy", "scipy", "pandas", "torch"),
    *("nnunetv2", "dynamic_network_architectures", "batchgeneratorsv2", "captum", "scikit-learn", "matplotlib"),
)


def result_table(name: str, rows: Sequence[Row], min_component_ml: float) -> dict[str, Any]:
    """Return a table for the page: its title, and a block with heading and rows for each cohort and criterion."""
    blocks = []
    for (cohort, criterion), members in groupby(rows, key=lambda row: (row["cohort"], row["criterion"])):
        block = list(members)
        counted = dict.fromkeys(f"n = {row['n']}" for row in block)
        scored, cases = block[0]["scored"], block[0]["cases"]
        of = f"; {scored} of {cases} labelled cases" if scored != cases else ""
        blocks.append(
            {
                "heading": f"{cohort}, {criterion_label(criterion, min_component_ml)} ({', '.join(counted)}{of})",
                "rows": [{**row, "best": set(row["best"].split(","))} for row in block],
                "referenced": reference_note(block),
                "notes": notes(block),
            }
        )
    return {"name": name, "title": TABLES[name].title, "blocks": blocks}


def comparison_families(comparisons: Iterable[Row], min_component_ml: float) -> list[tuple[str, list[Row]]]:
    """Format the comparisons on held-out patients, gathered by the family that Holm's method adjusts over."""
    rows = []
    for row in comparisons:
        if row["split"] not in HELD_OUT or row["criterion"] not in REPORTED_CRITERIA:
            continue
        rows.append(
            {
                **row,
                "family": f"{_set_name(row, min_component_ml)} (family {row['family']})",
                "difference": _signed(row["mean_difference"]),
                "interval": interval(row, "difference", sign="+"),
                "shift": _signed(row["hodges_lehmann"]),
                "shift_interval": interval(row, "hodges_lehmann", sign="+"),
                "higher": number(row["common_language"], 2),
                "detectable": number(row["detectable_difference"], 3),
                "effect": _signed(row["rank_biserial"], 2),
                "normality": p_value(row["shapiro_p"]),
                "raw": p_value(row["p"]),
                "adjusted": p_value(row["p_holm"]),
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
            "spearman": number(row["spearman"], 2),
            "spearman_interval": interval(row, "spearman", 2),
            "icc": number(row["icc"], 2),
            "interval": interval(row, "icc", 2),
        }
        for row in agreement
        if row["member"] == ENSEMBLE and row["split"] in HELD_OUT and row["criterion"] in REPORTED_CRITERIA
    ]
    return sorted(_by(rows, "set"), key=lambda group: HELD_OUT.index(group[1][0]["split"]))


def member_rows(summary: Iterable[Row], members: Sequence[str]) -> list[dict[str, Any]]:
    """Return the mean Dice (all lesions) of each training beside that of their ensemble, for each held-out set."""
    chosen = [row for row in _dice(summary) if row["criterion"] == ALL_LESIONS]
    rows = []
    for (cohort, split, arm), group in _by(chosen, "cohort", "split", "arm"):
        dice = {row["member"]: (fixed(row["mean"], 4), interval(row, "mean")) for row in group}
        means = [dice[member] for member in members]
        rows.append({"cohort": cohort, "split": split, "arm": arm, "n": group[0]["n"], "means": means})
    return rows


def headlines(summary: Iterable[Row], min_component_ml: float) -> list[str]:
    """Say the mean Dice of every ensemble, for each held-out set and criterion; none is singled out."""
    chosen = [row for row in _dice(summary) if row["member"] == ENSEMBLE and row["mean"]]
    lines = []
    for (cohort, split, criterion), group in _by(chosen, "cohort", "split", "criterion"):
        if criterion in REPORTED_CRITERIA:
            counts = sorted({int(row["n"]) for row in group})
            told = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            means = ", ".join(f"{row['arm']} {number(row['mean'], 3)}{_bracketed(row)}" for row in group)
            label = criterion_label(criterion, min_component_ml)
            lines.append(f"{cohort}, {split} set, {label} (n = {told}): mean Dice {means}.")
    return lines


def _bracketed(row: Row) -> str:
    bounds = interval(row, "mean")
    return f" ({bounds})" if bounds else ""


def measure_sets(summary: Iterable[Row], min_component_ml: float) -> list[tuple[str, list[Row]]]:
    """Format every measure of the ensembles, gathered by held-out set, criterion and measure."""
    rows = []
    for row in summary:
        if row["member"] == ENSEMBLE and row["split"] in HELD_OUT and row["criterion"] in REPORTED_CRITERIA:
            cells = {name: number(row[name], 3) for name in ("mean", "median", "penalised_mean")}
            cells |= {f"{name}_interval": interval(row, name) for name in ("mean", "median", "penalised")}
            title = f"{_set_name(row, min_component_ml)}: {MEASURE_NAMES[row['measure']]}"
            rows.append({**row, **cells, "set": title})
    return _by(rows, "set")


def rank_sets(ranks: Iterable[Row], min_component_ml: float) -> list[tuple[str, list[Row]]]:
    """Format how firmly the arms stand in their order, gathered by set and criterion."""
    rows = [
        {
            **row,
            "set": _set_name(row, min_component_ml),
            "mean": number(row["mean"], 3),
            "mean_interval": interval(row, "mean"),
            "interval": f"{float(row['rank_low']):g} to {float(row['rank_high']):g}" if row["rank_low"] else "",
            "first": f"{100 * float(row['first_share']):.0f} %" if row["first_share"] else "",
        }
        for row in ranks
        if row["criterion"] in REPORTED_CRITERIA
    ]
    return _by(rows, "set")


def variance_rows(variance: Iterable[Row], min_component_ml: float) -> list[Row]:
    """Format the shares of the variance of Dice for each held-out set and criterion."""
    rows = []
    for row in variance:
        if row["split"] in HELD_OUT and row["criterion"] in REPORTED_CRITERIA:
            total = sum(float(row[name]) for name in VARIANCE_PARTS if row[name])
            shares = [
                f"{100 * float(row[name]) / total:.0f} %" if total and row[name] else "" for name in VARIANCE_PARTS
            ]
            rows.append({**row, "set": _set_name(row, min_component_ml), "shares": shares})
    return rows


def subgroup_sets(subgroups: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Format the Dice of the subgroups, gathered by held-out set and kind of group."""
    rows = [
        {
            **row,
            **{name: number(row[name]) for name in ("mean", "median")},
            **{f"{name}_interval": interval(row, name) for name in ("mean", "median")},
            "set": f"{row['split']} set, by {row['by']}",
        }
        for row in subgroups
        if row["split"] in HELD_OUT
    ]
    return _by(rows, "set")


def _dice(summary: Iterable[Row]) -> list[Row]:
    return [row for row in summary if row["measure"] == "dice" and row["split"] in HELD_OUT]


def probe_tables(tables: Iterable[Sequence[Row]]) -> list[dict[str, Any]]:
    """Return, for each table probe.tsv, the name of its pretraining and its rows with the estimates for readers."""
    kinds = ("pretrained", "random", "difference", "moments", "histogram", "supervised")
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
    than random ones and still know nothing; and a value above what mask and histogram tell without a network.
    """
    if not row[kind]:
        return {"text": "–", "best": False}
    sign = "+" if kind == "difference" else "-"
    value, low, high = (number(row[f"{kind}{part}"], 2, sign) for part in ("", "_low", "_high"))
    told = all(float(row[f"{bound}_low"]) > 0 for bound in ("pretrained", "difference"))
    told &= float(row["pretrained"]) > max(float(row[name]) for name in ("moments", "histogram"))
    return {"text": f"{value} ({low} to {high})", "best": kind == "difference" and told}


def pinned_versions(requirements: str) -> list[tuple[str, str]]:
    """Read the versions of `SHOWN_PACKAGES` from the text of a requirements file."""
    pins = dict(line.split("==") for line in requirements.splitlines() if "==" in line and not line.startswith("#"))
    return [(name, pins[name].split()[0]) for name in SHOWN_PACKAGES if name in pins]


def _set_name(row: Row, min_component_ml: float) -> str:
    return f"{row['cohort']}, {row['split']} set, {criterion_label(row['criterion'], min_component_ml)}"


def _signed(value: str, decimals: int = 3) -> str:
    return number(value, decimals, sign="+")


def _by(rows: Iterable[Row], *columns: str) -> list[tuple[Any, list[Row]]]:
    """Group rows by columns in the order of their first appearance."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        key = tuple(row[column] for column in columns)
        groups.setdefault(key[0] if len(key) == 1 else key, []).append(row)
    return list(groups.items())
