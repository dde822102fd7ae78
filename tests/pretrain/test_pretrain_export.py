import json

import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, write_json
from workflow_scripts.common.nnunet.network import read_encoder
from workflow_scripts.pretrain.encoder import export, import_nnssl
from workflow_scripts.pretrain.encoder.checkpoint import save_encoder
from workflow_scripts.pretrain.methods.networks import build_encoder

IMAGE = (1, 1, 8, 16, 16)


@pytest.fixture
def made(make_dataset, tmp_path, any_architecture):
    """Dataset folder and encoder.pt of random weights in the network of its plans."""
    dataset = make_dataset()
    plans = read_json(dataset / "plans.json")
    plans["configurations"]["3d_fullres"]["architecture"] = any_architecture
    write_json(dataset / "plans.json", plans)
    torch.manual_seed(3)
    description = {"architecture": any_architecture, "plans": plans, "channels": ["ncct"], "patch_size": [6, 12, 12]}
    save_encoder(tmp_path / "encoder.pt", build_encoder(any_architecture, 1), description)
    return dataset, tmp_path / "encoder.pt"


def exported(encoder, form):
    path = encoder.with_name(f"{form}.pth")
    export.main(["--encoder", str(encoder), "--format", form, "--out", str(path)])
    return torch.load(path, weights_only=True)


def imported(dataset, checkpoint, folder):
    torch.save(checkpoint, folder / "checkpoint.pth")
    options = {"checkpoint": folder / "checkpoint.pth", "dataset": dataset, "out": folder / "imported.pt"}
    import_nnssl.main([word for key, value in options.items() for word in (f"--{key}", str(value))])
    return read_encoder(folder / "imported.pt")


def assert_equal_weights(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_bare_weights_load_strictly_and_name_no_case(made, any_architecture):
    weights = exported(made[1], "state_dict")
    assert all(isinstance(value, torch.Tensor) for value in weights.values())
    network = get_network_from_plans(*any_architecture.values(), 1, 2, deep_supervision=True)
    network.encoder.load_state_dict(weights, strict=True)


def test_a_file_for_nnunet_builds_its_network_and_fills_encoder_and_stem(made, any_architecture):
    """Read as nnU-Net reads it: the network of the architecture plan, its submodules filled by the plan's keys."""
    content = exported(made[1], "nnunet")
    plan, weights = content["nnssl_adaptation_plan"], content["network_weights"]
    assert json.loads(json.dumps(plan)) == plan
    described = plan["architecture_plans"]
    network = get_network_from_plans(
        described["arch_class_name"],
        described["arch_kwargs"],
        described["arch_kwargs_requiring_import"],
        plan["pretrain_num_input_channels"],
        3,
        deep_supervision=True,
    )
    for own, given in (
        (network.key_to_encoder, plan["key_to_encoder"]),
        (network.key_to_stem, plan["key_to_stem"]),
    ):
        part = {k.replace(given, "").removeprefix("."): v for k, v in weights.items() if k.startswith(given)}
        network.get_submodule(own).load_state_dict(part)
    assert all(f"{key}.weight" in weights for key in plan["keys_to_in_proj"])
    first = next(iter(plan["pretrain_plan"]["configurations"].values()))
    assert first["patch_size"] == [6, 12, 12] and first["spacing"] == [1.0, 1.0, 1.0]
    assert plan["recommended_downstream_patchsize"] == [16, 24, 24]
    reference = build_encoder(any_architecture, 1)
    reference.load_state_dict(read_encoder(made[1])["state_dict"])
    image = torch.randn(IMAGE)
    for ours, theirs in zip(network.eval().encoder(image), reference.eval()(image), strict=True):
        assert torch.equal(ours, theirs)


def test_what_is_exported_comes_back(made, tmp_path):
    dataset, encoder = made
    content = imported(dataset, exported(encoder, "nnunet"), tmp_path)
    assert_equal_weights(content["state_dict"], read_encoder(encoder)["state_dict"])
    assert content["patch_size"] == [6, 12, 12] and content["channels"] == ["ncct"]


def test_weights_are_found_under_the_keys_that_the_plan_names(made, tmp_path):
    dataset, encoder = made
    checkpoint = exported(encoder, "nnunet")
    plan, weights = checkpoint["nnssl_adaptation_plan"], checkpoint.pop("network_weights")
    plan["key_to_encoder"], plan["key_to_stem"] = (f"online_{plan[key]}" for key in ("key_to_encoder", "key_to_stem"))
    others = {"projector.weight": torch.zeros(2)}
    checkpoint["network_weights"] = {f"online_{key}": value for key, value in weights.items()} | others
    content = imported(dataset, checkpoint, tmp_path)
    assert_equal_weights(content["state_dict"], read_encoder(encoder)["state_dict"])


def other_strides(checkpoint):
    checkpoint["nnssl_adaptation_plan"]["architecture_plans"]["arch_kwargs"]["strides"][2] = [1, 2, 2]


def other_network(checkpoint):
    checkpoint["nnssl_adaptation_plan"]["architecture_plans"] |= {"arch_class_name": "ResEncL", "arch_kwargs": None}


def unknown_network(checkpoint):
    checkpoint["nnssl_adaptation_plan"]["architecture_plans"] |= {"arch_class_name": "PrimusM", "arch_kwargs": None}


def lost_weight(checkpoint):
    checkpoint["network_weights"].popitem()


def no_plan(checkpoint):
    del checkpoint["nnssl_adaptation_plan"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_strides, r"trained with strides \[\[1, 1, 1\], \[1, 2, 2\], \[1, 2, 2\].*, the plans have \[\[1"),
        (other_network, r"trained with features_per_stage \[32, 64, 128, 256, 320, 320\], the plans have \[4, "),
        (unknown_network, "architecture PrimusM has no arguments and is none of ResEncL"),
        (lost_weight, "weights do not fit"),
        (no_plan, "lacks 'nnssl_adaptation_plan'"),
    ],
)
def test_a_checkpoint_of_another_plan_is_refused(made, tmp_path, spoil, message):
    dataset, encoder = made
    checkpoint = exported(encoder, "nnunet")
    spoil(checkpoint)
    with pytest.raises(InputError, match=message):
        imported(dataset, checkpoint, tmp_path)
    assert not (tmp_path / "imported.pt").exists()
