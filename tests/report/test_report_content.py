"""What the page says of cases and comparisons: the flow, the cohorts, clinical data, sentences, checklists."""

from dataclasses import asdict

import numpy as np
import pytest

from workflow_scripts.common.acquisition import describe
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.stack import Stack
from workflow_scripts.evaluate.measures.comparison import Comparison, compare
from workflow_scripts.report.pages import checklists, cohorts, methods, words
from workflow_scripts.report.pages.flow import flow, scored_cases
from workflow_scripts.report.tables.numbers import interval, number, p_value

MARKUP = "<b>motion & a very long reason that goes on and on</b>, which no box of a drawing can hold on one line"


def case(cohort: str, name: str, split: str, volume: str = "5", patient: str = "") -> dict[str, str]:
    row = {"cohort": cohort, "case": name, "patient": patient or name, "split": split}
    return row | {"lesion_ml": volume, "side": "left"}


SPLITS = [
    *(case("A", f"A{number}", "train", patient=f"P{number // 2}") for number in range(4)),
    case("A", "A8", "validation"),
    case("A", "A9", "test", "0"),
    case("B", "P0", "train", ""),
]


def summary(**changed: str) -> dict[str, str]:
    row = {"member": "ensemble", "measure": "dice", "cohort": "A", "split": "test", "criterion": "all", "scored": "1"}
    return row | changed


@pytest.mark.parametrize(
    ("value", "told"),
    [("0.0004", "+0.0004"), ("-0.00004", "−0.00004"), ("0", "0.000"), ("-1e-12", "0.000"), ("0.25", "+0.250")],
)
def test_a_number_that_is_not_0_is_not_written_as_0(value, told):
    assert number(value, sign="+") == told


def test_a_bound_stays_on_its_side_of_0():
    assert interval({"d_low": "0.0003", "d_high": "0.02"}, "d", sign="+") == "+0.0003 to +0.020"


def test_the_flow_adds_up():
    excluded = [{"cohort": "A", "case": "X", "reason": MARKUP}, {"cohort": "A", "case": "Y", "reason": MARKUP}]
    scored = scored_cases([summary(), summary(criterion="large", scored="0"), summary(cohort="B", scored="2")], 3)
    drawn = flow(SPLITS, excluded, 1, scored)
    sheet, out, included, train, validation, test = (box.lines for box in drawn["boxes"])
    assert sheet == ("In the case sheet: 9 cases",)
    assert out[0] == "Excluded: 2 cases" and out[1].startswith("2: <b>motion") and len(out) == 3
    assert included == ("Included: 7 cases", "of 5 patients in 2 cohorts", "with a flag, kept: 1")
    assert train == ("Training: 5 cases", "of 3 patients", "with a lesion mask: 4")
    assert validation == ("Validation: 1 case", "of 1 patient", "with a lesion mask: 1", "scored: none")
    assert test[-3:] == ("scored:", "3: all lesions", "0: lesions > 3 mL")


def test_no_boxes_of_the_flow_overlap():
    excluded = [{"reason": f"{MARKUP} {number}"} for number in range(30)]
    drawn = flow(SPLITS, excluded, 0, {})
    boxes = drawn["boxes"]
    for first in boxes:
        assert first.x >= 0 and first.x + drawn["box"] <= drawn["width"] and first.y + first.height <= drawn["height"]
        for other in boxes:
            apart = abs(first.x - other.x) >= drawn["box"] or first.y + first.height <= other.y
            assert first is other or apart or other.y + other.height <= first.y


def test_acquisition_is_what_the_records_say():
    affine = [[-0.5, 0, 0, 9], [0, 0.5, 0, -9], [0, 0, 4, -20], [0, 0, 0, 1]]
    record = describe(Stack.of_grid((40, 40, 12), cohorts.np.array(affine, float))) | {"source": "dicom"}
    record |= {
        "chosen": {"series": 2},
        "series": [{"number": 1}, {"number": 2, "thickness_mm": 4.8, "kernel": "soft", "maker": "GE"}],
    }
    (row,) = cohorts.acquisition_rows([("A", record), ("A", record)])
    told = {"source": "DICOM: 2", "distance": "4.0", "thickness": "4.8", "pixel": "0.50", "slices": "12", "tilted": 0}
    assert row | told | {"kernel": "soft: 2", "scanner": "GE: 2", "unequal": 0} == row


def test_clinical_columns_are_summarised_by_cohort():
    table = [
        {"cohort": "A", "case": "A0", "age": "70", "sex": "f", "NIHSS": ""},
        {"cohort": "A", "case": "A1", "age": "50.5", "sex": "m", "NIHSS": "NA"},
        {"cohort": "A", "case": "elsewhere", "age": "1", "sex": "m", "NIHSS": "40"},
    ]
    rows = {
        (row["cohort"], row["name"]): (row["known"], row["of"], row["value"])
        for row in cohorts.clinical_rows(table, SPLITS)
    }
    assert rows["A", "age"] == ("2", "6", "60.2 (50.5–70.0)")
    assert rows["A", "sex"] == ("2", "6", "f: 1, m: 1")
    assert rows["A", "NIHSS"] == ("0", "6", "")
    assert rows["B", "age"] == ("0", "1", "")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ([{"case": "A0", "age": "70"}], "lacks the columns"),
        ([{"cohort": "A", "case": "A0", "age": "70"}, {"cohort": "A", "case": "A0", "age": "7"}], "two things"),
    ],
)
def test_a_clinical_table_that_cannot_be_right_is_refused(table, problem):
    with pytest.raises(InputError, match=problem):
        cohorts.clinical_rows(table, SPLITS)


def compared(**changed: str) -> dict[str, str]:
    row = dict.fromkeys(Comparison.__annotations__, "")
    row |= {
        "cohort": "A",
        "split": "test",
        "criterion": "all",
        "family": "main",
        "first": "X",
        "second": "Y",
        "n": "19",
    }
    row |= {"mean_first": "0.2", "mean_second": "0.25", "mean_difference": "0.05", "difference_low": "-0.01"}
    row |= {
        "difference_high": "0.11",
        "hodges_lehmann": "0.04",
        "hodges_lehmann_low": "-0.02",
        "hodges_lehmann_high": "0.1",
    }
    row |= {"rank_biserial": "0.3", "p": "0.12", "p_holm": "0.36", "family_size": "3", "method": "exact"}
    return row | {"detectable_difference": "0.09", "patients_needed": "65"} | changed


def test_a_comparison_in_words_says_who_what_how_much_and_what_it_cannot_say():
    text = words.paragraph(compared(mean_second_low="0.18", mean_second_high="0.32"), 3, 0.95)
    for part in (
        "compared in the 19 patients of the test set of A",
        "The mean was 0.250 (0.180 to 0.320) with Y and 0.200 with X",
        "a mean difference of +0.050 (95 % interval −0.010 to +0.110)",
        "p = 0.12, and p = 0.36 after Holm's correction for the 3 tests of family main",
        "no evidence of a difference, and it does not show that there is none",
        "this many patients of this spread shows a mean difference of 0.090 with a power of 80 %",
        "the difference seen here would need 65 patients",
        "Intervals are not corrected for the number of tests.",
        "It cannot say what holds for other hospitals",
    ):
        assert part in text
    assert "optimistic" not in text and "best" not in text


def test_the_corrected_p_decides_and_the_direction_is_that_of_the_difference():
    assert "no evidence" in words.paragraph(compared(p="0.02", p_holm="0.06"), 3, 0.95)
    lower = words.paragraph(compared(p="1e-9", p_holm="2e-9", rank_biserial="-0.9", mean_difference="-0.1"), 3, 0.95)
    assert "evidence that Dice is lower with Y" in lower and "p < 0.0001" in lower


def words_of(first: list[float], second: list[float], **changed: str) -> str:
    """What is said of a comparison as the evaluation makes it; empty cells as in its table."""
    made = asdict(compare(np.array(first), np.array(second), confidence=0.95))
    row = {name: "" if value is None else str(value) for name, value in made.items()}
    return words.paragraph(compared() | row | {"p_holm": row["p"], "family_size": "1"} | changed, 3, 0.95)


def test_few_differences_of_one_sign_beside_many_zeros_are_evidence_in_their_direction():
    """The Hodges–Lehmann shift is 0: neither sign nor interval of it contradicts the sentence unexplained."""
    text = words_of([0.0] * 29, [0.1 * number for number in range(1, 9)] + [0.0] * 21)
    assert "evidence that Dice is higher with Y" in text
    assert "The interval of the Hodges–Lehmann shift holds 0, which the uncorrected test rejects" in text


def test_an_interval_that_leaves_out_0_beside_a_test_that_does_not_reject_is_explained():
    text = words_of([0.0] * 29, [0.3, 0.31, 0.32, 0.33, 0.34] + [0.0] * 24)
    assert "no evidence" in text
    assert "The interval of the mean difference leaves out 0, which the uncorrected test does not reject" in text
    assert "To be noted: 5 non-zero differences: p cannot fall below 0.0625" in text


def test_ranks_and_means_that_point_apart_are_not_said_to_agree():
    text = words_of([0.5] * 19, [0.51 + 0.001 * number for number in range(18)] + [0.0])
    assert "higher with Y in most patients like these; the mean difference does not say so" in text


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 6])
@pytest.mark.parametrize("by", [0.01, 0.3])
def test_nothing_is_promised_to_few_patients(n, by):
    text = words_of([0.1 * number for number in range(n)], [0.1 * number + by + 0.001 * number for number in range(n)])
    assert ("No test was made (n < 3: no test)" in text) == (n < 3)
    assert ("is evidence that" in text) == (n == 6), text
    assert "would need 2" not in text and ("power" in text) == (n > 6)


@pytest.mark.parametrize(
    ("p", "told"), [("0.04999", "0.05"), ("0.05004", "0.05004"), ("0.0125", "0.0125"), ("0.010001", "0.010001")]
)
def test_no_rounded_p_crosses_a_level(p, told):
    assert p_value(p) == told


def test_without_a_test_or_an_interval_the_words_say_so():
    untested = words.paragraph(compared(n="1", p="", p_holm="", note="n < 2"), 3, 0.95)
    assert "the 1 patient of" in untested and "No test was made (n < 2)" in untested and "evidence" not in untested
    few = words.paragraph(compared(n="4", split="validation", difference_low="", difference_high=""), 3, 0.95)
    assert "(no 95 % interval)" in few and "optimistic" in few


@pytest.mark.parametrize(("list_", "items"), [("CLAIM 2024", 44), ("TRIPOD+AI", 52)])
def test_the_checklists_are_whole(list_, items):
    (rows,) = [one["rows"] for one in checklists.checklists({}) if one["name"] == list_]
    assert len(rows) == len({row["item"] for row in rows}) == items
    assert not any(row["text"] for row in rows), "what the run does not know is blank"


def test_every_answer_belongs_to_an_item(study):
    from tests.report.settings import settings

    known = dict.fromkeys(("clinical", "comparisons", "interpretation", "failures", "scores"), True)
    answers = checklists.answers_of(settings(), cohorts.cohort_rows(study.rows), known)
    asked = {row["answer"] for one in checklists.checklists(answers) for row in one["rows"]} - {""}
    assert asked == set(answers)


def test_time_and_hardware_are_those_of_the_curves():
    rows = [{"seconds": "1800", "device": "GPU X"}] * 4
    assert methods.cost([rows, rows[:2]]) == {"epochs": "2–4", "time": "1.5 h", "hardware": "GPU X"}
    assert methods.cost([[{"epoch": "0"}]]) == {"epochs": "1", "time": "not recorded", "hardware": "not recorded"}
