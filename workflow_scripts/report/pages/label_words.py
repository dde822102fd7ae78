"""Labels saved, in words and in cells: nothing that the numbers do not bear."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from workflow_scripts.common.vocabulary import VALIDATION, criterion_label
from workflow_scripts.report.pages.words import number

Row = Mapping[str, str]

WHOLE_CURVE = "curve"
SHARED = {"train": "cohorts", "channels": "channels", "epochs": "epochs"}


def factor_in_words(row: Row, confidence: float) -> str:
    """Say the factor of a row of ``label_savings.tsv`` with its interval."""
    if not row["factor"]:
        return f"none ({row['note']})"
    text = _bound(row["factor"], row["beyond"])
    return f"{text} ({interval_in_words(row, confidence)})"


def interval_in_words(row: Row, confidence: float) -> str:
    """Say the interval of a row's factor; a bound beyond the numbers of labels measured is said as more or less."""
    level = f"{100 * confidence:g} % interval"
    if not row["factor_low"]:
        return f"no {level}"
    return f"{level} {' to '.join(_bounds(row))}"


def curve_sets(rows: Iterable[Row], min_component_ml: float) -> list[tuple[str, list[dict[str, Any]]]]:
    """Format ``label_curve.tsv``, gathered by set and criterion."""
    cells = [
        {**row, "mean": number(row["dice"]), "interval": _interval(row) if row["dice_low"] else ""} for row in rows
    ]
    return _gathered(cells, min_component_ml)


def saving_sets(rows: Iterable[Row], min_component_ml: float) -> list[tuple[str, list[dict[str, Any]]]]:
    """Format ``label_savings.tsv``, gathered by set and criterion."""
    cells = [
        {
            **row,
            "labels": "whole curve" if row["labels"] == WHOLE_CURVE else row["labels"],
            "levels": _levels(row),
            "said": _bound(row["factor"], row["beyond"]) if row["factor"] else "",
            "interval": " to ".join(_bounds(row)) if row["factor_low"] else "",
        }
        for row in rows
    ]
    return _gathered(cells, min_component_ml)


def paragraphs(
    savings: Iterable[Row], arms: Mapping[str, Mapping[str, Any]], min_component_ml: float, confidence: float
) -> list[dict[str, str]]:
    """Return, for each pair, set and criterion, a heading and a paragraph on the whole curve.

    ``arms`` has the entries of `arms` in the configuration.
    """
    return [
        {
            "heading": f"{row['second']} and {row['first']}: {_set(row, min_component_ml)}",
            "text": paragraph(row, arms, min_component_ml, confidence),
        }
        for row in savings
        if row["labels"] == WHOLE_CURVE
    ]


def paragraph(row: Row, arms: Mapping[str, Mapping[str, Any]], min_component_ml: float, confidence: float) -> str:
    """Say one row of ``label_savings.tsv`` on the whole curve in sentences."""
    first, second = row["first"], row["second"]
    patients = f"{row['n']} {'patient' if row['n'] == '1' else 'patients'}"
    said = [
        f"Single models of {second} and {first}, trained on different numbers of labelled patients, were compared by "
        f"their mean Dice in {patients} ({_set(row, min_component_ml)})."
    ]
    if not row["factor"]:
        return " ".join([*said, f"Nothing can be said of labels saved: {row['note']}."])
    said += [_found(row, confidence), _verdict(row), *_limits(row, arms)]
    return " ".join(said)


def _found(row: Row, confidence: float) -> str:
    first, second, interval = row["first"], row["second"], interval_in_words(row, confidence)
    if row["beyond"]:
        side, much = ("above", "more") if row["beyond"] == "above" else ("below", "less")
        return (
            f"The curve of {second} lies {side} that of {first} with every number of labels measured, so the factor of "
            f"labels was not measured: it is {much} than {_bound(row['factor'], '', row['beyond'])} ({interval})."
        )
    factor = _bound(row["factor"], "")
    averaged = ", averaged over these levels" if " to " in _levels(row) else ""
    return (
        f"Both curves reach a mean Dice of {_levels(row)}. For the same Dice {first} needs {factor} times as many "
        f"labelled patients as {second} ({interval}){averaged}."
    )


def _verdict(row: Row) -> str:
    if not row["factor_low"]:
        return "Without an interval this is no evidence of labels saved."
    low, high = float(row["factor_low"]), float(row["factor_high"])
    above = row["low_beyond"] != "below" and (low > 1 or (row["low_beyond"] == "above" and low >= 1))
    below = row["high_beyond"] != "above" and (high < 1 or (row["high_beyond"] == "below" and high <= 1))
    if above:
        return f"The interval lies above 1: evidence that {row['second']} needs fewer labels in patients like these."
    if below:
        return f"The interval lies below 1: evidence that {row['second']} needs more labels in patients like these."
    return "The interval does not exclude 1: no evidence that labels are saved, and it does not show that none are."


def _limits(row: Row, arms: Mapping[str, Mapping[str, Any]]) -> list[str]:
    said = []
    if "one draw" in row["note"]:
        said.append("Some number of labels has one draw of the patients: the interval does not know of other draws.")
    if row["split"] == VALIDATION:
        said.append("The epochs of the models were chosen on these patients, so Dice is optimistic for both arms.")
    first, second = arms[row["first"]], arms[row["second"]]
    if differing := [word for key, word in SHARED.items() if first[key] != second[key]]:
        said.append(f"The arms differ in {' and '.join(differing)} too, and the factor is of that as well.")
    said += ["The interval is not corrected for the number of comparisons."] * bool(row["factor_low"])
    said.append(
        "It cannot say what holds with more labels than were measured, with other labels, or in other hospitals."
    )
    return said


def _bound(value: str, beyond: str, rounded: str = "") -> str:
    """Write a factor; one that is only known to be more is rounded down, one that is known to be less is rounded up."""
    side = beyond or rounded
    hundredths = float(value) * 100
    turned = {"above": math.floor(hundredths + 1e-6), "below": math.ceil(hundredths - 1e-6)}.get(side, hundredths)
    text = f"{turned / 100:.2f}"
    return {"above": f"more than {text}", "below": f"less than {text}"}.get(beyond, text)


def _bounds(row: Row) -> list[str]:
    """Return the two bounds of the interval; one, where both are beyond what was measured."""
    bounds = [_bound(row["factor_low"], row["low_beyond"]), _bound(row["factor_high"], row["high_beyond"])]
    return list(dict.fromkeys(bounds))


def _levels(row: Row) -> str:
    if not row["dice_from"]:
        return ""
    low, high = number(row["dice_from"]), number(row["dice_to"])
    return low if low == high else f"{low} to {high}"


def _interval(row: Row) -> str:
    return f"{number(row['dice_low'])} to {number(row['dice_high'])}"


def _set(row: Row, min_component_ml: float) -> str:
    return f"{row['cohort']}, {row['split']} set, {criterion_label(row['criterion'], min_component_ml)}"


def _gathered(rows: Iterable[dict[str, Any]], min_component_ml: float) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_set(row, min_component_ml), []).append(row)
    return list(groups.items())
