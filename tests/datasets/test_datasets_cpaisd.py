"""CPAISD: one folder a slice, core and penumbra, and slices whose numbers run against the patient."""

import numpy as np
import pytest

from tests.datasets.trees import add_cpaisd, ct, dice_after_ingest, ring, run_reader, volume_ml, why
from tests.ingest.tilt import lesion
from workflow_scripts.common.errors import InputError
from workflow_scripts.datasets.cpaisd import check_nesting, main

STUDY, CASE = "2.25.0071", "2-25-0071"


@pytest.mark.parametrize("downwards", [False, True])
@pytest.mark.parametrize("tilt", [0.0, 12.0])
def test_the_mask_lies_on_the_lesion_whichever_way_the_slices_are_numbered(tilt, downwards, tmp_path):
    scan = ct(tilt=tilt)
    folder = add_cpaisd(tmp_path / "CPAISD", "train", STUDY, scan, ring(scan), downwards)
    cases, rows = run_reader(main, tmp_path / "CPAISD", "--labels", "1", "2")
    assert not rows
    assert cases[CASE].ncct == str(folder)
    assert (cases[CASE].cohort, cases[CASE].patient, cases[CASE].lesion_space) == ("CPAISD", CASE, "ncct")
    assert dice_after_ingest(cases[CASE], tmp_path / "ingest") >= 0.93


def test_by_default_the_core_alone_is_lesion(tmp_path):
    scan = ct()
    add_cpaisd(tmp_path / "CPAISD", "test", STUDY, scan, ring(scan))
    cases, _ = run_reader(main, tmp_path / "CPAISD")
    assert 5 < volume_ml(cases[CASE].lesion) < 15


@pytest.mark.parametrize(("label", "marked"), [(2, "only 2"), (0, "nothing")])
def test_a_study_without_core_is_not_said_to_be_healthy(label, marked, tmp_path):
    scan = ct()
    add_cpaisd(tmp_path / "CPAISD", "train", STUDY, scan, label * scan.drawn(lesion).astype(np.uint8))
    cases, rows = run_reader(main, tmp_path / "CPAISD")
    assert cases[CASE].lesion is None
    assert f"marks {marked}" in why(rows, CASE, "lesion")


def test_the_split_is_that_of_the_folders(tmp_path):
    scan = ct(gaps=(10.0,) * 11)
    for number, part in enumerate(("train", "val", "test")):
        add_cpaisd(tmp_path / "CPAISD", part, f"2.25.{number}", scan, ring(scan))
    cases, _ = run_reader(main, tmp_path / "CPAISD")
    assert [case.split for _, case in sorted(cases.items())] == ["train", "validation", "test"]


def test_a_slice_without_dicom_is_named_and_the_others_keep_their_masks(tmp_path):
    scan = ct()
    folder = add_cpaisd(tmp_path / "CPAISD", "train", STUDY, scan, ring(scan))
    (folder / "00007/raw.dcm").unlink()
    cases, rows = run_reader(main, tmp_path / "CPAISD", "--labels", "1", "2")
    assert why(rows, CASE, "slices") == "no raw.dcm in 00007"
    assert dice_after_ingest(cases[CASE], tmp_path / "ingest") >= 0.9


@pytest.mark.parametrize("content", [None, b"", b"PK cut off"])
def test_a_mask_file_that_lacks_or_is_damaged_leaves_the_lesion_unknown(content, tmp_path):
    scan = ct()
    folder = add_cpaisd(tmp_path / "CPAISD", "train", STUDY, scan, ring(scan))
    mask = folder / "00003/mask.npz"
    mask.unlink()
    if content is not None:
        mask.write_bytes(content)
    cases, rows = run_reader(main, tmp_path / "CPAISD")
    assert cases[CASE].lesion is None
    assert "00003/mask.npz cannot be read" in why(rows, CASE, "lesion")


def test_labels_that_are_swapped_in_a_copy_are_noticed():
    labels = ring(ct())
    check_nesting(labels)
    with pytest.raises(InputError, match="may be swapped"):
        check_nesting(np.choose(labels, [0, 2, 1]))
    check_nesting(np.where(labels, 1, 0))
