"""Subgroups: every scored case is in one group of each kind, patients are counted, the thirds are those of scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.evaluate.measures.intervals import mean_interval
from workflow_scripts.evaluate.measures.subgroups import describe_groups, groups_of

VOLUMES = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
SIDES = ("none", *("left", "right", "bilateral") * 3)
STANDARDS = ("gold", "silver", "") * 3 + ("gold",)
SPLITS = [
    {"cohort": "A" if number < 6 else "B", "case": f"c{number}", "lesion_ml": str(volume), "side": side}
    | {"label_standard": standard}
    for number, (volume, side, standard) in enumerate(zip(VOLUMES, SIDES, STANDARDS, strict=True))
]
UNLABELLED = {"cohort": "B", "case": "u", "lesion_ml": "", "side": "", "label_standard": ""}


def scores(dice: list[float], patients: list[str]) -> pd.DataFrame:
    rows = [
        row | {"dice": value, "patient": patient} for row, value, patient in zip(SPLITS, dice, patients, strict=True)
    ]
    return pd.DataFrame(rows)[["cohort", "patient", "case", "dice"]]


def described(dice: list[float], patients: list[str]) -> dict[tuple[str, str], dict]:
    rows = describe_groups(scores(dice, patients), groups_of([*SPLITS, UNLABELLED]), 0.95, mean_interval)
    return {(row["by"], row["group"]): row for row in rows}


def test_thirds_hold_as_many_lesions_each_and_a_case_without_one_stands_apart():
    groups = groups_of([*SPLITS, UNLABELLED])
    assert "B/u" not in groups
    sizes = [groups[f"{row['cohort']}/{row['case']}"]["size"].split(" (")[0] for row in SPLITS]
    bounds = stats.mstats.mquantiles(VOLUMES[1:], [1 / 3, 2 / 3], alphap=1, betap=1)
    expected = [f"{('lower', 'middle', 'upper')[int((bounds < volume).sum())]} third" for volume in VOLUMES[1:]]
    assert sizes == ["no lesion", *expected]


def test_every_kind_of_group_holds_every_case_once_and_words_stand_for_what_is_not_stated():
    found = described([0.1] * 10, [str(number) for number in range(10)])
    for by in ("cohort", "size", "side", "label standard"):
        assert sum(row["cases"] for (kind, _), row in found.items() if kind == by) == 10
    assert found["label standard", "not stated"]["n"] == 3
    assert found["side", "no lesion"]["n"] == 1


def test_scans_of_one_patient_are_averaged_and_patients_of_two_cohorts_kept_apart():
    found = described(
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 0.5, 0.5, 0.5, 0.5], ["p", "p", "p", "q", "q", "r", "p", "p", "q", "s"]
    )
    assert (found["cohort", "A"]["cases"], found["cohort", "A"]["n"]) == (6, 3)
    assert found["cohort", "A"]["mean"] == pytest.approx(np.mean([0.2, 0.7, 1.0]))
    assert found["label standard", "gold"]["n"] == 4, "patients p and q of A, p of B, s of B"
    assert found["cohort", "A"]["note"] == "n < 6: no interval"


def test_the_interval_is_students():
    values = np.random.default_rng(0).random(10)
    splits = [row | {"cohort": "A"} for row in SPLITS]
    (row,) = [
        row
        for row in describe_groups(
            scores(list(values), [str(i) for i in range(10)]).assign(cohort="A"), groups_of(splits), 0.95, mean_interval
        )
        if row["by"] == "cohort"
    ]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (row["mean_low"], row["mean_high"]) == pytest.approx(tuple(expected))


def test_a_study_without_lesions_has_its_groups():
    splits = [row | {"lesion_ml": "0", "side": "none"} for row in SPLITS]
    assert {group["size"] for group in groups_of(splits).values()} == {"no lesion"}
