"""The whole workflow, run for real: every rule, and what a user may rely on afterwards."""

import csv
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np

from workflow_scripts.common.files import read_json, read_tsv
from workflow_scripts.common.volume import load_volume, same_grid


def cases(demo) -> list[dict[str, str]]:
    with (demo.directory / "cases.tsv").open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_every_rule_runs(demo):
    name = r"((?!all|arm_|cohort_|environment_|export_|labels_)[A-Za-z][\w-]*) \(.*\)"
    lines = [line.strip() for line in demo.snakemake("--list-rules").splitlines()]
    rules = {line[1] for line in (re.fullmatch(name, line) for line in lines) if line}
    assert rules
    of_whole_jobs = {"preprocess_case", "segment_batch"}  # in tests/slurm; each step is a job of the demo
    assert rules - set(demo.jobs) - of_whole_jobs == {"weights", "ingest_brain"}, (
        "the demo downloads none, and no case has a brain mask of its own"
    )


def test_a_second_run_has_nothing_to_do(demo):
    assert "Nothing to be done" in demo.snakemake()


def test_final_images_of_a_case_share_one_grid(demo):
    for case in cases(demo):
        folder = demo.results / "preprocess" / case["cohort"] / case["case"]
        names = ["mirrored", "difference", "brain", *(["lesion"] if case["lesion"] else [])]
        reference = load_volume(folder / "ncct.nii.gz")
        assert all(same_grid(reference, load_volume(folder / f"{name}.nii.gz")) for name in names)
        np.testing.assert_allclose(reference.spacing, 6.0, atol=1e-6)


def test_lesions_reach_the_final_grid(demo):
    for case in cases(demo):
        truth = demo.results / "truth" / case["cohort"] / case["case"] / "lesion_ncct.nii.gz"
        if not case["lesion"] or not truth.is_file():
            continue
        expected = load_volume(truth)
        found = load_volume(demo.results / "preprocess" / case["cohort"] / case["case"] / "lesion.nii.gz")
        expected_ml = expected.data.sum() * expected.voxel_ml
        assert abs(found.data.sum() * found.voxel_ml - expected_ml) < max(0.4 * expected_ml, 3.0), case["case"]


def test_no_patient_stands_on_two_sides(demo):
    sides: dict[tuple[str, str], set[str]] = {}
    for row in read_tsv(demo.results / "split" / "splits.tsv"):
        sides.setdefault((row["cohort"], row["patient"]), set()).add(row["split"])
    assert all(len(found) == 1 for found in sides.values())
    assert {split for found in sides.values() for split in found} == {"train", "validation", "test"}


def test_no_held_out_patient_entered_a_pretraining_or_its_statistics(demo):
    sides = {(row["cohort"], row["case"]): row["split"] for row in read_tsv(demo.results / "split" / "splits.tsv")}
    seen = [case for case, split in sides.items() if split == "train"]
    for name in ("ALL-SA", "ALL-D"):
        audit = read_json(demo.results / "pretrain" / name / "audit.json")
        assert audit["held_out_patients_seen"] == 0 < audit["held_out_patients"]
        assert audit["gradients"]["cases"] == audit["statistics"]["cases"] == len(seen)


def test_scores_have_a_row_for_each_arm_member_case_and_criterion(demo):
    rows = read_tsv(demo.results / "evaluate" / "scores.tsv")
    assert {row["arm"] for row in rows} == {"FS-STKp", "ALL-STKi-SA", "ALL-STKi-D"}
    assert {row["member"] for row in rows} == {"seed-0", "ensemble"}
    complete = [row for row in rows if row["criterion"] == "all"]
    counted = Counter((row["arm"], row["member"], row["split"] == "test") for row in complete)
    tested = sum(count for key, count in counted.items() if key[2]) // (2 * 2)
    assert tested and all(
        counted[arm, member, True] == (0 if arm == "ALL-STKi-D" else tested)
        and counted[arm, member, False] == 6 - tested
        for arm in ("FS-STKp", "ALL-STKi-SA", "ALL-STKi-D")
        for member in ("seed-0", "ensemble")
    )
    assert all(0 <= float(row["dice"]) <= 1 for row in rows)


def test_a_mask_comes_back_on_the_grid_of_the_acquired_scan(demo):
    for case in ("I01", "I04"):
        record = read_json(demo.results / "ingest" / "icoAIS" / case / "ncct.json")
        mask = load_volume(demo.results / "segment" / "FS-STKp" / "original" / "icoAIS" / f"{case}.nii.gz")
        assert list(mask.data.shape) == record["acquired_shape"]
        np.testing.assert_allclose(mask.affine, record["acquired_affine"], atol=1e-3)


def test_the_page_is_self_contained_and_carries_the_notice(demo):
    page = (demo.results / "report" / "index.html").read_text()
    assert "artificial phantom" in page
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)
    for target in re.findall(r'href="([^"#:]+)"', page):
        assert (demo.results / "report" / target).is_file(), target


def test_no_identifier_of_a_header_reaches_an_output(demo):
    planted = re.compile(rb"PLANTED|DO NOT COPY|19010203", re.IGNORECASE)
    dicom = next((demo.results / "phantom" / "icoAIS" / "I01" / "ncct").glob("[!.]*"))
    assert planted.search(dicom.read_bytes()), "the phantom plants no identifier, so this test cannot fail"
    for path in demo.results.rglob("*"):
        if path.is_file() and "phantom" not in path.relative_to(demo.results).parts[:1]:
            assert not planted.search(path.read_bytes()), path


def test_preprocessing_gives_the_same_bytes_again(demo):
    folder = demo.results / "preprocess" / "icoAIS" / "I01"
    images = sorted(path.name for path in folder.glob("*.nii.gz"))
    before = {name: (folder / name).read_bytes() for name in images}
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept, copy_function=shutil.copy2)
    try:
        for name in images:
            (folder / name).unlink()
        wanted = [f"results/demo/preprocess/icoAIS/I01/{name}" for name in images]
        demo.snakemake(*wanted)
        assert {name: (folder / name).read_bytes() for name in images} == before
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_nothing_half_written_is_left(demo):
    assert not [name for name in files_below(demo.results) if ".partial" in name]
