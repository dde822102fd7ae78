"""BIDS-like trees: names that people use for CT, masks by their grids, and no choice between two files."""

import numpy as np
import pytest

from tests.datasets.trees import AFFINE, SHAPE, left_out, run_reader, save_image, save_mask, save_nifti, volume_ml, why
from workflow_scripts.common.errors import InputError
from workflow_scripts.datasets.bids import main

NATIVE = (20, 24, 20)
MASK = "derivatives/drawn/sub-01/sub-01_label-lesion_mask.nii.gz"


@pytest.mark.parametrize(
    "name", ["anat/sub-01_ct.nii.gz", "anat/sub-01_run-1_CT.nii", "ct/sub-01_acq-noncontrast_ncct.nii.gz"]
)
def test_names_of_a_ct(name, tmp_path):
    path = save_image(tmp_path / "my tree/sub-01" / name)
    cases, rows = run_reader(main, tmp_path / "my tree")
    case = cases["sub-01"]
    assert (case.cohort, case.patient, case.ncct) == ("my-tree", "sub-01", str(path))
    assert case.lesion is None
    assert "no lesion mask" in why(rows, "sub-01", "lesion")


@pytest.mark.parametrize(
    "name",
    [
        *("sub-01_ce-iohexol_ct", "sub-01_acq-cta_ct", "sub-01_acq-bone_ct", "sub-01_desc-perfusion_ct"),
        *("sub-01_acq-vnc_ct", "sub-01_rec-70keV_ct", "sub-01_desc-CBF_ct", "sub-01_desc-mip_ct"),
    ],
)
def test_a_name_that_says_no_native_ct_is_left_out(name, tmp_path):
    save_image(tmp_path / "tree/sub-01/anat/sub-01_ct.nii.gz")
    save_image(tmp_path / f"tree/sub-01/anat/{name}.nii.gz")
    cases, rows = run_reader(main, tmp_path / "tree")
    assert cases["sub-01"].ncct.endswith("sub-01_ct.nii.gz")
    assert why(rows, "sub-01", f"{name}.nii.gz")


def test_two_plain_ct_are_not_chosen_from(tmp_path):
    for run in (1, 2):
        save_image(tmp_path / f"tree/sub-01/anat/sub-01_run-{run}_ct.nii.gz")
    with pytest.raises(InputError, match="No case was found"):
        run_reader(main, tmp_path / "tree")
    reason = why(left_out(tmp_path / "out"), "sub-01", "case")
    assert "run-1" in reason
    assert "run-2" in reason


@pytest.mark.parametrize(
    ("shape", "space", "first"), [(SHAPE, "ncct", "adc"), (NATIVE, "mri", "dwi"), ((9, 9, 9), None, "adc")]
)
def test_a_mask_belongs_to_the_image_that_has_its_grid(shape, space, first, tmp_path):
    root = tmp_path / "tree"
    save_image(root / "sub-01/anat/sub-01_ct.nii.gz")
    save_image(root / "sub-01/dwi/sub-01_dwi.nii.gz", shape=NATIVE)
    save_image(root / "sub-01/dwi/sub-01_ADC.nii.gz", shape=(20, 24, 21))
    save_mask(root / MASK, shape=shape)
    cases, rows = run_reader(main, root)
    case = cases["sub-01"]
    assert case.mri_modality[0] == first
    assert (case.lesion_space if case.lesion else None) == space
    assert bool(rows) == (space is None)
    if space is None:
        assert "No mask has the grid of ncct, adc, dwi" in why(rows, "sub-01", "lesion")


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("sub-01_label-lesion_mask", True),
        ("sub-01_space-orig_desc-infarct_dseg", True),
        ("sub-01_msk", True),
        ("sub-01_space-ncct_lesion-msk", True),
        ("sub-01_mask", False),
        ("sub-01_desc-brain_mask", False),
        ("sub-01_label-brain_msk", False),
    ],
)
def test_a_mask_must_say_that_it_is_of_a_lesion(name, taken, tmp_path):
    save_image(tmp_path / "tree/sub-01/anat/sub-01_ct.nii.gz")
    save_mask(tmp_path / f"tree/derivatives/drawn/sub-01/anat/{name}.nii.gz")
    cases, rows = run_reader(main, tmp_path / "tree")
    assert bool(cases["sub-01"].lesion) == taken
    assert taken or name in why(rows, "sub-01", "lesion")


@pytest.mark.parametrize("name", ["desc-brain_mask", "label-brain_mask", "brainmask", "space-orig_desc-brain_mask"])
def test_a_brain_mask_on_the_ct_fills_its_column(name, tmp_path):
    save_image(tmp_path / "tree/sub-01/anat/sub-01_ct.nii.gz")
    save_mask(tmp_path / "tree" / MASK)
    brain = tmp_path / f"tree/derivatives/strip/sub-01/anat/sub-01_{name}.nii.gz"
    save_mask(brain)
    cases, _ = run_reader(main, tmp_path / "tree")
    assert cases["sub-01"].brain_mask == str(brain)
    assert cases["sub-01"].lesion
    save_mask(tmp_path / f"tree/derivatives/other/sub-01/anat/sub-01_{name}.nii.gz")
    cases, rows = run_reader(main, tmp_path / "tree")
    assert cases["sub-01"].brain_mask is None
    assert "Several" in why(rows, "sub-01", "brain mask")


def test_a_brain_mask_of_the_mri_is_none_of_the_ct(tmp_path):
    save_image(tmp_path / "tree/sub-01/anat/sub-01_ct.nii.gz")
    save_mask(tmp_path / "tree/derivatives/strip/sub-01/anat/sub-01_desc-brain_mask.nii.gz", shape=(12, 12, 12))
    cases, rows = run_reader(main, tmp_path / "tree")
    assert cases["sub-01"].brain_mask is None
    assert [row["what"] for row in rows] == ["lesion"]


def test_two_masks_are_not_chosen_from(tmp_path):
    save_image(tmp_path / "tree/sub-01/anat/sub-01_ct.nii.gz")
    save_mask(tmp_path / "tree" / MASK)
    save_mask(tmp_path / "tree" / MASK.replace("drawn", "network"))
    cases, rows = run_reader(main, tmp_path / "tree")
    assert cases["sub-01"].lesion is None
    assert "Several masks" in why(rows, "sub-01", "lesion")


@pytest.mark.parametrize(("options", "volume"), [([], None), (["--labels", "2"], 8), (["--labels", "1", "2"], 16)])
def test_of_several_labels_those_that_are_asked_for_are_lesion(options, volume, tmp_path):
    save_image(tmp_path / "tree/sub-01/anat/sub-01_ct.nii.gz")
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:14, 10:14, 8:13] = 1
    labels[14:18, 10:14, 8:13] = 2
    save_nifti(tmp_path / "tree" / MASK.replace("mask", "dseg"), labels, AFFINE["LPS"])
    cases, rows = run_reader(main, tmp_path / "tree", *options)
    if volume is None:
        assert cases["sub-01"].lesion is None
        assert "several labels (1, 2)" in why(rows, "sub-01", "lesion")
    else:
        assert volume_ml(cases["sub-01"].lesion) == pytest.approx(volume)


def test_sessions_are_cases_of_one_patient_and_a_follow_up_belongs_to_the_only_ct(tmp_path):
    root = tmp_path / "tree"
    for session in ("01", "02"):
        save_image(root / f"sub-A/ses-{session}/ct/sub-A_ses-{session}_ct.nii.gz")
    save_image(root / "sub-A/ses-02/dwi/sub-A_ses-02_adc.nii.gz")
    save_image(root / "sub-B/ses-01/ct/sub-B_ses-01_ct.nii.gz")
    save_image(root / "sub-B/ses-02/dwi/sub-B_ses-02_adc.nii.gz", shape=NATIVE)
    save_mask(root / "derivatives/drawn/sub-B/ses-02/sub-B_ses-02_label-lesion_mask.nii.gz", shape=NATIVE)
    cases, _ = run_reader(main, root, "--cohort", "mine")
    assert {name: (case.cohort, case.patient, bool(case.mri)) for name, case in cases.items()} == {
        "sub-A-ses-01": ("mine", "sub-A", False),
        "sub-A-ses-02": ("mine", "sub-A", True),
        "sub-B-ses-01": ("mine", "sub-B", True),
    }
    assert cases["sub-B-ses-01"].lesion_space == "mri"


def test_a_damaged_ct_and_a_subject_without_one_are_named(tmp_path):
    save_image(tmp_path / "tree/sub-01/anat/sub-01_ct.nii.gz").write_bytes(b"cut off")
    save_image(tmp_path / "tree/sub-02/dwi/sub-02_dwi.nii.gz")
    save_image(tmp_path / "tree/sub-03/anat/sub-03_ct.nii.gz")
    cases, rows = run_reader(main, tmp_path / "tree")
    assert set(cases) == {"sub-03"}
    assert "cannot be read" in why(rows, "sub-01", "case")
    assert why(rows, "sub-02", "case") == "there is no plain CT"
