"""NCCT: tilted, uneven and foreign scans end upright in HU where the scanner saw them, and tell no names."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from tests.ingest.command import ingest_ncct as ingest
from tests.ingest.dicom_series import Scan, head_hu, inside_head, write_series
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, save_volume

DATA = Path(__file__).parents[2].parent / "shared" / "data"
UNEVEN = (3.0,) * 12 + (6.0,) * 12


def points_of(image: nib.Nifti1Image) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), axis=-1)
    return nib.affines.apply_affine(image.affine, index)


@pytest.mark.parametrize(("tag", "downwards"), [(True, False), (False, True)])
@pytest.mark.parametrize("gaps", [(5.0,) * 23, UNEVEN, (5.0,) * 12 + (10.0,) + (5.0,) * 8])
@pytest.mark.parametrize("tilt", [-25.0, -15.0, 0.0, 12.0, 25.0])
def test_every_voxel_of_an_upright_image_has_the_value_of_its_place(tilt, gaps, tag, downwards, tmp_path):
    scan = Scan(tilt=tilt, gaps=gaps, tag=tag, downwards=downwards)
    image, record = ingest(write_series(scan, tmp_path / "dicom"), tmp_path)
    points = points_of(image)
    inner = inside_head(points, margin_mm=14)
    error = np.abs(image.get_fdata() - head_hu(points))[inner]
    assert inner.sum() > 15_000
    # Pixels and result are whole HU; a shift by one acquired voxel changes the values by 0.6 to 1 HU everywhere.
    assert error.max() <= 1.5
    assert error.mean() < 0.5
    assert record["tilt_degrees"] == pytest.approx(tilt, abs=0.01)


@pytest.mark.parametrize("tilt", [-18.0, 18.0])
def test_a_head_that_lies_on_its_side_in_the_tilted_gantry_is_straightened_too(tilt, tmp_path):
    image, record = ingest(write_series(Scan(tilt=tilt, sideways=True, tag=False), tmp_path / "dicom"), tmp_path)
    points = points_of(image)
    assert np.abs(image.get_fdata() - head_hu(points))[inside_head(points, margin_mm=14)].max() <= 1.5
    assert abs(record["tilt_degrees"]) == pytest.approx(18.0, abs=0.01)


@pytest.mark.parametrize("tilt", [-15.0, 0.0, 15.0])
def test_axes_run_right_anterior_superior_and_stay_orthogonal(tilt, tmp_path):
    image, _ = ingest(write_series(Scan(tilt=tilt), tmp_path / "dicom"), tmp_path)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-4)
    assert image.get_data_dtype() == np.int16


def test_no_acquired_pixel_is_pushed_out_of_view(tmp_path):
    scan = Scan(tilt=20.0)
    image, _ = ingest(write_series(scan, tmp_path / "dicom"), tmp_path)
    corners = np.concatenate([scan.points(index)[::79, ::63].reshape(-1, 3) for index in (0, 23)])
    index = nib.affines.apply_affine(np.linalg.inv(image.affine), corners)
    assert (index > -0.6).all()
    assert (index < np.array(image.shape) - 0.4).all()


@pytest.mark.parametrize("tilt", [-15.0, 0.0, 15.0])
def test_the_acquired_geometry_is_that_of_the_headers(tilt, tmp_path):
    scan = Scan(tilt=tilt)
    _, record = ingest(write_series(scan, tmp_path / "dicom"), tmp_path)
    assert record["acquired_shape"] == [64, 80, 24]
    np.testing.assert_allclose(record["acquired_affine"], scan.affine, atol=1e-5)
    assert record["acquired_origins"] is None


def test_unequal_gaps_keep_the_place_of_every_slice(tmp_path):
    scan = Scan(tilt=-10.0, gaps=UNEVEN)
    _, record = ingest(write_series(scan, tmp_path / "dicom"), tmp_path)
    assert not record["equal_gaps"]
    np.testing.assert_allclose(record["acquired_origins"], scan.origins * [-1, -1, 1], atol=1e-5)


def test_the_outputs_of_dcm2niix_are_all_recorded_and_the_corrected_one_is_chosen(tmp_path):
    _, record = ingest(write_series(Scan(tilt=-15.0, gaps=UNEVEN), tmp_path / "dicom"), tmp_path)
    decisions = {one["output"]: one["decision"] for one in record["outputs"]}
    assert set(decisions) == {"plain", "Tilt_Eq"}
    assert decisions["Tilt_Eq"].startswith("chosen")
    assert record["placement"]["method"] == "dcm2niix"


def test_a_wrong_origin_of_dcm2niix_is_found_and_corrected(tmp_path):
    _, record = ingest(write_series(Scan(tilt=15.0), tmp_path / "dicom"), tmp_path)
    assert record["placement"]["method"] == "dcm2niix, origin corrected"
    assert record["placement"]["difference_hu"] < 0.5


def test_padding_below_the_floor_is_lifted_to_it(tmp_path):
    def padded(points: np.ndarray) -> np.ndarray:
        return np.where(np.abs(points[..., 0]) > 55, -3024, head_hu(points))

    scan = Scan(values=padded, fields={"PixelRepresentation": 1})
    folder = write_series(scan, tmp_path / "dicom")
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        stored = np.rint(padded(scan.points(image.InstanceNumber - 1))).astype("<i2")
        image.RescaleIntercept, image.PixelData = 0, stored.tobytes()
        image.save_as(path)
    image, _ = ingest(folder, tmp_path)
    assert image.get_fdata().min() == -1024


def test_the_digest_follows_the_pixels(tmp_path):
    first = ingest(write_series(Scan(), tmp_path / "a"), tmp_path / "1")[1]
    again = ingest(write_series(Scan(number=9), tmp_path / "b"), tmp_path / "2")[1]
    other = ingest(write_series(Scan(values=lambda p: head_hu(p) + 1), tmp_path / "c"), tmp_path / "3")[1]
    assert first["pixel_digest"] == again["pixel_digest"] != other["pixel_digest"]


def test_a_second_run_writes_the_same_bytes(tmp_path):
    folder = write_series(Scan(tilt=15.0), tmp_path / "dicom")
    ingest(folder, tmp_path / "1")
    ingest(folder, tmp_path / "2")
    for name in ("ncct.nii.gz", "ncct.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def nifti_head(path: Path, affine: np.ndarray, shape: tuple[int, int, int], stripped: bool = False) -> Path:
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points = nib.affines.apply_affine(affine, index)
    background = 0 if stripped else -1000
    save_volume(path, Volume(np.where(inside_head(points), head_hu(points), background).astype(np.float32), affine))
    return path


def test_a_nifti_keeps_its_values_and_gets_canonical_axes(tmp_path):
    affine = np.diag([-2.0, -2.5, 5.0, 1.0])
    affine[:3, 3] = [66, 95, 2]
    path = nifti_head(tmp_path / "ncct.nii.gz", affine, (64, 80, 24))
    image, record = ingest(path, tmp_path / "out")
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert np.array_equal(np.sort(image.get_fdata().ravel()), np.sort(nib.load(path).get_fdata().ravel()))
    np.testing.assert_allclose(record["acquired_affine"], affine, atol=1e-5)


def test_a_nifti_with_a_sheared_affine_is_straightened(tmp_path):
    affine = Scan(tilt=15.0).affine
    image, record = ingest(nifti_head(tmp_path / "ncct.nii.gz", affine, (64, 80, 24)), tmp_path / "out")
    points = points_of(image)
    error = np.abs(image.get_fdata() - head_hu(points))[inside_head(points, margin_mm=14)]
    assert error.max() < 0.1
    assert record["placement"]["method"] == "shifted here"
    np.testing.assert_allclose(record["acquired_affine"], affine, atol=1e-5)


def test_a_stripped_image_needs_no_air_but_has_to_be_declared(tmp_path):
    affine = np.array([[2.0, 0, 0, -62], [0, 2.5, 0, -104], [0, 0, 5, 2], [0, 0, 0, 1]])
    path = nifti_head(tmp_path / "ncct.nii.gz", affine, (64, 80, 24), stripped=True)
    ingest(path, tmp_path / "out", "--stripped")
    with pytest.raises(InputError, match=r"no air.*column stripped"):
        ingest(path, tmp_path / "other")


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data, with the real scans, is absent")
def test_a_real_tilted_series_agrees_with_its_headers(tmp_path):
    folder = DATA / "ct_phantom_tilt_philips"
    image, record = ingest(folder, tmp_path)
    assert record["tilt_degrees"] == pytest.approx(-18.5, abs=0.01)
    slices = [pydicom.dcmread(path) for path in folder.iterdir() if path.name != "LICENSE"]
    one = sorted(slices, key=lambda header: header.ImagePositionPatient[2])[30]
    hu = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
    position, orientation = np.array(one.ImagePositionPatient, float), np.array(one.ImageOrientationPatient, float)
    rows, columns = np.mgrid[100:400:7, 100:400:7]
    points = position + (
        columns[..., None] * orientation[:3] * float(one.PixelSpacing[1])
        + rows[..., None] * orientation[3:] * float(one.PixelSpacing[0])
    )
    index = nib.affines.apply_affine(np.linalg.inv(image.affine), points * [-1, -1, 1])
    data = image.get_fdata()
    low = np.floor(index[..., 1]).astype(int)
    weight = index[..., 1] - low
    column, height = np.rint(index[..., 0]).astype(int), np.rint(index[..., 2]).astype(int)
    found = data[column, low, height] * (1 - weight) + data[column, low + 1, height] * weight
    np.testing.assert_allclose(index[..., [0, 2]], np.rint(index[..., [0, 2]]), atol=0.01)
    assert np.corrcoef(found.ravel(), hu[100:400:7, 100:400:7].ravel())[0, 1] > 0.99
