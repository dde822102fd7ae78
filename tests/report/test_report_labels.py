"""Labels saved, in words: no sentence says more than its numbers."""

from pathlib import Path

import pytest

from workflow_scripts.report import figure_labels
from workflow_scripts.report.pages.label_words import paragraph, saving_sets

ARMS = {
    "FS": {"train": ["A"], "channels": ["ncct"], "epochs": 100},
    "SA": {"train": ["A"], "channels": ["ncct"], "epochs": 100},
    "FS-all": {"train": ["A", "B"], "channels": ["ncct"], "epochs": 300},
}
ROW = {
    **{"cohort": "A", "split": "validation", "criterion": "all", "first": "FS", "second": "SA", "labels": "curve"},
    **{"n": "29", "dice_from": "0.2", "dice_to": "0.34", "factor": "2.9", "factor_low": "1.4", "factor_high": "5.1"},
    **{"beyond": "", "low_beyond": "", "high_beyond": "", "note": ""},
}


def said(**change: str) -> str:
    return paragraph(ROW | change, ARMS, 3.0, 0.95)


def test_a_factor_is_said_with_its_interval_and_the_dice_compared():
    text = said()
    assert "reach a mean Dice of 0.200 to 0.340. For the same Dice FS needs 2.90 times as many" in text
    assert "(95 % interval 1.40 to 5.10)" in text
    assert "evidence that SA needs fewer labels" in text
    assert "Dice is optimistic" in text
    assert "averaged over these levels" in text and "averaged" not in said(dice_to="0.2")
    assert "not corrected for the number of comparisons" in text


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"factor_low": "0.9"}, "does not exclude 1"),
        ({"factor_low": "1.2", "low_beyond": "below"}, "does not exclude 1"),
        ({"factor_low": "1", "low_beyond": "above"}, "needs fewer labels"),
        ({"factor_low": "0.5", "low_beyond": "above"}, "does not exclude 1"),
        ({"factor_low": "0.3", "factor_high": "0.8"}, "needs more labels"),
        ({"factor_low": "0.3", "factor_high": "0.8", "high_beyond": "above"}, "does not exclude 1"),
        ({"factor_low": "0.3", "factor_high": "1", "high_beyond": "below"}, "needs more labels"),
        ({"factor_low": "", "factor_high": ""}, "Without an interval this is no evidence"),
    ],
)
def test_the_verdict_is_what_the_interval_bears(change, verdict):
    assert verdict in said(**change)
    assert (
        sum(word in said(**change) for word in ("does not exclude", "fewer labels in", "more labels in", "Without"))
        == 1
    )


def test_what_was_not_measured_is_more_or_less_and_rounded_to_the_safe_side():
    text = said(beyond="above", factor="1.378", factor_high="1.378", high_beyond="above", dice_from="", dice_to="")
    assert "was not measured: it is more than 1.37 (95 % interval 1.40 to more than 1.37)" in text
    assert "less than 0.67" in said(beyond="below", factor="0.661", dice_from="", dice_to="")


def test_other_cohorts_and_epochs_one_draw_and_no_curve_are_said():
    assert "differ in cohorts and epochs too" in said(first="FS-all")
    assert "differ in" not in said()
    assert "does not know of other draws" in said(note="one draw: the interval is over patients alone")
    assert "optimistic" not in said(split="test")
    text = said(factor="", factor_low="", note="FS has one number of labels: no curve")
    assert text.endswith("Nothing can be said of labels saved: FS has one number of labels: no curve.")


def test_cells_of_the_table_say_the_same():
    ((name, (row,)),) = saving_sets([ROW | {"high_beyond": "above"}], 3.0)
    assert name == "A, validation set, all lesions"
    assert (row["labels"], row["said"], row["interval"]) == ("whole curve", "2.90", "1.40 to more than 5.10")


@pytest.mark.parametrize("points", [0, 1, 3])
def test_the_figure_is_drawn_whatever_was_measured(points, tmp_path: Path):
    curve = [
        {"arm": arm, "labels": str(labels), "dice": "0.3", "dice_low": "0.2" * (labels > 4), "dice_high": "0.4"}
        for arm in ("FS", "SA")
        for labels in (4, 12, 40)[:points]
    ]
    figure_labels.draw([tmp_path / "f.svg", tmp_path / "f.png"], curve, [ROW] if points else [], "A", 0.95)
    assert (tmp_path / "f.png").stat().st_size > 5000
    assert ("FS" in (tmp_path / "f.svg").read_text()) or not points
