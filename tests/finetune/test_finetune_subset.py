"""Fewer labels: nested draws of whole patients in the shares of the strata, and a training that sees no other."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.nnunet.cases import COLUMNS
from workflow_scripts.finetune.finetune_subset import main, subset

STRATA = ["left size-1-of-2", "left size-2-of-2", "right size-1-of-2"]


def study(strata: list[str], scans: int = 1) -> tuple[list[dict], list[dict]]:
    """Cases and splits: a training patient for each stratum, with some scans each, and two validation patients."""
    cases, splits = [], []
    everybody = [(f"P{number}", stratum, "train") for number, stratum in enumerate(strata)]
    everybody += [("V1", STRATA[0], "validation"), ("V2", STRATA[1], "validation")]
    for patient, stratum, split in everybody:
        for scan in range(scans):
            case = {"cohort": "A", "case": f"{patient}s{scan}", "split": split}
            cases.append(case | {"key": f"A__{patient}s{scan}", "label_voxels": "9"})
            splits.append(case | {"patient": patient, "stratum": stratum})
    return cases, splits


def trained(rows: list[dict]) -> set[str]:
    return {row["case"].split("s")[0] for row in rows if row["split"] == "train"}


@settings(max_examples=40)
@given(
    strata=st.lists(st.sampled_from(STRATA), min_size=2, max_size=60),
    scans=st.integers(1, 3),
    seed=st.integers(0, 2**31),
    draw=st.integers(0, 9),
)
def test_draws_are_nested_whole_patients_in_the_shares_of_the_strata(strata, scans, seed, draw):
    cases, splits = study(strata, scans)
    shares, before = Counter(strata), set()
    for labels in range(1, len(strata) + 1):
        rows = subset(cases, splits, labels, seed, draw)
        patients = trained(rows)
        assert len(patients) == labels
        assert before < patients
        before = patients
        assert Counter(row["split"] for row in rows) == {"train": labels * scans, "validation": 2 * scans}
        held = Counter(strata[int(patient[1:])] for patient in patients)
        for stratum, size in shares.items():
            assert abs(held[stratum] - labels * size / len(strata)) < 2


def test_every_patient_is_drawn_about_as_often():
    strata = STRATA[:1] * 12 + STRATA[1:2] * 6 + STRATA[2:] * 2
    cases, splits = study(strata)
    drawn = Counter(patient for draw in range(400) for patient in trained(subset(cases, splits, 5, 1, draw)))
    # 400 draws of 5 of 20: 100 each; binomial deviation 8.7.
    assert len(drawn) == 20
    assert all(60 < count < 140 for count in drawn.values())


def test_a_draw_depends_on_seed_and_number_and_not_on_the_order_of_the_table():
    cases, splits = study(STRATA * 7)
    first = trained(subset(cases, splits, 6, 1, 0))
    assert first == trained(subset(cases[::-1], splits[::-1], 6, 1, 0))
    assert first != trained(subset(cases, splits, 6, 1, 1))
    assert first != trained(subset(cases, splits, 6, 2, 0))


def test_more_labels_than_patients_are_refused_with_their_number():
    cases, splits = study(STRATA, scans=2)
    with pytest.raises(InputError, match="4 labelled patients are asked for; the training set of the arm has 3"):
        subset(cases, splits, 4, 1, 0)


def test_the_command_line_writes_a_table_of_the_dataset(tmp_path):
    cases, splits = study(STRATA)
    write_tsv(tmp_path / "cases.tsv", cases, COLUMNS)
    write_tsv(tmp_path / "splits.tsv", splits, ("cohort", "patient", "case", "split", "stratum"))
    paths = [*("--cases", str(tmp_path / "cases.tsv")), *("--splits", str(tmp_path / "splits.tsv"))]
    main([*paths, "--labels", "2", "--seed", "1", "--draw", "0", "--out", str(tmp_path / "subset.tsv")])
    assert read_tsv(tmp_path / "subset.tsv") == subset(cases, splits, 2, 1, 0)
