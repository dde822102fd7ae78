"""Resampling moves no anatomy: edges, spacing and world positions are kept."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, load_volume, save_volume
from workflow_scripts.preprocess.resample_ncct import main
from workflow_scripts.preprocess.voxels.grids import isotropic_grid, resample_isotropic

SPACINGS = st.tuples(*[st.floats(0.4, 6.0)] * 3)
SHAPES = st.tuples(*[st.integers(2, 12)] * 3)
ANGLES = st.tuples(*[st.floats(-30, 30)] * 3)
WANTED = st.sampled_from([1.0, 2.0, 3.0, 6.0])


def posed(shape, spacing, angles, data=None) -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = [-30, 20, 10]
    return Volume(np.zeros(shape, np.float32) if data is None else data, affine)


def corners(shape, affine) -> np.ndarray:
    """World positions of the two outer corners on the diagonal of the array."""
    return np.stack([(affine @ [*corner, 1])[:3] for corner in (np.full(3, -0.5), np.array(shape) - 0.5)])


@given(SHAPES, SPACINGS, ANGLES, WANTED)
def test_the_grid_starts_at_the_images_edge_covers_it_and_wastes_less_than_a_voxel(shape, spacing, angles, wanted):
    volume = posed(shape, spacing, angles)
    new_shape, affine = isotropic_grid(volume, wanted)
    old, new = corners(shape, volume.affine), corners(new_shape, affine)
    assert np.allclose(old[0], new[0], atol=1e-9)
    surplus = np.linalg.solve(affine[:3, :3], new[1] - old[1])
    assert (surplus > -2e-3).all()
    assert (surplus < 1).all()


@given(SHAPES, SPACINGS, ANGLES, WANTED)
def test_the_written_file_says_exactly_the_wanted_spacing(tmp_path_factory, shape, spacing, angles, wanted):
    path = tmp_path_factory.mktemp("grid") / "image.nii.gz"
    save_volume(path, resample_isotropic(posed(shape, spacing, angles), wanted, antialias=True, background=0))
    assert [float(zoom) for zoom in nib.load(path).header.get_zooms()] == [wanted] * 3


@given(st.tuples(*[st.floats(0.6, 4.0)] * 3), ANGLES, WANTED, st.booleans())
def test_a_linear_function_of_world_position_stays_that_function(spacing, angles, wanted, antialias):
    shape = tuple(int(np.ceil(60 / step)) for step in spacing)
    volume = posed(shape, spacing, angles)
    ramp = np.array([1.0, -2.0, 0.5])

    def values(affine, indices):
        return (indices @ affine[:3, :3].T + affine[:3, 3]) @ ramp

    indices = np.moveaxis(np.indices(shape), 0, -1)
    data = values(volume.affine, indices).astype(np.float32)
    resampled = resample_isotropic(volume.with_data(data), wanted, antialias=antialias, background=0)
    inner = tuple(slice(3, size - 3) for size in resampled.data.shape)
    expected = values(resampled.affine, np.moveaxis(np.indices(resampled.data.shape), 0, -1))
    assert np.allclose(resampled.data[inner], expected[inner], atol=2e-2)


def test_the_outer_half_of_an_edge_voxel_has_its_value():
    volume = Volume(np.full((4, 4, 4), 30, np.float32), np.diag([3.0, 3.0, 5.0, 1.0]))
    assert (resample_isotropic(volume, 1.0, antialias=True, background=-1024).data == 30).all()


def test_smoothing_touches_only_axes_that_lose_resolution():
    data = np.zeros((20, 20, 6), np.float32)
    data[10, 10, 3] = 1
    volume = Volume(data, np.diag([1.0, 1.0, 4.0, 1.0]))
    plain = resample_isotropic(volume, 2.0, antialias=False, background=0).data
    smooth = resample_isotropic(volume, 2.0, antialias=True, background=0).data
    assert (smooth > 0).any(axis=(1, 2)).sum() > (plain > 0).any(axis=(1, 2)).sum()
    assert np.array_equal((smooth > 0).any(axis=(0, 1)), (plain > 0).any(axis=(0, 1)))


def test_unmeasured_voxels_dilute_no_value():
    data = np.zeros((24, 24, 24), np.float32)
    data[6:17, 6:17, 6:17] = 30
    volume = Volume(data, np.eye(4))
    resampled = resample_isotropic(volume, 3.0, antialias=True, background=0, measured=data > 0)
    assert set(np.unique(np.round(resampled.data, 3))) == {0, 30}


def test_a_sheared_grid_is_refused():
    affine = np.eye(4)
    affine[1, 2] = 0.3
    with pytest.raises(InputError, match=r"right angles.*DICOM"):
        isotropic_grid(Volume(np.zeros((4, 4, 4)), affine), 1.0)


def test_the_command_writes_the_same_bytes_twice(tmp_path):
    rng = np.random.default_rng(3)
    source = tmp_path / "ncct.nii.gz"
    save_volume(source, posed((12, 14, 8), (1.5, 1.5, 4), (0, 0, 5), rng.normal(30, 9, (12, 14, 8)).astype(np.float32)))
    written = []
    for name in ("first.nii.gz", "second.nii.gz"):
        options = "--cohort c --case k --spacing 2 --antialias --background -1024".split()
        main([*options, "--ncct", str(source), "--out", str(tmp_path / name)])
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    assert load_volume(tmp_path / "first.nii.gz").data.shape == (9, 11, 16)
