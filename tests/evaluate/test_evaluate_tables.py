"""From masks on disk to the four tables, through the command lines."""

import csv
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.common.acquisition import describe
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_json, write_tsv
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.evaluate import score, score_test, summarise

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
        for folder in ("preprocess", "ingest"):
            save_volume(tmp_path / f"{folder}/A/{case}/lesion.nii.gz", Volume(reference, AFFINE))
        write_json(tmp_path / f"ingest/A/{case}/ncct.json", describe(Stack.of_grid((8, 8, 8), AFFINE)))
        for arm, shift in (("X", 0), ("Y", 1)):
            for member in (*MEMBERS, "original"):
                predicted = np.roll(reference, shift, axis=0)
                save_volume(tmp_path / f"segment/{arm}/{member}/A/{case}.nii.gz", Volume(predicted, AFFINE))
    splits = [{"cohort": "A", "patient": case, "case": case, "split": "validation"} for case in references]
    write_tsv(tmp_path / "splits.tsv", splits, list(splits[0]))
    return tmp_path


def run_score(study: Path, arm: str, test: bool = False) -> list[dict[str, str]]:
    out = study / f"{arm}.tsv"
    record = ["--looks", str(study / f"looks/{arm}.tsv"), "--config-sha256", "0"] if test else []
    (score_test if test else score).main(
        [
            *record,
            *("--arm", arm, "--members", *MEMBERS, "--cases", "A/p1", "A/p2", "A/p3", "A/p4"),
            *("--segmentations", str(study / "segment" / arm), "--references", str(study / "preprocess")),
            *("--splits", str(study / "splits.tsv"), "--min-component-ml", "3", "--out", str(out)),
            *("--ingest", str(study / "ingest"), "--drawn-on-ncct", "A/p1", "A/p2", "A/p3", "A/p4"),
            *("--out-acquired", str(study / f"{arm}_acquired.tsv")),
        ]
    )
    return read_tsv(out)


def run_summarise(
    study: Path, out: Path, pairs: Sequence[str] = ("main:Y,X",), tested: Sequence[str] = ("X", "Y")
) -> dict[str, list[dict[str, str]]]:
    names = (*summarise.OUTPUTS, *(f"acquired_{name}" for name in summarise.OUTPUTS[:4]))
    known = {(row["cohort"], row["case"]): row for arm in "XY" for row in read_tsv(study / f"{arm}.tsv")}
    facts = {"side": "left", "label_standard": ""}
    splits = [row | facts | {"lesion_ml": row["reference_ml"]} for row in known.values()]
    write_tsv(study / "grouped.tsv", splits, ("cohort", "case", "side", "lesion_ml", "label_standard"))
    files = [str(path) for path in study.glob("?_acquired.tsv")] or [str(study / f"{arm}.tsv") for arm in "XY"]
    summarise.main(
        [
            *("--scores", str(study / "X.tsv"), str(study / "Y.tsv"), "--comparisons", *pairs),
            *("--acquired-scores", *files),
            *("--bootstrap", "200", "--confidence", "0.95", "--seed", "3"),
            *("--splits", str(study / "grouped.tsv")),
            *("--selected-on", "validation", "--test-arms", *tested, "--looks", str(study / "looks")),
            *(part for name in names for part in (f"--out-{name.replace('_', '-')}", str(out / f"{name}.tsv"))),
        ]
    )
    return {name: read_tsv(out / f"{name}.tsv") for name in names}


def test_scores_have_a_row_for_each_member_case_and_criterion_that_applies(study):
    rows = run_score(study, "X")
    assert list(rows[0]) == list(score.COLUMNS)
    counted = {(row["case"], row["criterion"]) for row in rows if row["member"] == "ensemble"}
    both = {(case, name) for case in ("p1", "p2") for name in ("all", "large", "large-total", "large-filtered")}
    assert counted == both | {("p3", "all"), ("p4", "all")}
    assert len(rows) == len(counted) * len(MEMBERS)


def test_the_size_criterion_changes_the_reference_and_only_its_filtered_form_the_prediction(study):
    rows = {(row["case"], row["criterion"]): row for row in run_score(study, "X") if row["member"] == "seed-1"}
    embolus = [rows["p1", name] for name in ("all", "large", "large-filtered")]
    assert [float(row["reference_ml"]) for row in embolus] == [9, 8, 8]
    assert [float(row["predicted_ml"]) for row in embolus] == [9, 9, 8]
    assert [float(row["volume_difference_ml"]) for row in embolus] == [0, 1, 0]
    assert float(embolus[1]["dice"]) == pytest.approx(16 / 17, rel=1e-5)


def test_on_the_acquired_slices_the_ensemble_is_scored_with_the_same_columns_and_summarised(study, tmp_path):
    final = [row for row in run_score(study, "Y") if row["member"] == "ensemble"]
    run_score(study, "X")
    tables = run_summarise(study, tmp_path / "out")
    acquired = [row for row in tables["acquired_scores"] if row["arm"] == "Y"]
    assert acquired == final, "a final grid that is the acquired one"
    for name in ("summary", "comparisons", "agreement"):
        expected = [row for row in tables[name] if row.get("member") == "ensemble"]
        assert tables[f"acquired_{name}"] == expected


def test_slices_at_unequal_gaps_count_with_their_thickness_and_lie_where_they_were_acquired(study):
    """Slices at 0, 5, 10, 20, 30 … mm: a reference in slices 1 and 3, of 5 and 10 mm, a prediction in 1 and 4."""
    affine = np.diag([10.0, 10.0, 1.0, 1.0])
    heights = np.array([0.0, 5, 10, 20, 30, 40, 50, 60])
    origins = np.column_stack([np.zeros((8, 2)), heights])
    stack = replace(Stack.of_grid((8, 8, 8), affine), origins=origins)
    drawn, predicted = np.zeros((2, 8, 8, 8), np.uint8)
    drawn[2, 2, [1, 3]] = predicted[2, 2, [1, 4]] = 1
    fine = np.zeros((8, 8, 65), np.uint8)
    fine[2, 2, 3:8] = fine[2, 2, 16:25] = 1
    write_json(study / "ingest/A/p1/ncct.json", describe(stack))
    save_volume(study / "ingest/A/p1/lesion.nii.gz", Volume(fine, affine))
    save_volume(study / "segment/X/original/A/p1.nii.gz", Volume(predicted, stack.affine))
    run_score(study, "X")
    row = next(row for row in read_tsv(study / "X_acquired.tsv") if (row["case"], row["criterion"]) == ("p1", "all"))
    assert float(row["reference_ml"]) == pytest.approx(0.5 + 1.0)
    assert float(row["predicted_ml"]) == pytest.approx(0.5 + 1.0)
    assert float(row["dice"]) == pytest.approx(2 * 0.5 / 3.0, rel=1e-5)
    assert float(row["hd95_mm"]) == pytest.approx(np.percentile([0, 10], 95))


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
    assert len(tables["scores"]) == 2 * len(MEMBERS) * 10
    assert len(tables["agreement"]) == 2 * len(MEMBERS) * 4
    assert len(tables["summary"]) == len(tables["agreement"]) * len(summarise.DESCRIBED)
    rows = {(r["arm"], r["criterion"], r["measure"]): r for r in tables["summary"] if r["member"] == "ensemble"}
    large = rows["X", "large", "dice"]
    assert (large["cases"], large["scored"], large["n"], large["mean_low"]) == ("4", "2", "2", "")
    assert "2 of 4 cases left out" in large["note"]
    assert "n < 6: no interval" in large["note"]
    missed = rows["Y", "all", "hd95_mm"]
    assert (missed["scored"], missed["missing"], missed["n"]) == ("4", "1", "3")
    assert "undefined in 1 of 4 cases" in missed["note"]
    assert float(missed["penalised_mean"]) < float(
        missed["mean"]
    )  # the fourth case has no lesion, and none is predicted
    agreed = {(r["arm"], r["criterion"]): r for r in tables["agreement"] if r["member"] == "ensemble"}
    assert (agreed["X", "large"]["spearman"], agreed["X", "large"]["icc"]) == ("", "")
    assert "n < 3" in agreed["X", "large"]["note"]
    assert float(agreed["X", "all"]["icc"]) == 1
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
    assert (row["cases"], row["n"], row["mean"], row["penalised_mean"]) == ("4", "0", "", "")


def test_total_volume_counts_where_no_component_is_large(study):
    scattered = sum(box((start, 1)) for start in (0, 2, 4, 6))
    save_volume(study / "preprocess/A/p3/lesion.nii.gz", Volume(scattered, AFFINE))
    criteria = {row["criterion"] for row in run_score(study, "X") if row["case"] == "p3"}
    assert criteria == {"all", "large-total"}


def scores_table(path: Path, arm: str, dice: dict[tuple[str, str], float], split: str = "validation") -> None:
    """Write scores of two trainings and their ensemble: one value for each (patient, case)."""
    rows = [
        dict.fromkeys(score.COLUMNS, 0.5)
        | {"arm": arm, "member": member, "cohort": "A", "patient": patient, "case": case, "split": split}
        | {"criterion": "all", "dice": value, "hd95_mm": None if case == "1a" else 5.0, "hd95_penalised_mm": 50.0}
        for member in ("seed-0", "seed-1", "ensemble")
        for (patient, case), value in dice.items()
    ]
    write_tsv(path, rows, score.COLUMNS)


def test_scans_of_one_patient_count_as_one_and_nothing_missing_vanishes(tmp_path):
    """Patient 1 was scanned three times; the scan without a distance is counted though the patient has others."""
    dice = {("1", "1a"): 0.0, ("1", "1b"): 0.3, ("1", "1c"): 0.6} | {(str(i), str(i)): 0.1 * i for i in range(2, 8)}
    scores_table(tmp_path / "X.tsv", "X", dice)
    scores_table(tmp_path / "Y.tsv", "Y", {key: value + 0.1 for key, value in dice.items()})
    tables = run_summarise(tmp_path, tmp_path / "out")
    rows = {(r["arm"], r["measure"]): r for r in tables["summary"] if r["member"] + r["criterion"] == "ensembleall"}
    described = rows["X", "dice"]
    assert (described["scored"], described["n"]) == ("9", "7")
    assert float(described["mean"]) == pytest.approx(np.mean([0.3, *(0.1 * i for i in range(2, 8))]), rel=1e-5)
    assert float(described["mean_low"]) < float(described["mean"]) < float(described["mean_high"])
    assert "9 scans of 7 patients" in described["note"]
    assert (rows["X", "hd95_mm"]["missing"], rows["X", "hd95_mm"]["n"]) == ("1", "7")
    compared = next(row for row in tables["comparisons"] if row["criterion"] == "all")
    assert (compared["family"], compared["n"], compared["family_size"]) == ("main", "7", "1")
    assert float(compared["p"]) == pytest.approx(2**-6)
    ranks = {row["arm"]: row for row in tables["ranks"] if row["criterion"] == "all"}
    assert [(ranks[arm]["rank"], ranks[arm]["n"], ranks[arm]["first_share"]) for arm in "XY"] == [
        ("2", "7", "0"),
        ("1", "7", "1"),
    ]
    variance = next(row for row in tables["variance"] if row["criterion"] == "all")
    assert (variance["cases"], variance["methods"], variance["seeds"]) == ("7", "2", "2")
    assert float(variance["method"]) == pytest.approx(0.1**2 / 2)


class TestTheTestSet:
    @pytest.fixture
    def held_out(self, study: Path) -> Path:
        """The study with its first case in the test set."""
        splits = read_tsv(study / "splits.tsv")
        write_tsv(study / "splits.tsv", [splits[0] | {"split": "test"}, *splits[1:]], list(splits[0]))
        return study

    def test_it_is_scored_by_itself_and_every_look_is_kept(self, held_out):
        assert {row["case"] for row in run_score(held_out, "X")} == {"p2", "p3", "p4"}
        for number in (1, 2):
            rows = run_score(held_out, "X", test=True)
            looks = read_tsv(held_out / "looks/X.tsv")
            assert {row["case"] for row in rows} == {"p1"}
            assert [(look["arm"], look["look"], look["cases"]) for look in looks][-1] == ("X", str(number), "1")
        assert looks[0]["scores_sha256"] == looks[1]["scores_sha256"]
        save_volume(held_out / "segment/X/ensemble/A/p1.nii.gz", Volume(box(), AFFINE))
        run_score(held_out, "X", test=True)
        assert read_tsv(held_out / "looks/X.tsv")[2]["scores_sha256"] != looks[0]["scores_sha256"]

    def test_no_mask_of_a_test_case_is_read_for_other_scores(self, held_out):
        for member in MEMBERS:
            (held_out / f"segment/X/{member}/A/p1.nii.gz").unlink()
        assert run_score(held_out, "X")

    def test_scores_of_an_arm_that_is_not_named_stop_the_study(self, tmp_path):
        for arm in "XY":
            scores_table(tmp_path / f"{arm}.tsv", arm, {(str(i), str(i)): 0.1 * i for i in range(9)}, "test")
        with pytest.raises(InputError, match=r"test scores of Y.*evaluate\.test_arms"):
            run_summarise(tmp_path, tmp_path / "out", tested=["X"])
        assert not (tmp_path / "out").exists()

    def test_it_has_no_ranks_and_no_comparison_with_an_arm_that_is_not_scored_on_it(self, tmp_path):
        validation = {(f"v{i}", f"v{i}"): 0.1 * i for i in range(9)}
        scores_table(tmp_path / "Y.tsv", "Y", validation)
        scores_table(tmp_path / "X.tsv", "X", validation)
        both = read_tsv(tmp_path / "X.tsv") + [row | {"split": "test"} for row in read_tsv(tmp_path / "X.tsv")]
        write_tsv(tmp_path / "X.tsv", both, score.COLUMNS)
        tables = run_summarise(tmp_path, tmp_path / "out", ("main:X,Y", "main:Y,Z"), tested=["X"])
        assert {row["split"] for row in tables["summary"]} == {"validation", "test"}
        assert {row["arm"] for row in tables["summary"] if row["split"] == "test"} == {"X"}
        for name in ("ranks", "comparisons"):
            assert {row["split"] for row in tables[name]} == {"validation"}, name
        assert {(row["first"], row["second"], row["family_size"]) for row in tables["comparisons"]} == {("X", "Y", "1")}


def test_families_are_adjusted_apart(tmp_path):
    generator = np.random.default_rng(0)
    for arm in "XY":
        scores_table(
            tmp_path / f"{arm}.tsv", arm, {(str(i), str(i)): generator.random() + (arm == "Y") for i in range(9)}
        )
    pairs = ("one:X,Y", "two:X,Y", "two:Y,X")
    tables = run_summarise(tmp_path, tmp_path / "out", pairs)
    rows = [row for row in tables["comparisons"] if row["criterion"] == "all"]
    assert [row["family_size"] for row in rows] == ["1", "2", "2"]
    assert [float(row["p_holm"]) / float(row["p"]) for row in rows] == pytest.approx([1, 2, 2], rel=1e-4)


def test_the_same_scores_give_the_same_bytes(study, tmp_path):
    for arm in ("X", "Y"):
        run_score(study, arm)
    run_summarise(study, tmp_path / "first")
    run_summarise(study, tmp_path / "second")
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
        with path.open() as handle:
            assert len({len(row) for row in csv.reader(handle, delimiter="\t")}) == 1
