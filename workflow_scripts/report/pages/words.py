"""Comparisons in words: what was compared, in how many, what was found, and what it cannot say."""

import math
from collections.abc import Iterable, Mapping

from workflow_scripts.common.vocabulary import HELD_OUT, REPORTED_CRITERIA, VALIDATION, criterion_label
from workflow_scripts.report.tables.numbers import LEVEL, interval, number, p_value

Row = Mapping[str, str]


def paragraphs(comparisons: Iterable[Row], min_component_ml: float, confidence: float) -> list[dict[str, str]]:
    """Return, for each comparison on held-out patients, a heading and a paragraph."""
    return [
        {"heading": _heading(row, min_component_ml), "text": paragraph(row, min_component_ml, confidence)}
        for row in comparisons
        if row["split"] in HELD_OUT and row["criterion"] in REPORTED_CRITERIA
    ]


def paragraph(row: Row, min_component_ml: float, confidence: float) -> str:
    """Say one row of ``comparisons.tsv`` in sentences, with nothing that its numbers do not bear."""
    sentences = [_compared(row, min_component_ml)]
    if not row["p"]:
        return " ".join([*sentences, f"No test was made{_because(row)}: nothing can be said of a difference."])
    sentences += [_effect(row, confidence), _test(row), _verdict(row), *_contradictions(row, confidence)]
    return " ".join([*sentences, *_limits(row)])


def p_in_words(p: str) -> str:
    """Write p for a sentence; very small ones are not written as zero."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _heading(row: Row, min_component_ml: float) -> str:
    criterion = criterion_label(row["criterion"], min_component_ml)
    return f"{row['second']} and {row['first']}: {row['cohort']}, {row['split']} set, {criterion}"


def _compared(row: Row, min_component_ml: float) -> str:
    criterion = criterion_label(row["criterion"], min_component_ml)
    patients = f"{row['n']} {'patient' if row['n'] == '1' else 'patients'}"
    return (
        f"Dice of the ensembles of {row['second']} and {row['first']} was compared in the {patients} of the "
        f"{row['split']} set of {row['cohort']} that both have ({criterion}; the scans of one patient are averaged)."
    )


def _effect(row: Row, confidence: float) -> str:
    level = f"{100 * confidence:g} %"
    means = " and ".join(f"{_mean(row, arm)} with {row[arm]}" for arm in ("second", "first"))
    bounds = interval(row, "difference", sign="+")
    told = f"{level} interval {bounds}" if bounds else f"no {level} interval"
    text = f"The mean was {means}, a mean difference of {number(row['mean_difference'], sign='+')} ({told})."
    bounds = interval(row, "hodges_lehmann", sign="+")
    shift = number(row["hodges_lehmann"], sign="+") + (f" ({bounds})" if bounds else "")
    effect = number(row["rank_biserial"], 2, "+")
    return f"{text} The Hodges–Lehmann shift was {shift}, the rank-biserial correlation {effect}."


def _mean(row: Row, arm: str) -> str:
    bounds = interval(row, f"mean_{arm}")
    return number(row[f"mean_{arm}"]) + (f" ({bounds})" if bounds else "")


def _test(row: Row) -> str:
    kind = {"exact": "exact ", "asymptotic": "asymptotic "}.get(row["method"], "")
    text = f"The two-sided {kind}signed-rank test gives {p_in_words(row['p'])}"
    if not row["p_holm"]:
        return f"{text}; it was not corrected."
    if row["family_size"] == "1":
        return f"{text}; it is the only test of its family ({row['family']}), so the corrected p is the same."
    return (
        f"{text}, and {p_in_words(row['p_holm'])} after Holm's correction for the {row['family_size']} tests of family "
        f"{row['family']} on these patients."
    )


def _verdict(row: Row) -> str:
    if float(row["p_holm"] or row["p"]) <= LEVEL:
        higher = float(row["rank_biserial"]) > 0
        text = f"At the 5 % level this is evidence that Dice is {'higher' if higher else 'lower'} with {row['second']} "
        if float(row["mean_difference"]) * float(row["rank_biserial"]) > 0:
            return f"{text}in patients like these."
        return f"{text}in most patients like these; the mean difference does not say so, which few patients move much."
    text = "At the 5 % level this is no evidence of a difference, and it does not show that there is none"
    return f"{text}{_power(row)}."


def _power(row: Row) -> str:
    """Say what this many patients could show; nothing where the t test of power saw what the ranks did not."""
    needed, detectable = row["patients_needed"], row["detectable_difference"]
    enough = bool(needed) and int(needed) <= int(row["n"])
    if not detectable or (enough and float(row["p"]) > LEVEL):
        return ""
    text = (
        f": a single paired t test of this many patients of this spread shows a mean difference of "
        f"{number(detectable)} with a power of 80 %, and smaller ones more rarely"
    )
    return f"{text}; the difference seen here would need {needed} patients" if needed and not enough else text


def _contradictions(row: Row, confidence: float) -> list[str]:
    """Say where an interval and the uncorrected test seem to contradict each other, and what the table notes."""
    said = [f"To be noted: {row['note']}."] if row["note"] else []
    if not math.isclose(confidence, 1 - LEVEL):
        return said
    rejected = float(row["p"]) <= LEVEL
    for name, column, why in (
        ("mean difference", "difference", "it rests on the size of the differences, the test on their ranks"),
        ("Hodges–Lehmann shift", "hodges_lehmann", "zeros and ties count in the test alone"),
    ):
        low, high = row[f"{column}_low"], row[f"{column}_high"]
        if low and (float(low) > 0 or float(high) < 0) != rejected:
            holds, rejects = ("holds", "rejects") if rejected else ("leaves out", "does not reject")
            said.append(f"The interval of the {name} {holds} 0, which the uncorrected test {rejects}: {why}.")
    return said


def _limits(row: Row) -> list[str]:
    said = []
    if row["split"] == VALIDATION:
        said.append(
            "The models were chosen on these patients, so the numbers are optimistic and the test is exploratory."
        )
    if int(row["family_size"] or 0) > 1:
        said.append("Intervals are not corrected for the number of tests.")
    said.append(
        "It cannot say what holds for other hospitals, scanners or trainings, whether a lesion was found in its place, "
        "or whether a patient gains."
    )
    return said


def _because(row: Row) -> str:
    return f" ({row['note']})" if row["note"] else ""
