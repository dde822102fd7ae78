"""Split: exact shares, whole patients, fixed splits kept, the same assignment every time; the audit stops leaks."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_json
from workflow_scripts.common.vocabulary import SPLITS
from workflow_scripts.split.patients import freeze
from workflow_scripts.split.patients.assignment import assign
from workflow_scripts.split.patients.freeze import frozen
from workflow_scripts.split.patients.leakage import audit
from workflow_scripts.split.patients.strata import SplitCase, gather_patients, stratify
from workflow_scripts.split.split import balance_rows, main, split_rows

RATIOS = {"train": 0.7, "validation": 0.2, "test": 0.1}
SIDES = ["left", "right", "bilateral", "none", None]


def case(patient: str, name: str = "", **fields: object) -> SplitCase:
    name = name or f"{patient}-1"
    values = {"side": "left", "lesion_ml": 10.0, "label_standard": "gold", "fixed": ""} | fields
    return SplitCase(
        cohort=str(values.pop("cohort", "A")),
        patient=patient,
        case=name,
        **{"pixel_digest": f"p-{name}", "final_digest": f"f-{name}", **values},
    )


@st.composite
def cohorts(draw: st.DrawFn, fixed: bool = True) -> list[SplitCase]:
    count = draw(st.integers(1, 70))
    cases = []
    for index in range(count):
        side = draw(st.sampled_from(SIDES))
        volume = None if side is None else 0.0 if side == "none" else draw(st.floats(0.1, 200))
        split = draw(st.sampled_from(["", "", "", *SPLITS])) if fixed else ""
        standard = draw(st.sampled_from(["gold", "silver"]))
        for scan in range(draw(st.integers(1, 2))):
            name = f"c{index}-{scan}"
            fields = {"side": side, "lesion_ml": volume, "label_standard": standard, "fixed": split}
            cases.append(case(f"p{index}", name, **fields))
    return cases


def patients_of(rows: list[dict]) -> dict[str, str]:
    return {row["patient"]: row["split"] for row in rows}


@settings(max_examples=60)
@given(cases=cohorts(), seed=st.integers(0, 2**31))
def test_a_patient_is_on_one_side_and_a_fixed_split_wins(cases, seed):
    rows = split_rows(cases, RATIOS, 3, seed)
    sides = patients_of(rows)
    assert [row["case"] for row in rows] == [one.case for one in cases]
    assert all(sides[row["patient"]] == row["split"] for row in rows)
    assert all(row["split"] == row["fixed"] for row in rows if row["fixed"])
    assert set(sides.values()) <= set(SPLITS)


@settings(max_examples=60)
@given(cases=cohorts(fixed=False), seed=st.integers(0, 2**31))
def test_cohort_and_strata_have_their_shares(cases, seed):
    rows = split_rows(cases, RATIOS, 3, seed)
    sides = patients_of(rows)
    count = len(sides)
    totals = Counter(sides.values())
    for split, ratio in RATIOS.items():
        assert abs(totals[split] - ratio * count) < 1 + (count < 10)
        if count >= 3:
            assert totals[split] >= 1
    strata = {row["patient"]: row["stratum"] for row in rows}
    for stratum in set(strata.values()):
        members = [patient for patient in strata if strata[patient] == stratum]
        for split in SPLITS:
            share = totals[split] / count * len(members)
            assert abs(sum(sides[patient] == split for patient in members) - share) < 2


@settings(max_examples=30)
@given(cases=cohorts(), seed=st.integers(0, 2**31), data=st.data())
def test_the_dealing_depends_on_nothing_but_seed_and_patients(cases, seed, data):
    expected = patients_of(split_rows(cases, RATIOS, 3, seed))
    shuffled = data.draw(st.permutations(cases))
    other = [replace(one, cohort="B") for one in cases[: len(cases) // 2]]
    rows = split_rows([*other, *shuffled], RATIOS, 3, seed)
    assert patients_of([row for row in rows if row["cohort"] == "A"]) == expected


def test_another_seed_deals_otherwise():
    cases = [case(f"p{index}") for index in range(40)]
    assert patients_of(split_rows(cases, RATIOS, 3, 1)) != patients_of(split_rows(cases, RATIOS, 3, 2))


def test_an_official_test_set_counts_towards_the_ratio():
    cases = [case(f"p{index:03d}", fixed="test" if index < 50 else "") for index in range(200)]
    totals = Counter(patients_of(split_rows(cases, RATIOS, 3, 0)).values())
    assert totals["test"] == 50
    assert totals["validation"] == pytest.approx(150 * 2 / 9, abs=1)


def test_patients_one_to_a_stratum_do_not_all_train():
    cases = [
        case(f"p{index}", side=side, lesion_ml=volume)
        for index, (side, volume) in enumerate(
            (side, volume) for side in ("left", "right", "bilateral") for volume in (1.0, 10.0, 100.0)
        )
    ]
    totals = Counter(patients_of(split_rows(cases, RATIOS, 3, 0)).values())
    assert (totals["train"], totals["validation"], totals["test"]) == (6, 2, 1)


@pytest.mark.parametrize(("count", "expected"), [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [1, 1, 1]), (4, [2, 1, 1])])
def test_of_few_patients_each_split_gets_one_where_there_are_three(count, expected):
    totals = Counter(patients_of(split_rows([case(f"p{index}") for index in range(count)], RATIOS, 3, 0)).values())
    assert [totals[split] for split in SPLITS] == expected


def labelled_cohort(count: int, seed: int) -> list[SplitCase]:
    """Patients with volumes over three decades, as strokes have them."""
    draw = np.random.default_rng(seed)
    sides = draw.choice(["left", "right", "bilateral"], count, p=[0.47, 0.45, 0.08])
    volumes = np.exp(draw.normal(3, 1.3, count))
    return [case(f"p{index:04d}", side=str(sides[index]), lesion_ml=float(volumes[index])) for index in range(count)]


@settings(max_examples=3)
@given(study=st.integers(0, 99), seed=st.integers(0, 99))
def test_a_patient_more_or_less_moves_hardly_another(study, seed):
    cases = labelled_cohort(167, study)
    everybody = patients_of(split_rows(cases, RATIOS, 3, seed))
    moved = []
    for left_out in range(0, 167, 16):
        others = patients_of(split_rows(cases[:left_out] + cases[left_out + 1 :], RATIOS, 3, seed))
        moved.append(sum(everybody[patient] != split for patient, split in others.items()))
    assert np.mean(moved) < 8
    assert max(moved) <= 14


FROZEN_SHEETS = {
    "plain": "cohort\tpatient\tcase\tsplit\tx_note\nA\tp\tc1\t\tkeep  me\nA\tp\tc2\ttest\t\n",
    "line ends, spaces": "cohort\tpatient\tcase\tsplit \tx_note\r\n A\tp\tc1 \t \t\r\n\r\nA\tq\tnew\t\t",
    "quotes": 'cohort\tpatient\tcase\tsplit\tx_note\nA\tp\tc1\t\t"a\tb ""c"""\n',
    "short row": "cohort\tpatient\tcase\tx_note\tsplit\nA\tp\tc1\n",
    "no column": "cohort\tpatient\tcase\nA\tp\tc1\n",
}


@pytest.mark.parametrize("text", FROZEN_SHEETS.values(), ids=FROZEN_SHEETS)
def test_freezing_fills_empty_cells_and_keeps_everything_else(text):
    once = frozen(text, {("A", "c1"): "train", ("A", "c2"): "train"})
    assert once.count("train") == 1
    assert frozen(once, {("A", "c1"): "test"}) == once
    plain = [re.sub(r"\s", "", content.replace("split", "")) for content in (text, once.replace("train", ""))]
    assert plain[0] == plain[1]


def test_a_frozen_split_is_the_split_of_the_run_whoever_comes_or_goes(tmp_path):
    rows = [{"patient": f"p{index}", "case": f"c{index}"} for index in range(20)]
    arguments = write_study(tmp_path, rows, [f"d{index}" for index in range(20)])
    main(arguments)
    before = {row["case"]: row["split"] for row in read_tsv(tmp_path / "splits")}
    freeze.main([f"--sheet={tmp_path / 'cases.tsv'}", f"--splits={tmp_path / 'splits'}"])
    sheet = (tmp_path / "cases.tsv").read_text().splitlines()
    (tmp_path / "cases.tsv").write_text("\n".join([sheet[0], *sheet[4:]]) + "\n")
    main(arguments)
    after = {row["case"]: row["split"] for row in read_tsv(tmp_path / "splits")}
    assert len(after) == 17
    assert all(before[name] == split for name, split in after.items())


def test_strata_are_side_size_and_standard_with_rooms_of_their_own():
    cases = [
        *(case(f"p{index}", lesion_ml=float(index + 1)) for index in range(9)),
        case("silver", lesion_ml=1.5, label_standard="silver"),
        case("healthy", side="none", lesion_ml=0.0),
        case("declared", side="none", lesion_ml=None),
        case("unseen", side=None, lesion_ml=None),
    ]
    patients = gather_patients(cases)
    named = dict(zip([one.patient for one in patients], stratify(patients, 3), strict=True))
    assert named["p0"] == "left size-1-of-3 gold"
    assert named["p8"] == "left size-3-of-3 gold"
    assert named["silver"] == "left size-1-of-3 silver"
    assert named["healthy"] == named["declared"] == "lesion-free"
    assert named["unseen"] == "unlabelled"


def test_a_patient_with_two_scans_is_bilateral_and_as_large_as_the_larger():
    (one,) = gather_patients([case("p", "a", side="left", lesion_ml=3.0), case("p", "b", side="right", lesion_ml=9.0)])
    assert (one.side, one.lesion_ml) == ("bilateral", 9.0)
    (one,) = gather_patients([case("p", "a", side="none", lesion_ml=0.0), case("p", "b", side="right", lesion_ml=9.0)])
    assert (one.side, one.lesion_ml) == ("right", 9.0)


def test_a_patient_fixed_on_two_sides_is_refused_by_name():
    cases = [case("p", "scan-1", fixed="train"), case("p", "scan-2", fixed="test")]
    with pytest.raises(InputError, match=r"Patient A/p .*scan-1 \(train\), scan-2 \(test\)"):
        split_rows(cases, RATIOS, 3, 0)


def row(name: str, split: str, **fields: str) -> dict[str, str]:
    return {"cohort": "A", "patient": name, "case": name, "split": split, "pixel_digest": f"p{name}"} | fields


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([row("a", "train"), row("b", "test", patient="a")], "patient A/a"),
        ([row("a", "train", pixel_digest="x"), row("b", "test", pixel_digest="x", cohort="B")], "the same scan"),
        ([row("a", "train", final_digest="x"), row("b", "validation", final_digest="x")], "same preprocessed image"),
    ],
)
def test_the_audit_stops_a_patient_or_image_on_two_sides(rows, named):
    with pytest.raises(InputError, match=named) as refused:
        audit(rows)
    assert all(f"{one['cohort']}/{one['case']}: {one['split']}" in str(refused.value) for one in rows)


def test_the_same_patient_name_in_two_cohorts_is_two_patients():
    report = audit([row("a", "train"), row("a", "test", cohort="B", pixel_digest="other")])
    assert report["patients"] == 2
    assert report["repeated"] == []


def test_the_same_pixels_twice_on_one_side_are_reported():
    report = audit([row("a", "train", pixel_digest="x"), row("b", "train", pixel_digest="x")])
    assert [entry["cases"] for entry in report["repeated"]] == ["A/a: train, A/b: train"]


def test_the_balance_table_adds_up():
    cases = [case(f"p{index}", lesion_ml=float(index + 1)) for index in range(20)]
    table = balance_rows(split_rows(cases, RATIOS, 3, 0))
    overall = [entry for entry in table if entry["stratum"] == "all"]
    assert [entry["patients"] for entry in overall] == [14, 4, 2]
    assert sum(entry["cases"] for entry in table) == 2 * len(cases)
    assert sum(entry["share"] for entry in overall) == pytest.approx(1)


def write_study(folder: Path, rows: list[dict[str, str]], digests: list[str]) -> list[str]:
    columns = ["cohort", "patient", "case", "ncct", "mri", "mri_modality", "lesion", "lesion_space", "mri_aligned"]
    columns += ["stripped", "label_standard", "side", "split", "exclude"]
    lines = ["\t".join(columns)]
    for entry, digest in zip(rows, digests, strict=True):
        lines.append("\t".join({"cohort": "A", "ncct": "x.nii", **entry}.get(column, "") for column in columns))
        if not entry.get("exclude"):
            facts = {"side": "left", "lesion_ml": 5.0, "pixel_digest": digest, "final_digest": digest}
            write_json(folder / "preprocess" / "A" / entry["case"] / "case.json", {"facts": facts})
    (folder / "cases.tsv").write_text("\n".join(lines) + "\n")
    outputs = [f"--out-{name}={folder / name}" for name in ("splits", "balance", "leakage")]
    fixed = ["--ratios", "0.7", "0.2", "0.1", "--size-strata", "3", "--seed", "1", *outputs]
    return [f"--sheet={folder / 'cases.tsv'}", f"--preprocess={folder / 'preprocess'}", *fixed]


def test_the_command_line_writes_three_tables_and_leaves_excluded_cases_out(tmp_path):
    rows = [{"patient": f"p{index}", "case": f"c{index}"} for index in range(10)]
    rows += [{"patient": "q", "case": "q", "exclude": "motion"}]
    rows[3]["side"] = "right"
    arguments = write_study(tmp_path, rows, [f"d{index}" for index in range(11)])
    main(arguments)
    table = read_tsv(tmp_path / "splits")
    assert Counter(entry["split"] for entry in table) == {"train": 7, "validation": 2, "test": 1}
    assert table[3]["side"] == "right"
    assert [entry["case"] for entry in table] == [f"c{index}" for index in range(10)]
    assert json.loads((tmp_path / "leakage").read_text())["on_two_sides"] == 0
    first = (tmp_path / "splits").read_bytes()
    main(arguments)
    assert (tmp_path / "splits").read_bytes() == first


def test_a_leak_leaves_no_file(tmp_path):
    rows = [{"patient": f"p{index}", "case": f"c{index}", "split": SPLITS[index]} for index in range(3)]
    with pytest.raises(InputError, match="A/c0: train, A/c1: validation, A/c2: test"):
        main(write_study(tmp_path, rows, ["same"] * 3))
    assert not any((tmp_path / name).exists() for name in ("splits", "balance", "leakage"))


def test_dealing_without_free_patients_returns_the_fixed_splits():
    patients = gather_patients([case("p", fixed="test")])
    assert assign(patients, ["s"], RATIOS, 0) == ["test"]
