"""Volumes, transforms and files: geometry survives, outputs are whole or absent, bytes repeat."""

import numpy as np
import pytest

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_tsv, replacing, write_json, write_tsv
from workflow_scripts.common.transform import read_affine, write_affine
from workflow_scripts.common.volume import (
    Volume,
    load_volume,
    require_same_grid,
    resample,
    same_grid,
    save_volume,
    to_ras,
)

OBLIQUE = np.array([[-1.8, 0.3, 0.1, 90], [0.2, -1.9, 0.6, 80], [0.1, 0.5, 4.9, -60], [0, 0, 0, 1.0]])


def ramp(affine: np.ndarray, shape: tuple[int, int, int] = (20, 22, 12)) -> Volume:
    """An image whose value at a point is a linear function of its world coordinates."""
    index = np.stack([*np.meshgrid(*map(np.arange, shape), indexing="ij"), np.ones(shape)])
    world = np.tensordot(affine, index, axes=1)
    return Volume((world[0] + 2 * world[1] - world[2]).astype(np.float32), affine)


def test_a_saved_volume_comes_back_with_its_affine_and_the_same_bytes(tmp_path):
    volume = ramp(OBLIQUE)
    for name in ("a.nii.gz", "b.nii.gz"):
        save_volume(tmp_path / name, volume)
    loaded = load_volume(tmp_path / "a.nii.gz")
    assert same_grid(loaded, volume)
    np.testing.assert_allclose(loaded.data, volume.data)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_sheared_affine_survives_the_file(tmp_path):
    tilted = np.diag([1.0, 1.0, 5.0, 1.0])
    tilted[1, 2] = 5 * np.tan(np.deg2rad(18))
    save_volume(tmp_path / "a.nii.gz", ramp(tilted))
    np.testing.assert_allclose(load_volume(tmp_path / "a.nii.gz").affine, tilted, atol=1e-5)


def test_reorienting_keeps_every_world_position():
    volume = ramp(OBLIQUE)
    ras = to_ras(volume)
    assert (np.argmax(np.abs(ras.affine[:3, :3]), axis=0) == [0, 1, 2]).all()
    assert (np.diag(ras.affine)[:3] > 0).all()
    np.testing.assert_allclose(ras.data, ramp(ras.affine, ras.data.shape).data, atol=1e-3)


def test_resampling_follows_world_coordinates_and_a_transform():
    source = ramp(OBLIQUE, (40, 42, 30))
    grid = np.diag([2.0, 2.0, 3.0, 1.0])
    grid[:3, 3] = source.affine[:3, :3] @ [15, 15, 12] + source.affine[:3, 3]
    shift = np.eye(4)
    shift[:3, 3] = [3, -2, 1]
    sampled = resample(source, (5, 5, 4), grid, order=1, background=0, to_source=shift)
    np.testing.assert_allclose(sampled.data, ramp(shift @ grid, (5, 5, 4)).data, atol=1e-3)


def test_a_transform_is_stored_in_lps_and_says_its_direction(tmp_path):
    matrix = OBLIQUE.copy()
    write_affine(tmp_path / "t.txt", matrix, "mri", "ncct")
    np.testing.assert_allclose(read_affine(tmp_path / "t.txt"), matrix)
    assert "points of mri to points of ncct" in (tmp_path / "t.txt").read_text()
    assert np.loadtxt(tmp_path / "t.txt")[0, 3] == -matrix[0, 3]


def test_another_grid_is_refused_by_name():
    moved = OBLIQUE.copy()
    moved[0, 3] += 0.1
    with pytest.raises(InputError, match=r"lesion .* is not on the grid of ncct"):
        require_same_grid(ramp(OBLIQUE), ramp(moved), "ncct", "lesion")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.tsv"
    target.write_text("old")

    def fail() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_tables_and_json_come_back(tmp_path):
    write_tsv(tmp_path / "t.tsv", [{"a": 1.23456789, "b": None, "c": True}], ["a", "b", "c"])
    assert read_tsv(tmp_path / "t.tsv") == [{"a": "1.23457", "b": "", "c": "true"}]
    write_json(tmp_path / "t.json", {"b": 1, "a": [1, 2]})
    assert read_json(tmp_path / "t.json") == {"a": [1, 2], "b": 1}
