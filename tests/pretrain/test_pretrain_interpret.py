"""The interpretation of an encoder: attributions add up, projections and neighbours are what they say."""

from pathlib import Path

import blosc2
import numpy as np
import pytest
import torch
from torch import nn

from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.nnunet.arrays import background_of
from workflow_scripts.pretrain import pretrain_interpret as interpret
from workflow_scripts.pretrain.encoder.checkpoint import save_encoder
from workflow_scripts.pretrain.methods.networks import build_encoder
from workflow_scripts.pretrain.probe import representation

from .conftest import ARCHITECTURE as SMALL

SMALLER = {
    "features_per_stage": [4, 6, 8],
    "kernel_sizes": [[3, 3, 3]] * 3,
    "strides": [[1, 1, 1], [2, 2, 2], [1, 2, 2]],
    "n_conv_per_stage": [1, 1, 1],
    "n_conv_per_stage_decoder": [1, 1],
}
ARCHITECTURE = {**SMALL, "arch_kwargs": SMALL["arch_kwargs"] | SMALLER}


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory) -> Path:
    """An encoder and a dataset of ten cases, as the pretraining leaves them."""
    folder = tmp_path_factory.mktemp("pretraining")
    torch.manual_seed(0)
    encoder = build_encoder(ARCHITECTURE, 1)
    save_encoder(folder / "encoder.pt", encoder, {"architecture": ARCHITECTURE, "channels": ["ncct"]})
    generator, rows = np.random.default_rng(0), []
    (folder / "dataset/arrays").mkdir(parents=True)
    for number in range(10):
        key = f"A__S{number}"
        brain = np.zeros((1, 7, 9, 11), np.int16)
        brain[:, 1:6, 2:8, 2:9] = 1
        image = np.where(brain > 0, generator.normal(size=brain.shape), -3).astype(np.float32)
        blosc2.asarray(image, urlpath=str(folder / f"dataset/arrays/{key}.b2nd"), mode="w")
        blosc2.asarray(brain, urlpath=str(folder / f"dataset/arrays/{key}_seg.b2nd"), mode="w")
        rows.append({"cohort": "A", "case": f"S{number}", "split": "train", "key": key})
    write_tsv(folder / "dataset/cases.tsv", rows, ("cohort", "case", "split", "key"))
    return folder


def run_interpret(pretraining: Path, out: Path) -> tuple[list, list, dict[str, np.ndarray]]:
    interpret.main(
        [
            *("--encoder", str(pretraining / "encoder.pt"), "--dataset", str(pretraining / "dataset")),
            *("--perplexity", "30", "--steps", "4", "--seed", "1"),
            *("--out-embedding", str(out / "e.tsv"), "--out-neighbours", str(out / "n.tsv")),
            *("--out-slices", str(out / "s.npz")),
        ]
    )
    with np.load(out / "s.npz") as archive:
        return read_tsv(out / "e.tsv"), read_tsv(out / "n.tsv"), dict(archive)


def test_every_case_is_projected_and_each_group_has_images_and_attributions(pretraining, tmp_path):
    embedding, neighbours, slices = run_interpret(pretraining, tmp_path)
    assert len(embedding) == 10
    assert len({(row["x"], row["y"]) for row in embedding}) == 10
    assert len(neighbours) == interpret.GROUPS * interpret.NEIGHBOURS
    for row in neighbours:
        for kind in ("image", "attribution"):
            assert slices[f"{kind}-{row['group']}-{row['neighbour']}"].shape == (1, 9, 11)
    assert all(np.abs(value).sum() > 0 for name, value in slices.items() if name.startswith("attribution"))


def test_the_same_encoder_gives_the_same_bytes(pretraining, tmp_path):
    for folder in ("first", "second"):
        run_interpret(pretraining, tmp_path / folder)
    for name in ("e.tsv", "n.tsv", "s.npz"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


class Linear(nn.Module):
    """Two stages, the last one a known linear map of the image."""

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [images, 3 * images]


def test_attributions_of_a_linear_encoder_are_its_weights_times_the_difference_from_background():
    image = np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype(np.float32)
    background = np.full(1, -3, np.float32)
    found = interpret.attribute(representation.Representation(Linear()), image, background, 8, "cpu")
    assert found == pytest.approx(3 * (image + 3) / 24, rel=1e-4)


def test_background_is_the_value_outside_the_brain_and_padding_repeats_it():
    image = np.full((2, 3, 3, 3), 5, np.float32)
    brain = np.zeros((3, 3, 3), bool)
    brain[1, 1, 1] = True
    image[:, ~brain] = np.array([[-3], [0]])
    background = background_of(image, brain)
    assert background.tolist() == [-3, 0]
    padded = representation.padded(image, background, (2, 4, 2))
    assert padded.shape == (2, 4, 8, 4)
    assert np.array_equal(padded[:, :3, :3, :3], image)
    assert (padded[0, 3:] == -3).all()
    assert (padded[1, :, 3:] == 0).all()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_few_cases_are_projected_all_the_same(n):
    points = interpret.project(np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32), 30, 0)
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()
    assert len(interpret.representatives(points, 0)) == min(n, interpret.GROUPS)


def test_a_group_starts_with_its_centre_and_goes_on_by_distance():
    points = np.random.default_rng(0).normal(size=(24, 2)) + np.repeat([0, 40, 80], 8)[:, None]
    groups = interpret.representatives(points, 0)
    assert [{index // 8 for index in group} for group in groups] == [{0}, {1}, {2}]
    for group in groups:
        distances = np.linalg.norm(points[group] - points[group[0]], axis=1)
        assert list(distances) == sorted(distances)
