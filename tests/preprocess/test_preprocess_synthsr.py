"""SynthSR: the network in torch answers as the same network in Keras does, and its file is read or refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume
from workflow_scripts.preprocess.stripping import synthsr
from workflow_scripts.preprocess.stripping.methods import StrippingSettings, pseudo_t1
from workflow_scripts.preprocess.stripping.synthsr import load_network, synthetic_t1

ORACLES = Path(__file__).parent / "oracles"  # made by make_synthsr.py there
WEIGHTS = ORACLES / "synthsr.h5"


@pytest.fixture(scope="module")
def oracle():
    with np.load(ORACLES / "synthsr.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("slab", [synthsr.SLAB, 8])
def test_the_network_answers_as_in_keras(oracle, monkeypatch, slab):
    monkeypatch.setattr(synthsr, "SLAB", slab)
    image = torch.from_numpy(oracle["image"] / np.float32(255))[None, None]
    with torch.inference_mode():
        answer = load_network(WEIGHTS)(image)[0, 0].numpy()
    assert oracle["answer"].std() > 0.1
    assert np.abs(answer - oracle["answer"]).max() < 1e-5


def test_the_steps_around_the_network_are_those_of_the_published_program(oracle):
    synthetic = synthetic_t1(load_network(WEIGHTS), oracle["hu"], threads=1)
    assert synthetic.shape == oracle["hu"].shape
    assert np.abs(synthetic - oracle["synthetic"]).max() < 1e-5 * np.ptp(oracle["synthetic"])


def test_a_file_of_the_whole_model_is_read_like_one_of_weights_alone(tmp_path):
    with h5py.File(WEIGHTS) as weights, h5py.File(tmp_path / "model.h5", "w") as model:
        model.create_group("optimizer_weights")
        weights.copy(weights, model, "model_weights")
    first, second = load_network(WEIGHTS), load_network(tmp_path / "model.h5")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_missing_or_misshapen_layer_is_named(tmp_path):
    for change in ("missing", "misshapen"):
        path = tmp_path / f"{change}.h5"
        path.write_bytes(WEIGHTS.read_bytes())
        with h5py.File(path, "a") as file:
            group = file["unet_conv_uparm_6_1/unet_conv_uparm_6_1"]
            kernel = np.asarray(group["kernel:0"])
            del group["kernel:0"]
            if change == "misshapen":
                group["kernel:0"] = kernel[:1]
        with pytest.raises(InputError, match=r"holds no weights of SynthSR .*(unet_conv_uparm_6_1|kernel:0)"):
            load_network(path)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "page.h5").write_text("<html>not found</html>")
    with pytest.raises(InputError, match=r"page.h5 holds no weights of SynthSR"):
        load_network(tmp_path / "page.h5")


def test_an_image_without_tissue_is_refused():
    with pytest.raises(InputError, match="no tissue between 0 and 80 HU"):
        synthetic_t1(load_network(WEIGHTS), np.full((20, 20, 20), -1000.0), threads=1)


@pytest.mark.parametrize("spacing", [1.0, 2.5])
def test_the_image_comes_back_on_the_grid_of_the_ct_whatever_its_orientation(oracle, spacing):
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-10, 5, 3]
    ct = Volume(oracle["hu"].astype(np.float32), affine)
    turned_affine = affine @ np.array([[0, -1, 0, ct.data.shape[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    turned = Volume(ct.data.transpose(2, 0, 1)[:, ::-1], turned_affine)
    settings = StrippingSettings(threads=1, deepbet_grid=64, border_mm=0, synthsr_weights=WEIGHTS)
    straight, other = (
        pseudo_t1("synthsr+synthstrip", volume, np.zeros(volume.data.shape, bool), settings) for volume in (ct, turned)
    )
    assert straight.shape == ct.data.shape
    assert straight.std() > 5
    assert np.abs(other - straight.transpose(2, 0, 1)[:, ::-1]).max() < 1e-2
