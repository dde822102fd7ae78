"""Label images become masks of 0 and 1 without a guess, and a mask that was written before is left alone."""

import numpy as np
import pytest

from tests.datasets.trees import run_reader, save_image, save_mask
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume
from workflow_scripts.datasets.bids import main
from workflow_scripts.datasets.parts.masks import binary, merge_labels


def volume(*values):
    return Volume(np.array(values, float).reshape(-1, 1, 1), np.eye(4))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((0, 1, 1), (0, 1, 1)),
        ((0, 0, 0), (0, 0, 0)),
        ((0, 255, 254), (0, 1, 1)),
        ((0, 0.9999999997, 1e-9), (0, 1, 0)),
        ((0, 0.3, 0.6, 1), (0, 0, 1, 1)),
        ((1e-6, -1e-6, 3), (0, 0, 1)),
    ],
    ids=["plain", "empty", "rescaled", "floats", "resampled", "noise"],
)
def test_one_label_becomes_one(given, wanted):
    assert binary(volume(*given)).data.ravel().tolist() == list(wanted)


@pytest.mark.parametrize(("given", "problem"), [((0, 1, 2), "several labels"), ((0, -1, 1), "negative")])
def test_what_is_no_mask_of_one_label_is_refused(given, problem):
    with pytest.raises(InputError, match=problem):
        binary(volume(*given))


@pytest.mark.parametrize(
    ("given", "problem"), [((0, 7), "holds 7"), ((0, 1.5), "fractions"), ((0, 2), "only 2"), ((0, 0), "nothing")]
)
def test_labels_that_are_not_those_of_the_data_set_are_refused(given, problem):
    with pytest.raises(InputError, match=problem):
        merge_labels(np.array(given, float), {1}, {1, 2})


def test_a_mask_that_did_not_change_keeps_its_time_so_that_nothing_reruns(tmp_path):
    for subject in ("01", "02"):
        save_image(tmp_path / f"tree/sub-{subject}/anat/sub-{subject}_ct.nii.gz")
        save_mask(tmp_path / f"tree/derivatives/drawn/sub-{subject}_label-lesion_mask.nii.gz")
    lesions = tmp_path / "out/lesions"
    run_reader(main, tmp_path / "tree")
    before = {path.name: path.stat().st_mtime_ns for path in lesions.iterdir()}
    save_mask(tmp_path / "tree/derivatives/drawn/sub-02_label-lesion_mask.nii.gz", "LAS")
    run_reader(main, tmp_path / "tree")
    after = {path.name: path.stat().st_mtime_ns for path in lesions.iterdir()}
    assert before.keys() == after.keys() == {"sub-01.nii.gz", "sub-02.nii.gz"}
    assert before["sub-01.nii.gz"] == after["sub-01.nii.gz"]
