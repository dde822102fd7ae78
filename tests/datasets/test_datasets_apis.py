"""APIS: stripped images, masks on the ADC, and patients without a lesion."""

import nibabel as nib
import numpy as np
import pytest

from tests.datasets.trees import AFFINE, SHAPE, on_grid, run_reader, save_image, save_mask, save_nifti, volume_ml, why
from tests.ingest.tilt import lesion
from workflow_scripts.datasets.apis import EXCLUDED, main

COARSE = (16, 20, 24)  # another in-plane size than the NCCT's


def add(root, number, *, mri_shape=SHAPE, **mask):
    folder = root / "APIS_dataset" / f"train_{number}"
    save_image(folder / f"train_{number}_ncct.nii.gz")
    save_image(folder / f"train_{number}_adc.nii.gz", shape=mri_shape)
    save_mask(folder / f"masks/train_{number}_r1_mask.nii.gz", **{"shape": mri_shape, **mask})
    return folder


def test_a_row_says_what_the_data_set_says(tmp_path):
    add(tmp_path / "APIS", "003", value=0.9999, dtype=float)
    cases, rows = run_reader(main, tmp_path / "APIS")
    case = cases["train003"]
    assert not rows
    assert (case.cohort, case.patient, case.mri_modality, case.stripped) == (
        "APIS",
        "train003",
        ("adc",),
        ("ncct", "adc"),
    )
    assert (case.lesion_space, case.mri_aligned, case.split, case.exclude) == ("mri", False, "", "")
    assert volume_ml(case.lesion) == pytest.approx(75, rel=0.05)


@pytest.mark.parametrize(("mri_shape", "mask_shape", "space"), [(COARSE, COARSE, "mri"), (COARSE, SHAPE, "ncct")])
def test_a_mask_belongs_to_the_image_that_has_its_grid(mri_shape, mask_shape, space, tmp_path):
    add(tmp_path / "APIS", "003", mri_shape=mri_shape, shape=mask_shape)
    cases, _ = run_reader(main, tmp_path / "APIS")
    assert cases["train003"].lesion_space == space


def test_a_mask_whose_header_rounds_otherwise_is_put_exactly_on_its_image(tmp_path):
    folder = add(tmp_path / "APIS", "003")
    rounded = AFFINE["LPS"].copy()
    rounded[0, 3] += 0.2
    mask = on_grid(AFFINE["LPS"], SHAPE, lesion).astype(np.uint8)
    save_nifti(folder / "masks/train_003_r1_mask.nii.gz", mask, rounded)
    cases, _ = run_reader(main, tmp_path / "APIS")
    adc = nib.as_closest_canonical(nib.load(cases["train003"].mri[0]))
    written = nib.load(cases["train003"].lesion)
    np.testing.assert_allclose(written.affine, adc.affine, atol=1e-4)
    assert (written.get_fdata() == nib.as_closest_canonical(nib.Nifti1Image(mask, rounded)).get_fdata()).all()


def test_a_mask_on_neither_grid_leaves_the_lesion_unknown(tmp_path):
    add(tmp_path / "APIS", "003", mri_shape=COARSE, shape=(16, 20, 22))
    cases, rows = run_reader(main, tmp_path / "APIS")
    assert cases["train003"].lesion is None
    assert "neither" in why(rows, "train003", "lesion")


def test_an_empty_mask_is_taken_from_the_voxels_and_a_missing_one_is_unknown(tmp_path):
    add(tmp_path / "APIS", "027", value=0)
    folder = add(tmp_path / "APIS", "007")
    (folder / "masks/train_007_r1_mask.nii.gz").unlink()
    cases, rows = run_reader(main, tmp_path / "APIS")
    assert volume_ml(cases["train027"].lesion) == 0
    assert cases["train007"].lesion is None
    assert "no mask" in why(rows, "train007", "lesion")


def test_what_the_papers_code_leaves_out_is_excluded_with_its_reason(tmp_path):
    for number in EXCLUDED:
        add(tmp_path / "APIS", number)
    cases, _ = run_reader(main, tmp_path / "APIS")
    assert {name: case.exclude for name, case in cases.items()} == {f"train{n}": w for n, w in EXCLUDED.items()}
    assert len(EXCLUDED) == 8


@pytest.mark.parametrize("name", ["ncct", "adc"])
def test_a_damaged_image_is_named_and_the_other_cases_go_on(name, tmp_path):
    folder = add(tmp_path / "APIS", "003")
    add(tmp_path / "APIS", "004")
    (folder / f"train_003_{name}.nii.gz").write_bytes(b"cut off")
    cases, rows = run_reader(main, tmp_path / "APIS")
    assert "cannot be read" in why(rows, "train003", name)
    assert ("train003" in cases) == (name == "adc")
    assert cases["train004"].lesion
