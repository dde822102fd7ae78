"""Tables 1–3 have the paper's form, mark the best honestly, and say n."""

from itertools import chain

import pytest

from workflow_scripts.common.files import read_tsv
from workflow_scripts.evaluate.measures.description import Description
from workflow_scripts.evaluate.summarise import AGREEMENT_COLUMNS, SUMMARY_COLUMNS
from workflow_scripts.report import table
from workflow_scripts.report.figure_dice import significance

GROUP = {"member": "ensemble", "cohort": "A", "split": "validation", "criterion": "all"}
DICE, HD95, VOLUME = (measure.source for measure in table.MEASURES)


def summary_rows(arm: str, values: dict[str, dict[str, str]] | None = None, **group: str) -> list[dict[str, str]]:
    """The rows of an arm in the summary, changed by measure as ``values`` says."""
    row = dict.fromkeys(SUMMARY_COLUMNS, "0.25") | GROUP | {"arm": arm, "cases": "29", "scored": "29", "n": "29"}
    row |= {"missing": "0", "note": ""} | group
    return [row | {"measure": measure} | (values or {}).get(measure, {}) for measure in (DICE, HD95, VOLUME)]


def make(*rows: list[dict[str, str]], arms: str = "XY", agreed: dict[str, str] | None = None) -> list[dict[str, str]]:
    agreement = [
        dict.fromkeys(AGREEMENT_COLUMNS, "") | GROUP | {"arm": arm, "spearman": "0.5234"} | (agreed or {})
        for arm in arms
    ]
    return table.make_table([*chain(*rows)], agreement, list(arms), "validation", ["all"])


def best(rows: list[dict[str, str]]) -> dict[str, set[str]]:
    return {row["experiment"]: set(row["best"].split(",")) for row in rows}


def test_numbers_have_the_decimals_of_the_paper_and_each_its_interval():
    values = {DICE: {"mean": "0.255414", "mean_low": "0.2", "mean_high": "0.31"}}
    agreed = {"spearman_low": "-0.1", "spearman_high": "0.8"}
    row = make(summary_rows("X", values), arms="X", agreed=agreed)[0]
    assert (row["dsc_mean"], row["dsc_mean_interval"]) == ("0.2554", "0.2000 to 0.3100")
    assert (row["dsc_median_iqr"], row["dsc_median_iqr_interval"]) == ("0.250 (0.250)", "0.250 to 0.250")
    assert (row["hd95_median_iqr_mm"], row["avd_mean_ml"]) == ("0.25 (0.25)", "0.25")
    assert (row["corr"], row["corr_interval"], row["icc"]) == ("0.52", "−0.10 to 0.80", "")
    assert {f"{name}_interval" for name in table.ESTIMATES} <= set(row)


def test_best_is_the_highest_dice_and_the_lowest_distance_ties_included():
    first = summary_rows("X", {DICE: {"mean": "0.30004"}, HD95: {"mean": "40"}})
    made = best(make(first, summary_rows("Y", {DICE: {"mean": "0.30001"}}), arms="YX"))
    assert list(made) == ["Y", "X"]
    assert "dsc_mean" in made["X"] & made["Y"]
    assert "hd95_mean_mm" in made["Y"] - made["X"]


def test_no_hd95_is_best_where_the_arms_miss_different_numbers_of_lesions():
    first = summary_rows("X", {HD95: {"missing": "3", "mean": "1"}})
    made = best(make(first, summary_rows("Y", {HD95: {"penalised_mean": "0.1"}})))
    assert not {"hd95_mean_mm", "hd95_median_iqr_mm"} & (made["X"] | made["Y"])
    assert "hd95_penalised_mean_mm" in made["Y"]


def test_nothing_is_best_alone():
    assert make(summary_rows("X"), arms="X")[0]["best"] == ""


def test_the_spread_over_seeds_leaves_the_ensemble_out():
    rows = summary_rows("X", {DICE: {"mean": "0.9"}})
    for seed in range(3):
        rows += summary_rows("X", {DICE: {"mean": str(0.2 + 0.1 * seed)}}, member=f"seed-{seed}")
    assert make(rows, arms="X")[0]["dsc_mean_of_seeds"] == "0.200–0.400"


def test_a_criterion_without_cases_keeps_its_row_with_n_zero():
    empty = dict.fromkeys(Description.__annotations__, "") | {"n": "0", "note": "no value", "penalised_mean": ""}
    row = make(summary_rows("X", dict.fromkeys((DICE, HD95, VOLUME), empty)), arms="X")[0]
    assert (row["n"], row["dsc_mean"], row["dsc_median_iqr"], row["note"]) == ("0", "", "", "no value")


def test_undefined_distances_are_counted_in_the_row_and_named_in_its_note():
    values = {HD95: {"missing": "2", "note": "undefined in 2 of 29 cases"}}
    row = make(summary_rows("X", values), arms="X")[0]
    assert (row["hd95_undefined"], row["note"]) == ("2", "HD95 undefined in 2 of 29 cases")


@pytest.mark.parametrize(("p", "mark"), [("0.051", "ns"), ("0.05", "*"), ("0.01", "**"), ("0.0009", "***")])
def test_marks_of_significance(p, mark):
    assert significance(p) == mark


def test_table3_stacks_both_criteria_for_the_best_arms(study, tmp_path):
    out = tmp_path / "table3.tsv"
    table.main(
        [
            *("--summary", study.path("evaluate/summary.tsv"), "--agreement", study.path("evaluate/agreement.tsv")),
            *("--arms", "ALL-STKi-SA", "FS-STKi"),
            *("--split", "test", "--criteria", "all", "large", "--out", str(out)),
        ]
    )
    rows = read_tsv(out)
    assert [(row["criterion"], row["experiment"]) for row in rows] == [
        (criterion, arm) for criterion in ("all", "large") for arm in ("ALL-STKi-SA", "FS-STKi")
    ]
    assert rows[0]["n"] == "3"
