"""The vote of an arm's models."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.common.acquisition import describe
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import write_json
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.volume import Volume, load_volume, save_volume
from workflow_scripts.segment import ensemble
from workflow_scripts.segment.masks.vote import vote

TRUTH_TABLE = {
    (0, 0, 0): 0,
    (0, 0, 1): 0,
    (0, 1, 0): 0,
    (1, 0, 0): 0,
    (0, 1, 1): 1,
    (1, 0, 1): 1,
    (1, 1, 0): 1,
    (1, 1, 1): 1,
}


def test_majority_of_three_has_the_known_truth_table():
    votes = np.array(list(product((0, 1), repeat=3)), np.uint8)
    joined = vote([votes[:, member].reshape(2, 2, 2) for member in range(3)])
    assert joined.dtype == np.uint8
    assert dict(zip(map(tuple, votes.tolist()), joined.ravel().tolist(), strict=True)) == TRUTH_TABLE


def test_one_model_is_its_own_majority():
    mask = np.array([0, 1, 1, 0], np.uint8)
    np.testing.assert_array_equal(vote([mask]), mask)


def test_a_tie_is_no_lesion():
    np.testing.assert_array_equal(vote([np.array([0, 1, 1]), np.array([0, 0, 1])]), [0, 0, 1])


def test_mean_probability_can_overrule_the_majority():
    probabilities = [np.array([0.4, 0.6]), np.array([0.4, 0.6]), np.array([0.9, 0.1])]
    np.testing.assert_array_equal(vote(probabilities), [1, 0])
    np.testing.assert_array_equal(vote([np.round(p) for p in probabilities]), [0, 1])


def words(tmp_path, members: list[Path], how: str) -> list[str]:
    stack = Stack.of_grid((2, 3, 4), np.diag([6.0, 6, 6, 1]))
    write_json(tmp_path / "ncct.json", describe(stack))
    save_volume(tmp_path / "ncct.nii.gz", Volume(np.zeros(stack.shape, np.int16), stack.affine))
    files = {"record": "ncct.json", "out-slices": "original.json"}
    files |= {
        name: f"{name[4:] or name}.nii.gz"
        for name in ("out-mask", "out-original", "out-upright", "out-agreement", "out-probability")
    }
    files |= {"ncct": "ncct.nii.gz"}
    named = [word for key, name in files.items() for word in (f"--{key}", str(tmp_path / name))]
    masks, probabilities = (
        [str(folder / f"I01{suffix}") for folder in members] for suffix in (".nii.gz", ".probability.nii.gz")
    )
    files = ["--masks", *masks, "--probabilities", *probabilities]
    return ["--cohort", "A", "--case", "I01", *files, "--vote", how, *named]


def members(tmp_path, probabilities: list[float], affines: list[np.ndarray]) -> list[Path]:
    folders = [tmp_path / f"seed-{seed}" for seed in range(len(probabilities))]
    for folder, value, affine in zip(folders, probabilities, affines, strict=True):
        probability = Volume(np.full((2, 3, 4), value, np.float32), affine)
        save_volume(folder / "I01.probability.nii.gz", probability, np.float32)
        save_volume(folder / "I01.nii.gz", probability.with_data(probability.data > 0.5), np.uint8)
    return folders


@pytest.mark.parametrize(("how", "expected"), [("majority", 1), ("mean_probability", 0)])
def test_ensemble_is_written_on_the_members_grid(tmp_path, how, expected):
    affine = np.diag([6.0, 6, 6, 1])
    folders = members(tmp_path, [0.6, 0.6, 0.1], [affine] * 3)
    ensemble.main(words(tmp_path, folders, how))
    for name in (
        "mask.nii.gz",
        "original.nii.gz",
        "upright.nii.gz",
    ):  # all on one grid here
        joined = load_volume(tmp_path / name, np.uint8)
        np.testing.assert_array_equal(joined.affine, affine)
        assert (joined.data == expected).all()


def test_maps_hold_share_and_mean_in_any_order_of_the_members(tmp_path):
    folders = members(tmp_path, [0.9, 0.7, 0.2], [np.diag([6.0, 6, 6, 1])] * 3)
    for order in (folders, folders[::-1], [folders[1], folders[2], folders[0]]):
        ensemble.main(words(tmp_path, order, "majority"))
        np.testing.assert_allclose(load_volume(tmp_path / "agreement.nii.gz").data, 2 / 3, rtol=1e-6)
        np.testing.assert_allclose(load_volume(tmp_path / "probability.nii.gz").data, 0.6, rtol=1e-6)


def test_members_on_different_grids_are_refused_by_name(tmp_path):
    folders = members(tmp_path, [1, 1], [np.eye(4), np.diag([2.0, 1, 1, 1])])
    with pytest.raises(InputError, match="seed-1"):
        ensemble.main(words(tmp_path, folders, "majority"))
    assert not (tmp_path / "mask.nii.gz").exists()
