"""ISLES'24: two ways of naming the folders, masks in several spaces, and cases without follow-up."""

import nibabel as nib
import numpy as np
import pytest

from tests.datasets.trees import AFFINE, run_reader, save_image, save_mask, save_nifti, volume_ml, why
from tests.ingest.command import CASE, ingest_ncct
from workflow_scripts.datasets.isles24 import main
from workflow_scripts.ingest.ingest_lesion import main as ingest_lesion

NATIVE = (20, 24, 20)  # of the MRI


def add(root, number, *, stem="stroke", raw="raw_data", sessions=("ses-01", "ses-02"), mask=True, axes="LPS"):
    """Write a case and return its folder of derivatives."""
    subject, (first, second) = f"sub-{stem}{number}", sessions
    save_image(root / raw / subject / first / f"{subject}_{first}_ncct.nii.gz", axes, shape=(32, 44, 24))
    save_image(root / raw / subject / first / f"{subject}_{first}_cta.nii.gz", axes)
    folder = root / "derivatives" / subject / second
    for modality in ("dwi", "adc"):
        save_image(root / raw / subject / second / f"{subject}_{second}_{modality}.nii.gz", shape=NATIVE)
        save_image(folder / f"{subject}_{second}_space-ncct_{modality}.nii.gz", axes, shape=(32, 44, 24))
    if mask:
        path = folder / f"{subject}_{second}_space-ncct_lesion-msk.nii.gz"
        save_mask(path, axes, (32, 44, 24), 0.9999999997, np.float64)
    return folder


@pytest.mark.parametrize("axes", ["LPS", "LAS"])
def test_a_row_says_what_the_data_set_says(axes, tmp_path):
    add(tmp_path / "train", "0014", axes=axes)
    cases, rows = run_reader(main, tmp_path / "train")
    case = cases["stroke0014"]
    assert not rows
    assert (case.cohort, case.patient, case.mri_modality) == ("ISLES24", "stroke0014", ("dwi", "adc"))
    assert (case.lesion_space, case.mri_aligned, case.stripped, case.split) == ("ncct", True, (), "")
    assert case.mri[0].endswith("space-ncct_dwi.nii.gz")
    assert volume_ml(case.lesion) == pytest.approx(75, rel=0.05)


def test_both_namings_of_folders_are_read(tmp_path):
    add(tmp_path / "train", "0014")
    add(tmp_path / "train", "0158", stem="strokecase", raw="rawdata", sessions=("ses-0001", "ses-0002"))
    cases, rows = run_reader(main, tmp_path / "train")
    assert set(cases) == {"stroke0014", "stroke0158"}
    assert all(case.lesion and case.mri_aligned for case in cases.values())
    assert not rows


def test_a_stray_mask_in_the_space_of_the_mri_is_not_taken(tmp_path):
    folder = add(tmp_path / "train", "0142")
    save_mask(folder / "sub-stroke0142_ses-02_lesion-msk.nii", shape=NATIVE)
    cases, rows = run_reader(main, tmp_path / "train")
    assert nib.load(cases["stroke0142"].lesion).shape == (32, 44, 24)
    assert not rows
    next(folder.glob("*space-ncct_lesion-msk.nii.gz")).unlink()
    cases, rows = run_reader(main, tmp_path / "train")
    assert cases["stroke0142"].lesion is None
    assert why(rows, "stroke0142", "lesion") == "No lesion mask has the grid of the NCCT."


def test_a_mask_of_an_older_release_is_known_by_its_grid(tmp_path):
    folder = add(tmp_path / "train", "0014", mask=False)
    save_mask(folder / "sub-stroke0014_ses-02_lesion-msk.nii.gz", shape=(32, 44, 24))
    cases, _ = run_reader(main, tmp_path / "train")
    assert volume_ml(cases["stroke0014"].lesion) == pytest.approx(75, rel=0.05)


def test_a_case_without_follow_up_is_unlabelled_and_one_without_ncct_is_left_out(tmp_path):
    root = tmp_path / "train"
    save_image(root / "raw_data/sub-stroke0001/ses-01/sub-stroke0001_ses-01_ncct.nii.gz")
    save_image(root / "raw_data/sub-stroke0002/ses-02/sub-stroke0002_ses-02_adc.nii.gz")
    cases, rows = run_reader(main, root)
    assert cases["stroke0001"].lesion is None
    assert cases["stroke0001"].mri == ()
    assert why(rows, "stroke0001", "lesion") == "There is no lesion mask."
    assert why(rows, "stroke0002", "case") == "There is no NCCT."


def test_without_derivatives_the_mri_is_taken_as_acquired(tmp_path):
    folder = add(tmp_path / "train", "0014", mask=False)
    for path in folder.iterdir():
        path.unlink()
    cases, _ = run_reader(main, tmp_path / "train")
    assert not cases["stroke0014"].mri_aligned
    assert cases["stroke0014"].mri[1].endswith("sub-stroke0014_ses-02_adc.nii.gz")


@pytest.mark.parametrize("axes", ["LPS", "LAS"])
def test_a_mask_whose_header_rounds_otherwise_still_reaches_its_scan(axes, tmp_path):
    folder = add(tmp_path / "train", "0014", mask=False)
    rounded = AFFINE[axes] + np.array([[0, 0, 0, 0.2], [0, 0, 0, 0], [0, 0, 0.003, 0], [0, 0, 0, 0]])
    shape = (32, 44, 24)
    if axes == "LAS":
        rounded[1, 3] = AFFINE["LPS"][1, 3] - 5 * (shape[1] - 1)
    mask = np.zeros(shape, np.uint8)
    mask[14:20, 18:24, 10:14] = 1
    save_nifti(folder / "sub-stroke0014_ses-02_space-ncct_lesion-msk.nii.gz", mask, rounded)
    cases, rows = run_reader(main, tmp_path / "train")
    assert not rows
    target = tmp_path / "ingest"
    ingest_ncct(tmp_path / "train/raw_data/sub-stroke0014/ses-01/sub-stroke0014_ses-01_ncct.nii.gz", target)
    arguments = ["--reference", str(target / "ncct.nii.gz"), "--record", str(target / "ncct.json")]
    ingest_lesion([*CASE, "--lesion", cases["stroke0014"].lesion, *arguments, "--out", str(target / "lesion.nii.gz")])
    assert np.asarray(nib.load(target / "lesion.nii.gz").dataobj).sum() == mask.sum()


def test_a_mask_of_several_labels_is_not_guessed(tmp_path):
    folder = add(tmp_path / "train", "0014", mask=False)
    labels = np.zeros((32, 44, 24), np.uint8)
    labels[10:12], labels[12:14] = 1, 2
    save_nifti(folder / "sub-stroke0014_ses-02_space-ncct_lesion-msk.nii.gz", labels, AFFINE["LPS"])
    cases, rows = run_reader(main, tmp_path / "train")
    assert cases["stroke0014"].lesion is None
    assert "several labels (1, 2)" in why(rows, "stroke0014", "lesion")
