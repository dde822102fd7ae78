"""A model's mask lies on the voxels of the image it was made from."""

import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from tests.finetune.study import SPACING, dataset_options, write_study
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json
from workflow_scripts.common.nnunet import network
from workflow_scripts.common.nnunet.fingerprint import INTENSITIES
from workflow_scripts.common.nnunet.network import build_network, read_checkpoint
from workflow_scripts.common.nnunet.predict import Segmenter
from workflow_scripts.common.volume import Volume, load_volume, save_volume
from workflow_scripts.finetune import finetune_dataset
from workflow_scripts.finetune.finetune import model_of
from workflow_scripts.segment import segment

SHAPE = (21, 27, 19)
# oblique, so that nothing can rely on axes that run with the world's
ROTATION = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
BOTH = ("ncct", "difference")


class Threshold(torch.nn.Module):
    """A network that calls lesion where one channel is below or above the mean of the statistics."""

    def __init__(self, channel: int, sign: int) -> None:
        super().__init__()
        self.channel, self.sign = channel, sign

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        chosen = self.sign * patches[:, self.channel : self.channel + 1]
        return torch.cat((torch.zeros_like(chosen), chosen), 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("model")
    cases = write_study(root, ("train", "train", "validation"))
    names = ["--cases", *(f"icoAIS/{case}" for case in cases)]
    finetune_dataset.main([*dataset_options(root, root / "arm", BOTH), *names])
    torch.manual_seed(0)
    plans, dataset = read_json(root / "arm/plans.json"), read_json(root / "arm/dataset.json")
    checkpoint = {
        "network_weights": build_network(plans, 2, 2, deep_supervision=True).state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": 0, "dataset_json": dataset},
        "inference_allowed_mirroring_axes": (0, 1, 2),
        "current_epoch": 1,
        "_best_ema": 0.5,
        "precisions": ["float32"],
        "without_lesion": [],
    }
    torch.save(model_of(checkpoint, {}, seed=0), root / "checkpoint.pth")
    return root / "checkpoint.pth"


@pytest.fixture
def case(tmp_path) -> Path:
    """Final images whose low values in channel 0 and high values in channel 1 have no symmetry at all."""
    affine = np.eye(4)
    affine[:3, :3] = ROTATION * SPACING
    affine[:3, 3] = [-40, 33, 12]
    ncct, difference = np.full(SHAPE, 60.0), np.full(SHAPE, -20.0)
    ncct[2:7, 5:20, 3:6] = 0
    ncct[12, 3, 15] = 0
    difference[8:10, 1:25, 10:12] = 20
    folder = tmp_path / "preprocess" / "icoAIS" / "I09"
    save_volume(folder / "ncct.nii.gz", Volume(ncct, affine), np.float32)
    save_volume(folder / "difference.nii.gz", Volume(difference, affine), np.float32)
    return folder


def thresholding(model: Path, channel: int, sign: int, mirror: bool = True) -> Segmenter:
    segmenter = Segmenter(read_checkpoint(model), step=0.5, mirroring=mirror, device=torch.device("cpu"))
    segmenter.predictor.network = Threshold(channel, sign)
    return segmenter


@pytest.mark.parametrize("mirror", [True, False])
def test_mask_marks_the_very_voxels_of_the_image(model, case, mirror):
    mask, probability = segment.segment_case(thresholding(model, 0, -1, mirror), case, "I09")
    ncct = load_volume(case / "ncct.nii.gz")
    np.testing.assert_array_equal(mask.data, ncct.data < 30)
    np.testing.assert_array_equal(mask.affine, ncct.affine)
    np.testing.assert_array_equal(probability.data > 0.5, ncct.data < 30)


def test_second_channel_is_the_difference_image(model, case):
    assert mean_difference(model) < 20
    mask, _ = segment.segment_case(thresholding(model, 1, 1), case, "I09")
    np.testing.assert_array_equal(mask.data, load_volume(case / "difference.nii.gz").data > 0)


def mean_difference(model: Path) -> float:
    return read_checkpoint(model)["init_args"]["plans"][INTENSITIES]["1"]["mean"]


def test_mirroring_averages_over_all_axes(model, case):
    torch.manual_seed(1)
    plain, mirrored = (
        segment.segment_case(Segmenter(read_checkpoint(model), 0.5, mirror, torch.device("cpu")), case, "I09")[1]
        for mirror in (False, True)
    )
    assert not np.allclose(plain.data, mirrored.data)


def run_main(model: Path, case: Path, out: Path, *batch: str) -> None:
    where = ["--preprocess", str(case.parents[1]), "--out", str(out), "--store", str(out.with_name("store"))]
    how = ["--channels", *BOTH, "--step", "0.5", "--no-mirroring"]
    names = ["--cohort", "icoAIS", "--case", case.name, "--batch", ",".join(batch)]
    segment.main([*names, "--checkpoint", str(model), *where, *how])


def test_segmenting_again_gives_the_same_bytes(model, case, tmp_path):
    for name in ("first", "second"):
        run_main(model, case, tmp_path / name)
    assert {path.name for path in (tmp_path / "first").iterdir()} == {"I09.nii.gz", "I09.probability.nii.gz"}
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()


def test_one_load_of_the_model_makes_the_masks_of_a_batch_and_leaves_those_that_are_there(model, case, tmp_path):
    alone, together = tmp_path / "alone" / "masks", tmp_path / "together" / "masks"
    others = [shutil.copytree(case, case.with_name(name)) for name in ("I10", "I11")]
    for one in (case, *others):
        run_main(model, one, alone)
    shutil.copytree(alone, together, ignore=lambda _, names: [name for name in names if "I11" not in name])
    before = {path: path.stat().st_mtime_ns for path in together.iterdir()}
    with mock.patch.object(network, "read_checkpoint", wraps=read_checkpoint) as load:
        for one in (case, others[0]):
            run_main(model, one, together, "I09", "I10", "I11")
        assert load.call_count == 1
    for path in alone.iterdir():
        assert (together / path.name).read_bytes() == path.read_bytes()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_mask_is_where_the_probability_exceeds_one_half(model, case, tmp_path):
    run_main(model, case, tmp_path / "out")
    mask = load_volume(tmp_path / "out/I09.nii.gz", np.uint8)
    probability = load_volume(tmp_path / "out/I09.probability.nii.gz")
    assert 0 <= probability.data.min() <= probability.data.max() <= 1
    np.testing.assert_array_equal(mask.data, probability.data > 0.5)


def test_channels_on_different_grids_are_refused_by_name(model, case, tmp_path):
    difference = load_volume(case / "difference.nii.gz")
    save_volume(case / "difference.nii.gz", Volume(difference.data[1:], difference.affine), np.float32)
    with pytest.raises(InputError, match="icoAIS/I09"):
        run_main(model, case, tmp_path / "out")


def test_a_file_that_is_no_model_is_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "encoder.pt")
    with pytest.raises(InputError, match="not a model"):
        read_checkpoint(tmp_path / "encoder.pt")
