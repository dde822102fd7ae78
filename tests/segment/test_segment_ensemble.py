"""The vote of an arm's models."""

from itertools import product

import numpy as np
import pytest

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, load_volume, save_volume
from workflow_scripts.segment import ensemble
from workflow_scripts.segment.ensemble import vote

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


def members(tmp_path, suffix: str, values: list[float], affines: list[np.ndarray]) -> list[str]:
    folders = [tmp_path / f"seed-{seed}" for seed in range(len(values))]
    for folder, value, affine in zip(folders, values, affines, strict=True):
        save_volume(folder / f"I01{suffix}", Volume(np.full((2, 3, 4), value, np.float32), affine), np.float32)
    return [str(folder) for folder in folders]


@pytest.mark.parametrize(
    ("how", "suffix", "values", "expected"),
    [("majority", ".nii.gz", [1, 1, 0], 1), ("mean_probability", ".probability.nii.gz", [0.6, 0.6, 0.1], 0)],
)
def test_ensemble_is_written_on_the_members_grid(tmp_path, how, suffix, values, expected):
    affine = np.diag([6.0, 6, 6, 1])
    folders = members(tmp_path, suffix, values, [affine] * 3)
    out = tmp_path / "ensemble"
    ensemble.main(["--members", *folders, "--vote", how, "--cohort", "A", "--cases", "I01", "--out", str(out)])
    joined = load_volume(out / "I01.nii.gz", np.uint8)
    np.testing.assert_array_equal(joined.affine, affine)
    assert (joined.data == expected).all()


def test_members_on_different_grids_are_refused_by_name(tmp_path):
    folders = members(tmp_path, ".nii.gz", [1, 1], [np.eye(4), np.diag([2.0, 1, 1, 1])])
    options = ["--vote", "majority", "--cohort", "A", "--cases", "I01", "--out", str(tmp_path / "out")]
    with pytest.raises(InputError, match="A/I01"):
        ensemble.main(["--members", *folders, *options])
    assert not (tmp_path / "out").exists()
