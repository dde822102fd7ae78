"""Tables 1–3 have the paper's form, mark the best honestly, and say n."""

import pytest

from workflow_scripts.common.files import read_tsv
from workflow_scripts.report import table
from workflow_scripts.report.figure_dice import significance


def summary_row(arm: str, member: str = "ensemble", **values: str) -> dict[str, str]:
    row = {"arm": arm, "member": member, "cohort": "A", "split": "validation", "criterion": "all", "cases": "29"}
    row |= {"n": "29", "hd95_undefined": "0", "spearman": "0.5234", "icc": "", "note": ""}
    for measure in ("dice", "hd95_mm", "hd95_penalised_mm", "volume_difference_ml"):
        row |= {f"{measure}_{part}": "0.25" for part in ("mean", "sd", "median", "iqr")}
    return row | values


def test_numbers_have_the_decimals_of_the_paper():
    row = table.make_table([summary_row("X", dice_mean="0.255414")], ["X"], "validation", ["all"])[0]
    assert (row["dsc_mean"], row["dsc_median_iqr"]) == ("0.2554", "0.250 (0.250)")
    assert (row["hd95_median_iqr_mm"], row["avd_mean_ml"]) == ("0.25 (0.25)", "0.25")
    assert (row["corr"], row["icc"]) == ("0.52", "")


def test_best_is_the_highest_dice_and_the_lowest_distance_ties_included():
    rows = [summary_row("X", dice_mean="0.30004", hd95_mm_mean="40"), summary_row("Y", dice_mean="0.30001")]
    made = {
        row["experiment"]: set(row["best"].split(","))
        for row in table.make_table(rows, ["Y", "X"], "validation", ["all"])
    }
    assert list(made) == ["Y", "X"]
    assert "dsc_mean" in made["X"] & made["Y"]
    assert "hd95_mean_mm" in made["Y"] - made["X"]


def test_no_hd95_is_best_where_the_arms_miss_different_numbers_of_lesions():
    rows = [summary_row("X", hd95_undefined="3", hd95_mm_mean="1"), summary_row("Y", hd95_penalised_mm_mean="0.1")]
    best = {
        row["experiment"]: row["best"].split(",") for row in table.make_table(rows, ["X", "Y"], "validation", ["all"])
    }
    assert not {"hd95_mean_mm", "hd95_median_iqr_mm"} & {*best["X"], *best["Y"]}
    assert "hd95_penalised_mean_mm" in best["Y"]


def test_nothing_is_best_alone():
    assert table.make_table([summary_row("X")], ["X"], "validation", ["all"])[0]["best"] == ""


def test_the_spread_over_seeds_leaves_the_ensemble_out():
    rows = [summary_row("X", dice_mean="0.9")]
    rows += [summary_row("X", f"seed-{seed}", dice_mean=str(0.2 + 0.1 * seed)) for seed in range(3)]
    assert table.make_table(rows, ["X"], "validation", ["all"])[0]["dsc_mean_of_seeds"] == "0.200–0.400"


def test_a_criterion_without_cases_keeps_its_row_with_n_zero():
    empty = dict.fromkeys((name for name in summary_row("X") if "_me" in name or name.endswith("iqr")), "")
    row = table.make_table([summary_row("X", n="0", **empty)], ["X"], "validation", ["all"])[0]
    assert (row["n"], row["dsc_mean"], row["dsc_median_iqr"], row["best"]) == ("0", "", "", "")


@pytest.mark.parametrize(("p", "mark"), [("0.051", "ns"), ("0.05", "*"), ("0.01", "**"), ("0.0009", "***")])
def test_marks_of_significance(p, mark):
    assert significance(p) == mark


def test_table3_stacks_both_criteria_for_the_best_arms(study, tmp_path):
    out = tmp_path / "table3.tsv"
    table.main(
        [
            *("--summary", study.path("evaluate/summary.tsv"), "--arms", "ALL-STKi-SA", "FS-STKi"),
            *("--split", "test", "--criteria", "all", "large", "--out", str(out)),
        ]
    )
    rows = read_tsv(out)
    assert [(row["criterion"], row["experiment"]) for row in rows] == [
        (criterion, arm) for criterion in ("all", "large") for arm in ("ALL-STKi-SA", "FS-STKi")
    ]
    assert rows[0]["n"] == "3"
