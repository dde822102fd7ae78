"""Masks go back to the grid that the scanner acquired, tilt included."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
from nibabel.affines import apply_affine

from workflow_scripts.common.acquired_grid import to_acquired
from workflow_scripts.common.acquisition import describe, describe_slices
from workflow_scripts.common.dicom.series import Limits
from workflow_scripts.common.files import read_json, write_json
from workflow_scripts.common.stack import Stack, upright_grid
from workflow_scripts.common.volume import Volume, load_volume, save_volume, to_ras
from workflow_scripts.ingest.ingest_ncct import from_dicom
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.head import write_scans
from workflow_scripts.phantom.scanner.scan import build_patient, scan
from workflow_scripts.segment import ensemble

from .acquired_series import SHAPE as SLICES
from .acquired_series import Series, rough_lesion

FINAL = np.diag([1.0, 1.0, 1.0, 1.0])
SHAPE = (60, 70, 50)
CENTRE = np.array([25.0, 40.0, 22.0])


def conversion(shape, affine, origins=None) -> dict:
    return {"acquired_shape": list(shape), "acquired_affine": np.asarray(affine).tolist(), "acquired_origins": origins}


def ball(shape, affine, radius: float = 12) -> np.ndarray:
    points = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return (np.linalg.norm(points - CENTRE, axis=-1) < radius).astype(np.uint8)


def tilted(degrees: float) -> np.ndarray:
    affine = np.diag([0.5, 0.5, 5.0, 1.0])
    affine[1, 2] = 5.0 * np.tan(np.radians(degrees))
    affine[:3, 3] = [-3, -4, 2]
    return affine


def dice(first, second) -> float:
    return 2 * np.logical_and(first, second).sum() / (first.sum() + second.sum())


@pytest.mark.parametrize("degrees", [0, 15, -20])
def test_mask_lands_where_it_was_on_a_tilted_grid(degrees):
    shape = (128, 150, 10)
    affine = tilted(degrees)
    acquired = to_acquired(Volume(ball(SHAPE, FINAL), FINAL), conversion(shape, affine))
    assert acquired.data.shape == shape
    np.testing.assert_array_equal(acquired.affine, affine)
    assert dice(acquired.data, ball(shape, affine)) > 0.97


def test_flipped_and_swapped_axes_are_followed():
    affine = np.array([[0, -1.0, 0, 58], [1.0, 0, 0, -2], [0, 0, -2.0, 47], [0, 0, 0, 1]])
    shape = (75, 60, 24)
    acquired = to_acquired(Volume(ball(SHAPE, FINAL), FINAL), conversion(shape, affine))
    assert dice(acquired.data, ball(shape, affine)) > 0.97


def test_mask_survives_the_way_there_and_back():
    mask = Volume(ball(SHAPE, FINAL), FINAL)
    fine = np.diag([0.5, 0.5, 0.5, 1.0])
    there = to_acquired(mask, conversion((120, 140, 100), fine))
    back = to_acquired(there, conversion(SHAPE, FINAL))
    assert dice(mask.data, back.data) > 0.95
    assert there.data.sum() * there.voxel_ml == pytest.approx(mask.data.sum() * mask.voxel_ml, rel=0.02)


def test_slices_midway_between_two_voxels_take_neither_the_smaller_nor_the_larger_mask():
    mask, between = Volume(ball(SHAPE, FINAL), FINAL), np.diag([1.0, 1.0, 2.0, 1.0])
    between[2, 3] = 0.5
    acquired = to_acquired(mask, conversion((60, 70, 24), between))
    halves = mask.data.astype(bool)[..., :48].reshape(60, 70, 24, 2)
    assert halves.all(-1).sum() < acquired.data.sum() < halves.any(-1).sum()
    assert acquired.data.sum() * acquired.voxel_ml == pytest.approx(mask.data.sum() * mask.voxel_ml, rel=0.01)


def test_slices_with_unequal_gaps_are_sampled_where_each_was_acquired():
    affine = np.diag([0.5, 0.5, 4.5, 1.0])
    heights = np.array([2.0, 5, 8, 11, 14, 17, 20, 26, 32, 38, 44, 50])
    origins = [[0.0, 0.0, float(height)] for height in heights]
    fine = np.diag([0.5, 0.5, 0.5, 1.0])
    acquired = to_acquired(Volume(ball((120, 140, 100), fine), fine), conversion((110, 150, 12), affine, origins))
    for index, height in enumerate(heights):
        place = np.diag([0.5, 0.5, 1.0, 1.0])
        place[2, 3] = height
        truth = ball((110, 150, 1), place)[..., 0]
        assert acquired.data[..., index].sum() == pytest.approx(truth.sum(), rel=0.03, abs=20)
        assert not truth.any() or dice(acquired.data[..., index], truth) > 0.97


GAPS = {
    "equal": (4.0,) * 12,
    "thin below": (2.0,) * 12 + (6.0,) * 4,
    "one missing": (4.0,) * 5 + (8.0,) + (4.0,) * 5,
    "overlapping": (1.0, 3.0) * 12,
}


def slices(gaps, tilt_degrees: float, downwards: bool) -> Stack:
    """Slices of 0.5 mm pixels, 48 mm in height around `CENTRE`, in a gantry that is tilted."""
    tilt = np.radians(tilt_degrees)
    down = np.array([0, np.cos(tilt), np.sin(tilt)])
    heights = np.concatenate([[0.0], np.cumsum(gaps)])
    origins = [0, 4, -2.1] - 10 * down + heights[:, None] * [0, 0, 1.0]
    step = -0.5 if downwards else 0.5
    return Stack(110, 150, np.array([step, 0, 0]), 0.5 * down, origins - [np.sign(step) * 27 - 27, 0, 0])


@pytest.mark.parametrize("downwards", [False, True])
@pytest.mark.parametrize("tilt_degrees", [0, 17, -17])
@pytest.mark.parametrize("gaps", GAPS.values(), ids=GAPS)
def test_millilitres_on_the_acquired_slices_are_those_of_the_lesion(gaps, tilt_degrees, downwards):
    stack, fine = slices(gaps, tilt_degrees, downwards), np.diag([0.5, 0.5, 0.5, 1.0])
    acquired = to_acquired(Volume(ball((120, 140, 100), fine), fine), describe(stack))
    described = describe_slices(stack, acquired.data)
    assert described["lesion_ml"] == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.08)  # a header is 25 % off
    if described["equal_gaps"]:
        assert described["lesion_ml"] == pytest.approx(acquired.data.sum() * acquired.voxel_ml, rel=1e-3)
    assert (described["header_error_mm"] < 0.01) == described["equal_gaps"]


def test_a_header_with_one_gap_cannot_say_where_slices_with_several_lie(tmp_path):
    stack, fine = slices(GAPS["thin below"], 17, False), np.diag([0.5, 0.5, 0.5, 1.0])
    write_json(tmp_path / "ncct.json", describe(stack))
    shape, affine = upright_grid(stack)
    save_volume(tmp_path / "ncct.nii.gz", to_ras(Volume(np.zeros(shape, np.int16), affine)))
    for name in ("I01.nii.gz", "I01.probability.nii.gz"):
        save_volume(tmp_path / "seed-0" / name, Volume(ball((120, 140, 100), fine), fine))
    files = {"ncct": "ncct.nii.gz", "record": "ncct.json", "out-mask": "mask.nii.gz"}
    files |= {"masks": "seed-0/I01.nii.gz", "probabilities": "seed-0/I01.probability.nii.gz"}
    files |= {"out-original": "I01.nii.gz", "out-slices": "I01.json", "out-upright": "upright.nii.gz"}
    files |= {"out-agreement": "agreement.nii.gz", "out-probability": "probability.nii.gz"}
    named = [word for key, name in files.items() for word in (f"--{key}", str(tmp_path / name))]
    ensemble.main(["--cohort", "A", "--case", "I01", "--vote", "majority", *named])
    header, said = nib.load(tmp_path / "I01.nii.gz").header, read_json(tmp_path / "I01.json")
    assert b"JSON" in header["descrip"].item()
    assert said["header_error_mm"] > 10
    np.testing.assert_allclose(said["slice_origins"], stack.origins)
    upright = load_volume(tmp_path / "upright.nii.gz")
    for millilitres in (said["lesion_ml"], np.count_nonzero(upright.data) * upright.voxel_ml):
        assert millilitres == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.05)
    middle = apply_affine(upright.affine, np.argwhere(upright.data > 0)).mean(axis=0)
    np.testing.assert_allclose(middle, CENTRE, atol=1)


@pytest.mark.parametrize("tilt_degrees", [15, -20])
def test_round_trips_through_a_real_size_series_keep_the_mask(tilt_degrees):
    """More lesions, and masks that were made at 1 mm, in tests/benchmarks/bench_original.py."""
    series = Series(tilt_degrees)
    for millilitres in (3.2, 12):
        drawn = rough_lesion(Volume(np.zeros(SLICES, np.uint8), series.affine), millilitres, seed=1)
        final = series.forward(drawn)
        there = series.back(final)
        assert dice(series.forward(there).data, final.data) >= 0.97
        assert int(there.data.sum()) == pytest.approx(int(drawn.data.sum()), rel=0.03)
        assert dice(there.data, drawn.data) >= 0.97


@pytest.mark.parametrize("case", ["A01", "A02"])
def test_a_mask_overlays_the_original_dicom_slices_at_the_positions_that_their_headers_state(case, tmp_path):
    """Series tilted by +15 and −12 degrees; each pixel's position by the formula of DICOM PS3.3 C.7.6.2.1.1."""
    plan = plan_case("AISD", case, 5)
    scans = scan(build_patient(build_anatomy(2), plan), plan, 4.0, 5.0)
    write_scans(scans, plan, tmp_path)
    image, record = from_dicom(tmp_path / "ncct", -1024, Limits(10, 0, 80))
    centre = image.affine @ [*(np.array(image.data.shape) / 2), 1]
    grid = np.eye(4)
    grid[:3, 3] = centre[:3] - 40
    fine = np.linalg.norm(apply_affine(grid, np.moveaxis(np.indices((80, 80, 80)), 0, -1)) - centre[:3], axis=-1) < 30
    acquired = to_acquired(Volume(fine.astype(np.uint8), grid), record)
    slices = [pydicom.dcmread(path) for path in (tmp_path / "ncct").glob("*.dcm")]
    slices = [one for one in slices if "LOCALIZER" not in one.ImageType]
    slices.sort(key=lambda one: one.ImagePositionPatient[2])
    found, wanted = [], []
    for index, one in enumerate(slices):
        column, row = np.meshgrid(np.arange(one.Columns), np.arange(one.Rows))
        right, down = np.reshape(np.array(one.ImageOrientationPatient, float), (2, 3))
        steps = right * one.PixelSpacing[1], down * one.PixelSpacing[0]
        lps = np.array(one.ImagePositionPatient, float) + column[..., None] * steps[0] + row[..., None] * steps[1]
        ras = lps * [-1, -1, 1]
        pixels = np.stack([column, row, np.full_like(row, index)], axis=-1)
        assert np.allclose(ras, apply_affine(acquired.affine, pixels), atol=0.01)
        found.append(acquired.data[..., index].T)
        wanted.append(np.linalg.norm(ras - centre[:3], axis=-1) < 30)
    assert dice(np.array(found), np.array(wanted)) > 0.97


def test_nothing_outside_the_segmented_image_is_lesion():
    affine = np.eye(4)
    affine[:3, 3] = -3
    acquired = to_acquired(Volume(np.ones((4, 4, 4), np.uint8), FINAL), conversion((10, 10, 10), affine)).data
    assert acquired.sum() == 64
    assert acquired[3:7, 3:7, 3:7].all()
