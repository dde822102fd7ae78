"""The final images, the lesion mask and its side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.lesion_facts import side
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.preprocess import finalise
from workflow_scripts.preprocess.lesion import lesion_on_grid

CLIP = (-100.0, 400.0)


@pytest.fixture
def final(head, stripped):
    mirrored = stripped.with_data(np.where(stripped.data > -100, stripped.data + 7, -100))
    return finalise.finalise(stripped, mirrored, head.brain, CLIP, margin=2)


def test_values_keep_their_world_position_through_the_crop(final, stripped):
    for voxel in np.argwhere(final.brain.data)[::500]:
        index = np.linalg.solve(stripped.affine, final.ncct.affine @ [*voxel, 1])[:3]
        assert np.allclose(index, np.rint(index))
        assert final.ncct.data[tuple(voxel)] == stripped.data[tuple(np.rint(index).astype(int))]


def test_the_crop_holds_the_whole_brain_and_its_margin(final, head):
    assert final.brain.data.sum() == head.brain.sum()
    for axis in range(3):
        planes = np.flatnonzero(final.brain.data.any(axis=tuple({0, 1, 2} - {axis})))
        assert planes[0] == 2
        assert final.brain.data.shape[axis] - 1 - planes[-1] == 2


def test_the_difference_is_mirrored_minus_ncct_and_0_elsewhere(final):
    assert np.allclose(final.difference.data[final.brain.data], 7, atol=1e-4)
    assert (final.difference.data[~final.brain.data] == 0).all()


def test_the_difference_is_0_where_the_mirrored_brain_does_not_reach(head, stripped):
    half = head.brain.copy()
    half[: half.shape[0] // 2] = False
    mirrored = stripped.with_data(np.where(half, stripped.data + 7, np.float32(-100)))
    result = finalise.finalise(stripped, mirrored, head.brain, CLIP, margin=0)
    assert set(np.unique(np.round(result.difference.data, 3))) == {0, 7}


def test_values_are_clipped_and_the_background_is_the_lower_limit(head, stripped):
    wild = stripped.with_data(np.where(head.brain, stripped.data * 50, 3000).astype(np.float32))
    result = finalise.finalise(wild, wild, head.brain, CLIP, margin=1)
    assert result.ncct.data.min() == -100
    assert result.ncct.data.max() == 400
    assert (result.ncct.data[~result.brain.data] == -100).all()


def test_images_on_different_grids_are_refused(head, stripped, tmp_path):
    save_volume(tmp_path / "ncct.nii.gz", stripped)
    save_volume(tmp_path / "mirrored.nii.gz", Volume(stripped.data, stripped.affine + np.diag([0.01, 0, 0, 0])))
    save_volume(tmp_path / "brain.nii.gz", head.ct.with_data(head.brain), np.uint8)
    options = ["--cohort", "c", "--case", "k", "--clip", "-100", "400", "--margin", "1"]
    options += [
        word for name in ("ncct", "mirrored", "brain") for word in (f"--{name}", str(tmp_path / f"{name}.nii.gz"))
    ]
    options += [
        word
        for name in ("ncct", "mirrored", "difference", "brain", "crop")
        for word in (f"--out-{name}", str(tmp_path / "x"))
    ]
    with pytest.raises(InputError, match="grid"):
        finalise.main(options)
    assert not (tmp_path / "x").exists()


@given(st.tuples(*[st.floats(-20, 20)] * 3), st.tuples(*[st.floats(-15, 15)] * 3))
def test_a_mask_drawn_elsewhere_arrives_where_the_affine_says_in_one_step(angles, shift):
    to_grid = np.eye(4)
    to_grid[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    to_grid[:3, 3] = shift
    x, y, z = np.indices((30, 30, 30))
    lesion = Volume(((x - 15) ** 2 + (y - 14) ** 2 + (z - 16) ** 2 <= 36).astype(np.uint8), np.diag([2.0, 2, 2, 1]))
    grid = Volume(
        np.zeros((60, 60, 60), np.float32),
        np.array([[1.5, 0, 0, -20], [0, 1.5, 0, -20], [0, 0, 1.5, -20], [0, 0, 0, 1]]),
    )
    moved = lesion_on_grid(lesion, grid, to_grid)
    centre = grid.affine @ [*np.argwhere(moved.data).mean(axis=0), 1]
    assert np.linalg.norm((centre - to_grid @ [30, 28, 32, 1])[:3]) < 1
    assert set(np.unique(moved.data)) == {0, 1}
    assert moved.data.sum() * moved.voxel_ml == pytest.approx(lesion.data.sum() * lesion.voxel_ml, rel=0.1)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [(0, 0, "none"), (100, 0, "left"), (0, 100, "right"), (95, 5, "left"), (5, 95, "right"), (90, 10, "bilateral")],
)
def test_the_side_is_the_patients_also_when_the_head_is_turned(head, left, right, expected):
    """10 % of the volume on the smaller side make a lesion bilateral."""
    lesion = np.zeros(head.ct.data.shape, np.uint8)
    x = np.moveaxis(np.indices(lesion.shape), 0, -1) @ (head.to_template @ head.ct.affine)[0, :3]
    x += (head.to_template @ head.ct.affine)[0, 3]
    lesion[tuple(np.argwhere(head.brain & (x < -5))[:left].T)] = 1
    lesion[tuple(np.argwhere(head.brain & (x > 5))[:right].T)] = 1
    assert side(head.ct.with_data(lesion), head.to_template) == expected
