"""Runs with next to nothing in them: one test case, no lesion found, an arm or a study without scores."""

import shutil
from pathlib import Path

import pytest

from tests.report import parts
from workflow_scripts.common.files import read_tsv, read_yaml, write_tsv, write_yaml
from workflow_scripts.report import figure_dice, figure_qq, figure_size, figure_volumes, index, table

LIMIT = ["--min-component-ml", "3"]


def cut(study, folder: Path, keep) -> list[str]:
    """Arguments of an index whose tables hold the rows that ``keep`` says."""
    arguments = parts.index_arguments(study, folder)
    shutil.copytree(study.path("evaluate"), folder / "evaluate")
    for path in (*(folder / "evaluate").glob("*.tsv"), folder / "table1.tsv", folder / "table3.tsv"):
        rows = read_tsv(path)
        write_tsv(path, [row for row in rows if keep(row)], list(rows[0]))
    arguments[arguments.index("--evaluate") + 1] = str(folder / "evaluate")
    return arguments


def test_a_study_without_any_score_has_a_page_that_says_so(study, tmp_path):
    index.main([*cut(study, tmp_path, lambda _: False), "--out", str(tmp_path / "index.html")])
    page = (tmp_path / "index.html").read_text("utf-8")
    for said in ("No scored case in this set.", "scored: none", "The test set was not looked at.", "No pair of the"):
        assert said in page


def test_an_arm_without_scores_is_left_out_and_the_others_stay(study, tmp_path):
    named = {"arm", "experiment", "first", "second"}

    def keep(row: dict[str, str]) -> bool:
        return "ALL-STKi-SA" not in {row.get(name) for name in named}

    index.main([*cut(study, tmp_path, keep), "--out", str(tmp_path / "index.html")])
    page = (tmp_path / "index.html").read_text("utf-8")
    results = page.split('id="results"')[1].split('id="training"')[0]
    assert "ALL-STKi-SA" not in results and "FS-STKi" in results
    assert "Not scored on the test set, which the configuration does not name it for: ALL-STKi-SA." in page


def test_one_seed_has_no_ensemble_and_no_range_of_seeds(study, tmp_path):
    arguments = cut(study, tmp_path, lambda row: row.get("member") not in ("seed-1", "seed-2"))
    settings = read_yaml(study.path("report/settings.yaml"))
    settings["run"]["seeds"] = [0]
    write_yaml(tmp_path / "settings.yaml", settings)
    arguments[arguments.index("--settings") + 1] = str(tmp_path / "settings.yaml")
    index.main([*arguments, "--out", str(tmp_path / "index.html")])
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "with 1 seed; the “ensembles” below are these single trainings" in page
    tables = [read_tsv(tmp_path / "evaluate" / f"{name}.tsv") for name in ("summary", "agreement")]
    rows = table.make_table(*tables, ["FS-STKi"], "validation", ["all"], "validation")
    assert all(row["dsc_mean_of_seeds"].count("–") == 0 for row in rows) and rows


@pytest.fixture
def one_case(study, tmp_path) -> list[str]:
    """Scores of one test case in which no arm found anything."""
    rows = [row for row in read_tsv(study.path("evaluate/scores.tsv")) if row["split"] == "test"]
    rows = [row | {"dice": "0", "predicted_ml": "0", "hd95_mm": ""} for row in rows if row["case"] == rows[0]["case"]]
    write_tsv(tmp_path / "scores.tsv", rows, list(rows[0]))
    return ["--scores", str(tmp_path / "scores.tsv"), "--cohort", "icoAIS", "--split", "test"]


def test_one_test_case_without_a_lesion_found_is_drawn(study, one_case, tmp_path):
    arms = ["--arms", "FS-STKi", "ALL-STKi-SA"]
    compared = ["--comparisons", study.path("evaluate/comparisons.tsv")]
    figure_dice.main([*one_case, *arms, *LIMIT, *compared, "--out", str(tmp_path / "dice.png")])
    figure_size.main([*one_case, *arms, *LIMIT, "--out", str(tmp_path / "size.png")])
    figure_volumes.main([*one_case, *arms, "--out", str(tmp_path / "volumes.png")])
    figure_qq.main([*one_case, *compared, "--out", str(tmp_path / "qq.png")])
    assert all((tmp_path / f"{name}.png").stat().st_size > 3000 for name in ("dice", "size", "volumes", "qq"))


def test_a_table_without_a_scored_arm_has_no_rows():
    assert table.make_table([], [], ["FS-STKi"], "test", ["all"], "validation") == []
