"""AISD: parts of a download, label numbers, and masks that lie on the slices they were drawn on."""

import shutil

import numpy as np
import pytest

from tests.datasets.trees import (
    add_aisd,
    ct,
    dice_after_ingest,
    egg_hu,
    left_out,
    run_reader,
    volume_ml,
    why,
    write_pictures,
)
from tests.ingest.dicom_series import write_series
from workflow_scripts.common.errors import InputError
from workflow_scripts.datasets.aisd import EXCLUDED, TEST, in_order_of_pictures, main

CASE = "0091234"


@pytest.mark.parametrize("tilt", [0.0, -15.0, 18.0])
@pytest.mark.parametrize("first_is_top", [False, True])
def test_the_mask_lies_on_the_lesion_of_a_tilted_scan_whichever_slice_is_first(tilt, first_is_top, tmp_path):
    add_aisd(tmp_path / "AISD", CASE, ct(tilt=tilt), first_is_top=first_is_top)
    cases, rows = run_reader(main, tmp_path / "AISD")
    assert not rows
    assert dice_after_ingest(cases[CASE], tmp_path / "ingest") >= 0.93


def test_a_row_says_what_the_data_set_says(tmp_path):
    official = min(TEST)
    for case, mri in ((CASE, "DWI"), (official, "MRI")):
        add_aisd(tmp_path / "AISD", case, mri=mri)
    cases, _ = run_reader(main, tmp_path / "AISD")
    assert len(TEST) == 52
    assert {name: case.split for name, case in cases.items()} == {CASE: "", official: "test"}
    case = cases[official]
    assert (case.cohort, case.patient, case.lesion_space, case.mri_modality) == ("AISD", official, "ncct", ("dwi",))
    assert case.mri[0].endswith(f"{official}/MRI")
    assert case.ncct_series is None
    assert not case.mri_aligned
    assert not case.stripped


@pytest.mark.parametrize(
    ("label", "options", "kept"),
    [(1, [], True), (4, [], True), (5, [], True), (4, ["--labels", "1", "2", "3", "5"], False)],
)
def test_labels_are_merged_and_one_that_is_not_asked_for_is_no_proof_of_health(label, options, kept, tmp_path):
    add_aisd(tmp_path / "AISD", CASE, label=label)
    cases, rows = run_reader(main, tmp_path / "AISD", *options)
    if kept:
        assert volume_ml(cases[CASE].lesion) == pytest.approx(75, rel=0.05)
        assert not rows
    else:
        assert cases[CASE].lesion is None
        assert "whether there is a lesion is unknown" in why(rows, CASE, "lesion")


def test_a_mask_without_any_mark_stays_unknown(tmp_path):
    add_aisd(tmp_path / "AISD", CASE, label=0)
    cases, rows = run_reader(main, tmp_path / "AISD")
    assert cases[CASE].lesion is None
    assert "marks nothing" in why(rows, CASE, "lesion")


def test_of_several_parts_of_the_download_the_fullest_folder_is_taken(tmp_path):
    full = add_aisd(tmp_path / "AISD", CASE, part="dicom-3")
    (tmp_path / "AISD/dicom-1" / CASE / "CT").mkdir(parents=True)
    (tmp_path / "AISD/dicom-2" / CASE / "CT").mkdir(parents=True)
    shutil.copy(next(full.glob("IM*")), tmp_path / "AISD/dicom-2" / CASE / "CT")
    cases, _ = run_reader(main, tmp_path / "AISD")
    assert cases[CASE].ncct == str(full)


@pytest.mark.parametrize("name", ["image", "mask", "dicom-0"])
def test_a_part_that_is_not_there_yet_is_named_with_what_to_fetch(name, tmp_path):
    add_aisd(tmp_path / "AISD", CASE)
    add_aisd(tmp_path / "AISD", "0091235", part="dicom-1")
    shutil.rmtree(tmp_path / "AISD" / name)
    cases, rows = run_reader(main, tmp_path / "AISD")
    assert set(cases) == {"0091235"} | ({CASE} if name != "dicom-0" else set())
    what = "case" if name == "dicom-0" else "lesion"
    (row,) = [row for row in rows if (row["case"], row["what"]) == (CASE, what)]
    assert name[:5] in row["remedy"]
    assert all(case.lesion is None for case in cases.values()) == (name != "dicom-0")


def test_a_mask_of_another_number_of_slices_is_left_out(tmp_path):
    add_aisd(tmp_path / "AISD", CASE, last=-2)
    cases, rows = run_reader(main, tmp_path / "AISD")
    assert cases[CASE].lesion is None
    assert "(32, 40, 22)" in why(rows, CASE, "lesion")


def test_pictures_of_another_scan_are_noticed(tmp_path):
    add_aisd(tmp_path / "AISD", CASE)
    shutil.rmtree(tmp_path / "AISD/image/image" / CASE)
    noise = np.random.default_rng(0).integers(0, 255, (32, 40, 24))
    write_pictures(tmp_path / "AISD/image/image" / CASE, noise)
    cases, rows = run_reader(main, tmp_path / "AISD")
    assert cases[CASE].lesion is None
    assert "do not show its order" in why(rows, CASE, "lesion")


@pytest.mark.parametrize("likeness", [0.0, 0.4, 1.0])
def test_pictures_must_show_their_scan_and_show_it_one_way_only(likeness):
    scan = np.clip(ct().drawn(egg_hu), 0, 80)
    noise = np.random.default_rng(0).normal(0, scan.std(), scan.shape)
    pictures = likeness * scan + (1 - likeness) * noise
    if likeness == 1:
        assert in_order_of_pictures(scan, pictures) == slice(None)
        scan = pictures = scan + scan[..., ::-1]
    with pytest.raises(InputError, match="do not show its order"):
        in_order_of_pictures(scan, pictures)


def test_a_second_series_is_told_apart_by_its_size_and_named_in_the_sheet(tmp_path):
    folder = add_aisd(tmp_path / "AISD", CASE, ct(number=4, fields={"ProtocolName": "03headCTA"}))
    write_series(ct(number=2, gaps=(10.0,) * 11), folder)
    cases, _ = run_reader(main, tmp_path / "AISD")
    assert cases[CASE].ncct_series == 4
    assert dice_after_ingest(cases[CASE], tmp_path / "ingest") >= 0.93


def test_what_the_papers_code_leaves_out_is_excluded_with_its_reason(tmp_path):
    for case in EXCLUDED:
        add_aisd(tmp_path / "AISD", case, ct(gaps=(10.0,) * 11))
    cases, _ = run_reader(main, tmp_path / "AISD")
    assert {name: case.exclude for name, case in cases.items()} == EXCLUDED
    assert len(EXCLUDED) == 5


def test_archives_that_were_not_unpacked_are_named(tmp_path):
    folder = tmp_path / "AISD/dicom-0" / CASE / "CT"
    folder.mkdir(parents=True)
    (folder / "scan.tar.gz").write_bytes(b"archive")
    with pytest.raises(InputError, match="No case was found"):
        run_reader(main, tmp_path / "AISD")
    (row,) = left_out(tmp_path / "out")
    assert row["remedy"] == "unpack the archives."
