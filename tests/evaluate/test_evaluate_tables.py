"""From masks on disk to the four tables, through the command lines."""

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.evaluate import score, summarise

MEMBERS = ("seed-0", "seed-1", "seed-2", "ensemble")
AFFINE = np.diag([10.0, 10.0, 10.0, 1.0])  # one voxel is 1 mL


def box(*corner_and_size: tuple[int, int]) -> np.ndarray:
    data = np.zeros((8, 8, 8), np.uint8)
    for start, size in corner_and_size:
        data[start : start + size, start : start + size, start : start + size] = 1
    return data


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Four cases: two with a large lesion, one of them with an embolus; one with an embolus only; one without any."""
    references = {"p1": box((0, 2), (5, 1)), "p2": box((2, 3)), "p3": box((6, 1)), "p4": box()}
    for case, reference in references.items():
        save_volume(tmp_path / f"preprocess/A/{case}/lesion.nii.gz", Volume(reference, AFFINE))
        for arm, shift in (("X", 0), ("Y", 1)):
            for member in MEMBERS:
                predicted = np.roll(reference, shift, axis=0)
                save_volume(tmp_path / f"segment/{arm}/{member}/A/{case}.nii.gz", Volume(predicted, AFFINE))
    splits = [{"cohort": "A", "case": case, "split": "validation"} for case in references]
    write_tsv(tmp_path / "splits.tsv", splits, ["cohort", "case", "split"])
    return tmp_path


def run_score(study: Path, arm: str) -> list[dict[str, str]]:
    out = study / f"{arm}.tsv"
    score.main(
        [
            *("--arm", arm, "--members", *MEMBERS, "--cases", "A/p1", "A/p2", "A/p3", "A/p4"),
            *("--segmentations", str(study / "segment" / arm), "--references", str(study / "preprocess")),
            *("--splits", str(study / "splits.tsv"), "--min-component-ml", "3", "--out", str(out)),
        ]
    )
    return read_tsv(out)


def run_summarise(study: Path, out: Path) -> dict[str, list[dict[str, str]]]:
    names = ("scores", "summary", "comparisons", "agreement")
    summarise.main(
        [
            *("--scores", str(study / "X.tsv"), str(study / "Y.tsv"), "--comparisons", "Y,X"),
            *("--bootstrap", "200", "--confidence", "0.95", "--seed", "3"),
            *(part for name in names for part in (f"--out-{name}", str(out / f"{name}.tsv"))),
        ]
    )
    return {name: read_tsv(out / f"{name}.tsv") for name in names}


def test_scores_have_a_row_for_each_member_case_and_criterion_that_applies(study):
    rows = run_score(study, "X")
    assert list(rows[0]) == list(score.COLUMNS)
    counted = {(row["case"], row["criterion"]) for row in rows if row["member"] == "ensemble"}
    both = {(case, name) for case in ("p1", "p2") for name in ("all", "large", "large-filtered")}
    assert counted == both | {("p3", "all"), ("p4", "all")}
    assert len(rows) == len(counted) * len(MEMBERS)


def test_the_size_criterion_changes_the_reference_and_only_its_filtered_form_the_prediction(study):
    rows = {(row["case"], row["criterion"]): row for row in run_score(study, "X") if row["member"] == "seed-1"}
    embolus = [rows["p1", name] for name in ("all", "large", "large-filtered")]
    assert [float(row["reference_ml"]) for row in embolus] == [9, 8, 8]
    assert [float(row["predicted_ml"]) for row in embolus] == [9, 9, 8]
    assert [float(row["volume_difference_ml"]) for row in embolus] == [0, 1, 0]
    assert float(embolus[1]["dice"]) == pytest.approx(16 / 17, rel=1e-5)


def test_a_case_without_lesion_scores_dice_one_and_no_hd95(study):
    row = next(row for row in run_score(study, "X") if row["case"] == "p4")
    assert (row["dice"], row["hd95_mm"], row["hd95_penalised_mm"]) == ("1", "", "0")


def test_a_segmentation_on_another_grid_is_refused_by_name(study):
    save_volume(study / "segment/X/seed-2/A/p2.nii.gz", Volume(box()[1:], AFFINE))
    with pytest.raises(InputError, match=r"seed-2.*A/p2"):
        run_score(study, "X")


def test_tables_state_n_leave_undefined_cells_empty_and_say_why(study, tmp_path):
    for arm in ("X", "Y"):
        run_score(study, arm)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tables = run_summarise(study, tmp_path / "out")
    assert len(tables["scores"]) == 2 * len(MEMBERS) * 8
    assert len(tables["summary"]) == len(tables["agreement"]) == 2 * len(MEMBERS) * 3
    by_key = {(r["arm"], r["member"], r["criterion"]): r for r in tables["summary"]}
    large = by_key["X", "ensemble", "large"]
    assert (large["cases"], large["n"], large["spearman"], large["icc"]) == ("4", "2", "", "")
    assert "2 of 4 cases left out" in large["note"]
    assert "n < 3" in large["note"]
    every = by_key["X", "ensemble", "all"]
    assert (every["n"], every["dice_mean"], every["hd95_undefined"]) == ("4", "1", "1")
    assert float(every["icc"]) == 1
    compared = {row["criterion"]: row for row in tables["comparisons"]}
    assert (compared["all"]["n"], compared["all"]["zeros"], compared["all"]["zero_method"]) == ("4", "1", "pratt")
    assert float(compared["all"]["mean_difference"]) > 0
    assert compared["large"]["p"] == ""
    assert compared["large"]["note"] == "n < 3: no test"


def test_a_criterion_that_leaves_no_case_keeps_its_row(study, tmp_path):
    for arm in ("X", "Y"):
        rows = [row for row in run_score(study, arm) if row["criterion"] == "all"]
        write_tsv(study / f"{arm}.tsv", rows, score.COLUMNS)
    summary = run_summarise(study, tmp_path / "out")["summary"]
    row = next(row for row in summary if row["criterion"] == "large")
    assert (row["cases"], row["n"], row["dice_mean"]) == ("4", "0", "")


def test_the_same_scores_give_the_same_bytes(study, tmp_path):
    for arm in ("X", "Y"):
        run_score(study, arm)
    run_summarise(study, tmp_path / "first")
    run_summarise(study, tmp_path / "second")
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
        with path.open() as handle:
            assert len({len(row) for row in csv.reader(handle, delimiter="\t")}) == 1
