"""MRI: the grid and the values of a DWI or ADC map survive; anything else is named."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.ingest.command import mri_command
from tests.ingest.dicom_series import Scan, inside_head, write_series
from workflow_scripts.common.errors import InputError
from workflow_scripts.ingest.ingest_mri import main, single_volume

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def ingest(source: Path, target: Path) -> nib.Nifti1Image:
    main(mri_command(source, target))
    return nib.load(target)


def test_an_mr_series_has_its_values_at_their_places(tmp_path):
    def signal(points: np.ndarray) -> np.ndarray:
        return np.where(inside_head(points), 500 + points @ [2, 3, 1], 0)

    fields = {"RescaleIntercept": -1024}
    scan = Scan(modality="MR", tag=False, values=signal, fields=fields)
    image = ingest(write_series(scan, tmp_path / "dicom"), tmp_path / "dwi.nii.gz")
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    index = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), axis=-1)
    points = nib.affines.apply_affine(image.affine, index)
    inner = inside_head(points, margin_mm=5)
    assert np.abs(image.get_fdata() - signal(points))[inner].max() <= 0.51


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data, with the real scans, is absent")
def test_a_real_nifti_keeps_world_and_values(tmp_path):
    path = DATA / "mri_stroke_case" / "sub-strokecase0009_ses-0001_dwi.nii.gz"
    canonical = nib.as_closest_canonical(nib.load(path))
    image = ingest(path, tmp_path / "dwi.nii.gz")
    np.testing.assert_allclose(image.affine, canonical.affine, atol=1e-4)
    np.testing.assert_allclose(image.get_fdata(), canonical.get_fdata(), rtol=1e-6)


def test_a_folder_with_one_nifti_stands_for_the_file(tmp_path):
    folder = tmp_path / "dwi"
    folder.mkdir()
    affine = np.diag([20.0, 20, 5, 1])
    data = np.random.default_rng(0).random((8, 8, 12), np.float32)
    nib.save(nib.Nifti1Image(data, affine), folder / "dwi.nii.gz")
    (folder / "dwi.json").write_text("{}")
    assert np.array_equal(ingest(folder, tmp_path / "dwi.nii.gz").get_fdata(), data)
    nib.save(nib.Nifti1Image(data, affine), folder / "b0.nii.gz")
    with pytest.raises(InputError, match="2 NIfTI files"):
        ingest(folder, tmp_path / "again.nii.gz")


def test_of_several_b_values_the_highest_is_taken():
    data = np.stack([np.full((4, 4, 12), value, np.float32) for value in (900, 100, 120, 110)], axis=-1)
    assert np.allclose(single_volume(data, (0, 1000, 1000, 1000), None), 110)
    assert np.allclose(single_volume(data, (), 3), 120)


def test_repeated_volumes_without_b_values_ask_for_the_right_one():
    with pytest.raises(InputError, match=r"3 volumes.*column mri_volume"):
        single_volume(np.zeros((4, 4, 12, 3)), (), None)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("0 1000 1000\n", 15), ("0,900,900", 15), ("0\n1000\n900", 10), (" 0\t900 ", None)]
    + [(text, None) for text in ("", "nan 1 2", "0 900 -1", "0 900 1e99")],
)
def test_the_b_values_beside_a_file_choose_its_volumes(text, chosen, tmp_path, recwarn):
    volumes = np.random.default_rng(0).random((8, 8, 12, 3)) + np.arange(3) * 10
    nib.save(nib.Nifti1Image(volumes.astype(np.float32), np.diag([20.0, 20, 5, 1])), tmp_path / "in.nii.gz")
    (tmp_path / "in.bval").write_text(text)
    if chosen is None:
        with pytest.raises(InputError, match=r"3 volumes.*column mri_volume"):
            ingest(tmp_path / "in.nii.gz", tmp_path / "dwi.nii.gz")
    else:
        assert abs(ingest(tmp_path / "in.nii.gz", tmp_path / "dwi.nii.gz").get_fdata().mean() - chosen - 0.5) < 0.2
    assert not recwarn.list
