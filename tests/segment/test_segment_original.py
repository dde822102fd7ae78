"""Masks go back to the grid that the scanner acquired, tilt included."""

import numpy as np
import pytest
from nibabel.affines import apply_affine

from workflow_scripts.common.files import write_json
from workflow_scripts.common.volume import Volume, load_volume, save_volume
from workflow_scripts.segment import original
from workflow_scripts.segment.original import to_acquired

FINAL = np.diag([1.0, 1.0, 1.0, 1.0])
SHAPE = (60, 70, 50)
CENTRE = np.array([25.0, 40.0, 22.0])


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
    acquired = to_acquired(
        Volume(ball(SHAPE, FINAL), FINAL), {"acquired_shape": list(shape), "acquired_affine": affine.tolist()}
    )
    assert acquired.data.shape == shape
    np.testing.assert_array_equal(acquired.affine, affine)
    assert dice(acquired.data, ball(shape, affine)) > 0.97


def test_flipped_and_swapped_axes_are_followed():
    affine = np.array([[0, -1.0, 0, 58], [1.0, 0, 0, -2], [0, 0, -2.0, 47], [0, 0, 0, 1]])
    shape = (75, 60, 24)
    acquired = to_acquired(Volume(ball(SHAPE, FINAL), FINAL), {"acquired_shape": shape, "acquired_affine": affine})
    assert dice(acquired.data, ball(shape, affine)) > 0.97


def test_mask_survives_the_way_there_and_back():
    mask = Volume(ball(SHAPE, FINAL), FINAL)
    fine = np.diag([0.5, 0.5, 0.5, 1.0])
    there = to_acquired(mask, {"acquired_shape": [120, 140, 100], "acquired_affine": fine})
    back = to_acquired(there, {"acquired_shape": SHAPE, "acquired_affine": FINAL})
    assert dice(mask.data, back.data) > 0.95
    assert there.data.sum() * there.voxel_ml == pytest.approx(mask.data.sum() * mask.voxel_ml, rel=0.02)


def test_nothing_outside_the_segmented_image_is_lesion(tmp_path):
    save_volume(tmp_path / "masks" / "I01.nii.gz", Volume(np.ones((4, 4, 4), np.uint8), FINAL), np.uint8)
    affine = np.eye(4)
    affine[:3, 3] = -3
    conversion = {"acquired_shape": [10, 10, 10], "acquired_affine": affine.tolist()}
    write_json(tmp_path / "ingest" / "icoAIS" / "I01" / "ncct.json", conversion)
    folders = [word for name in ("masks", "ingest", "out") for word in (f"--{name}", str(tmp_path / name))]
    original.main(["--cohort", "icoAIS", "--cases", "I01", *folders])
    acquired = load_volume(tmp_path / "out" / "I01.nii.gz", np.uint8).data
    assert acquired.sum() == 64
    assert acquired[3:7, 3:7, 3:7].all()
