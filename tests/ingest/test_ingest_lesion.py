"""Lesion masks follow their scan: onto the upright NCCT by nearest voxel, or unchanged beside their MRI."""

import subprocess
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tests.ingest.command import CASE, ingest_ncct
from tests.ingest.dicom_series import LPS, Scan, head_hu, write_series
from tests.ingest.tilt import GAPS, lesion
from workflow_scripts.common.errors import InputError
from workflow_scripts.ingest.ingest_lesion import main as ingest_lesion


def save(path: Path, data: np.ndarray, affine: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(data.astype(np.float32), affine), path)
    return path


def ingest(scan: Scan, folder: Path) -> Path:
    ingest_ncct(write_series(scan, folder / "dicom"), folder)
    return folder / "ncct.nii.gz"


def follow(mask: Path, ncct: Path, record: bool = True, *options: str) -> nib.Nifti1Image:
    target = ncct.parent / "lesion.nii.gz"
    extra = ["--record", str(ncct.parent / "ncct.json")] if record else []
    ingest_lesion([*CASE, "--lesion", str(mask), "--reference", str(ncct), *extra, *options, "--out", str(target)])
    return nib.load(target)


def dice_to_truth(result: nib.Nifti1Image, ncct: Path) -> float:
    image = nib.load(ncct)
    assert result.shape == image.shape
    np.testing.assert_allclose(result.affine, image.affine, atol=1e-3)
    index = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), axis=-1)
    truth = lesion(nib.affines.apply_affine(image.affine, index))
    data = result.get_fdata() > 0
    return 2 * (data & truth).sum() / (data.sum() + truth.sum())


@pytest.mark.parametrize("tilt", [-15.0, 0.0, 15.0])
@pytest.mark.parametrize("flip", [False, True])
def test_a_mask_whose_file_format_knows_no_shear_stays_on_its_slices(tilt, flip, tmp_path):
    scan = Scan(tilt=tilt)
    ncct = ingest(scan, tmp_path)
    array = scan.drawn(lesion).astype(np.uint8)
    along_row, along_column = scan.directions
    normal, first = np.cross(along_row, along_column), 0
    if flip:
        array, normal, first = array[:, :, ::-1], -normal, -1
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing((2.0, 2.5, 5.0))
    image.SetOrigin(scan.origins[first].tolist())
    image.SetDirection(np.stack([along_row, along_column, normal], axis=1).ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / "mask.nii.gz"))
    assert dice_to_truth(follow(tmp_path / "mask.nii.gz", ncct), ncct) >= 0.95


def test_flipped_arrays_with_the_same_world_give_the_same_mask(tmp_path):
    scan = Scan(tilt=15.0)
    ncct = ingest(scan, tmp_path)
    plain = nib.Nifti1Image(scan.drawn(lesion).astype(np.float32), scan.affine)
    turned = plain.as_reoriented([[1, -1], [0, 1], [2, -1]])
    results = []
    for name, image in (("plain", plain), ("turned", turned)):
        nib.save(image, tmp_path / f"{name}.nii.gz")
        results.append(follow(tmp_path / f"{name}.nii.gz", ncct).get_fdata())
    assert np.array_equal(*results)


def test_a_mask_on_the_upright_grid_is_taken_as_it_is(tmp_path):
    ncct = ingest(Scan(tilt=15.0), tmp_path)
    image = nib.load(ncct)
    index = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), axis=-1)
    mask = lesion(nib.affines.apply_affine(image.affine, index))
    assert np.array_equal(follow(save(tmp_path / "mask.nii.gz", 255 * mask, image.affine), ncct).get_fdata(), mask)


def test_a_mask_on_its_mri_stays_on_the_mris_grid(tmp_path):
    affine = np.array([[-1.8, 0.2, 0, 60], [0.2, 1.8, 0.3, -70], [0, -0.3, 4, -5], [0, 0, 0, 1]])
    data = np.zeros((60, 70, 20))
    data[20:30, 30:45, 8:12] = 1
    mri = save(tmp_path / "dwi.nii.gz", np.random.default_rng(1).random(data.shape), affine)
    canonical = nib.as_closest_canonical(nib.load(mri))
    nib.save(canonical, tmp_path / "canonical.nii.gz")
    result = follow(save(tmp_path / "mask.nii.gz", data, affine), tmp_path / "canonical.nii.gz", record=False)
    np.testing.assert_allclose(result.affine, canonical.affine, atol=1e-4)
    assert result.get_fdata().sum() == data.sum()


def test_a_mask_beside_another_grid_than_its_mri_is_refused(tmp_path):
    mri = save(tmp_path / "dwi.nii.gz", np.ones((30, 30, 12)), np.diag([2.0, 2, 4, 1]))
    mask = np.zeros((30, 30, 12))
    mask[10:20, 10:20, 4:8] = 1
    with pytest.raises(InputError, match=r"not on the grid of the MRI.*lesion_space"):
        follow(save(tmp_path / "mask.nii.gz", mask, np.diag([2.0, 2, 4.1, 1])), mri, record=False)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scan, Path]:
    scan = Scan(tilt=15.0)
    return scan, ingest(scan, tmp_path_factory.mktemp("ingested"))


def test_an_empty_mask_is_a_statement(ingested, tmp_path):
    scan, ncct = ingested
    result = follow(save(tmp_path / "mask.nii.gz", np.zeros((64, 80, 24)), scan.affine), ncct)
    assert not result.get_fdata().any()
    (ncct.parent / "lesion.nii.gz").unlink()


def test_the_world_of_the_test_scans_is_that_of_dicom():
    scan = Scan(tilt=20.0)
    pixel = np.array([5, 7, 3, 1])
    np.testing.assert_allclose((scan.affine @ pixel)[:3], scan.points(3)[7, 5], atol=1e-9)
    assert LPS[0, 0] == -1


def test_rounding_of_floating_point_is_no_label(ingested, tmp_path):
    scan, ncct = ingested
    drawn = scan.drawn(lesion).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 1e-7, drawn.shape).astype(np.float32)
    results = [
        follow(save(tmp_path / f"{index}.nii.gz", data, scan.affine), ncct).get_fdata()
        for index, data in enumerate((drawn, drawn * np.float32(0.99999994), drawn + noise))
    ]
    assert results[0].any()
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
    (ncct.parent / "lesion.nii.gz").unlink()


def test_the_labels_that_are_lesion_are_named(ingested, tmp_path):
    scan, ncct = ingested
    drawn = scan.drawn(lesion).astype(np.float32)
    halves = np.where(np.arange(drawn.shape[2]) < 14, drawn, 3 * drawn)
    mask = save(tmp_path / "mask.nii.gz", halves, scan.affine)
    everything = follow(mask, ncct, True, "--labels", "1", "3").get_fdata()
    part = follow(mask, ncct, True, "--labels", "3").get_fdata()
    assert np.array_equal(everything, follow(save(tmp_path / "one.nii.gz", drawn, scan.affine), ncct).get_fdata())
    assert 0 < part.sum() < everything.sum()
    with pytest.raises(InputError, match=r"2 values beside 0 \(1, 3\).*column lesion_labels"):
        follow(mask, ncct)
    with pytest.raises(InputError, match=r"label 1, 3, and none of those that are lesion \(2\)"):
        follow(mask, ncct, True, "--labels", "2")
    (ncct.parent / "lesion.nii.gz").unlink()


FEET_FIRST = np.diag([-1.0, 1, -1])


@pytest.mark.parametrize("tilt", [-17.0, 17.0])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"downwards": True},
        {"frame": FEET_FIRST},
        {"tag": False},
        {"gaps": GAPS["unequal"]},
        {"gaps": GAPS["unequal"], "downwards": True},
        {"fields": {"PixelPaddingValue": 24}},
    ],
    ids=["plain", "numbered downwards", "feet first", "no tag", "unequal", "unequal, numbered downwards", "padding"],
)
def test_a_mask_drawn_on_any_image_that_dcm2niix_makes_is_taken(tilt, how, tmp_path):
    """The lesion is brighter than the head; where dcm2niix puts it is not asked."""
    scan = Scan(tilt=tilt, values=lambda points: np.where(lesion(points), 300, head_hu(points)), **how)
    ncct = ingest(scan, tmp_path)
    (tmp_path / "nii").mkdir()
    command = [str(dcm2niix.bin), "-f", "scan", "-l", "n", "-o", str(tmp_path / "nii"), str(tmp_path / "dicom")]
    subprocess.run(command, capture_output=True, check=True)
    made = sorted((tmp_path / "nii").glob("*.nii*"))
    assert len(made) == 2 and any("Tilt" in path.name for path in made)
    for path in made:
        drawn_on = nib.load(path)
        mask = save(tmp_path / "mask.nii.gz", np.asarray(drawn_on.dataobj) > 170, drawn_on.affine)
        assert dice_to_truth(follow(mask, ncct), ncct) >= 0.93, path.name


def test_a_mask_of_one_value_is_a_mask_whatever_its_scale(ingested, tmp_path):
    scan, ncct = ingested
    drawn = scan.drawn(lesion)
    results = [
        follow(save(tmp_path / "mask.nii.gz", drawn * scale, scan.affine), ncct).get_fdata()
        for scale in (1, 255, 1 / 255, 0.99999994)
    ]
    assert all(np.array_equal(result, results[0]) for result in results) and results[0].any()
    (ncct.parent / "lesion.nii.gz").unlink()


def test_a_mask_that_fits_the_other_form_of_the_header_is_told_so(tmp_path):
    scan = Scan()
    moved = np.array(scan.affine)
    moved[:3, 3] += [12, 0, 0]
    image = nib.Nifti1Image(scan.drawn(head_hu).astype(np.float32), scan.affine)
    image.set_sform(scan.affine, 1)
    image.set_qform(moved, 1)
    nib.save(image, tmp_path / "scan.nii.gz")
    ingest_ncct(tmp_path / "scan.nii.gz", tmp_path)
    mask = save(tmp_path / "mask.nii.gz", scan.drawn(lesion), moved)
    with pytest.raises(InputError, match="fits the qform of the NCCT's header"):
        follow(mask, tmp_path / "ncct.nii.gz")
