"""Comparisons in words: what was compared, in how many, what was found, and what it cannot say."""

from collections.abc import Iterable, Mapping

from workflow_scripts.common.vocabulary import HELD_OUT, REPORTED_CRITERIA, VALIDATION, criterion_label

Row = Mapping[str, str]

LEVEL = 0.05
SMALLEST_P = 1e-4


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
    sentences += [_effect(row, confidence), _test(row), _verdict(row), *_limits(row)]
    return " ".join(sentences)


def p_in_words(p: str) -> str:
    """Write p for a sentence; very small ones are not written as zero."""
    return f"p < {SMALLEST_P:.4f}" if float(p) < SMALLEST_P else f"p = {float(p):.2g}"


def number(value: str, decimals: int = 3, sign: str = "") -> str:
    """Write a number with a true minus sign."""
    return f"{float(value):{sign}.{decimals}f}".replace("-", "−")


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
    means = " and ".join(f"{number(row[f'mean_{arm}'])} with {row[arm]}" for arm in ("second", "first"))
    difference = f"a mean difference of {number(row['mean_difference'], sign='+')}"
    low, high = row["difference_low"], row["difference_high"]
    interval = (
        f" ({level} interval {number(low, sign='+')} to {number(high, sign='+')})" if low else f" (no {level} interval)"
    )
    text = f"The mean was {means}, {difference}{interval}."
    if row["hodges_lehmann"]:
        low, high = row["hodges_lehmann_low"], row["hodges_lehmann_high"]
        bounds = f" ({number(low, sign='+')} to {number(high, sign='+')})" if low else ""
        text += f" The Hodges–Lehmann shift was {number(row['hodges_lehmann'], sign='+')}{bounds}"
        text += (
            f", the rank-biserial correlation {number(row['rank_biserial'], 2, '+')}." if row["rank_biserial"] else "."
        )
    return text


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
        more = "higher" if float(row["hodges_lehmann"] or row["mean_difference"]) > 0 else "lower"
        return f"At the 5 % level this is evidence that Dice is {more} with {row['second']} in patients like these."
    text = "At the 5 % level this is no evidence of a difference, and it does not show that there is none"
    if row["detectable_difference"]:
        text += (
            f": with this many patients of this spread, a mean difference of {number(row['detectable_difference'])} "
            "would be found with a power of 80 %, and smaller ones more rarely"
        )
    if row["patients_needed"]:
        text += f"; the difference seen here would need {row['patients_needed']} patients"
    return f"{text}."


def _limits(row: Row) -> list[str]:
    said = []
    if row["split"] == VALIDATION:
        said.append(
            "The models were chosen on these patients, so the numbers are optimistic and the test is exploratory."
        )
    said.append(
        "It cannot say what holds for other hospitals, scanners or trainings, whether a lesion was found in its place, "
        "or whether a patient gains."
    )
    return said


def _because(row: Row) -> str:
    return f" ({row['note']})" if row["note"] else ""
