"""A pretrained encoder goes into the arm's network whole, or not at all."""

from copy import deepcopy

import pytest
import torch
from dynamic_network_architectures.building_blocks.plain_conv_encoder import PlainConvEncoder

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.network import build_network, load_encoder
from workflow_scripts.common.nnunet.plans import CONFIGURATION, architecture

STAGES = {"n_stages": 3, "features_per_stage": [4, 8, 16], "kernel_sizes": [[3, 3, 3]] * 3, "conv_bias": True}


@pytest.fixture
def plans() -> dict:
    network = {
        **STAGES,
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "n_conv_per_stage": [2, 2, 2],
        "n_conv_per_stage_decoder": [2, 2],
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    description = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": network,
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    return {"configurations": {CONFIGURATION: {"architecture": description}}}


@pytest.fixture
def pretrained() -> PlainConvEncoder:
    torch.manual_seed(0)
    return PlainConvEncoder(
        1,
        3,
        [4, 8, 16],
        torch.nn.Conv3d,
        [[3, 3, 3]] * 3,
        [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        2,
        conv_bias=True,
        norm_op=torch.nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        return_skips=True,
    )


def test_loaded_encoder_gives_identical_features_with_every_key_taken(plans, pretrained):
    encoder = {"state_dict": pretrained.state_dict(), "architecture": architecture(plans)}
    network = build_network(plans, 1, 2, deep_supervision=True)
    image = torch.randn(2, 1, 16, 16, 8)
    load_encoder(network, plans, encoder)
    loaded = network.encoder.state_dict()
    assert loaded.keys() == encoder["state_dict"].keys()
    assert all(torch.equal(loaded[key], value) for key, value in encoder["state_dict"].items())
    with torch.no_grad():
        for ours, theirs in zip(network.encoder(image), pretrained(image), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_encoder_with_a_weight_that_is_no_number_is_refused(plans, pretrained, value):
    weights = pretrained.state_dict()
    last = list(weights)[-1]
    weights[last].view(-1)[-1] = value
    network = build_network(plans, 1, 2, deep_supervision=True)
    with pytest.raises(InputError, match="hold values that are no finite numbers"):
        load_encoder(network, plans, {"state_dict": weights, "architecture": architecture(plans)})


def test_decoder_works_on_the_loaded_encoder_itself(plans, pretrained):
    network = build_network(plans, 1, 2, deep_supervision=True)
    load_encoder(network, plans, {"state_dict": pretrained.state_dict(), "architecture": architecture(plans)})
    weights = network.state_dict()
    shared = [key for key in weights if key.startswith("decoder.encoder.")]
    assert shared
    assert all(weights[key].data_ptr() == weights[key.removeprefix("decoder.")].data_ptr() for key in shared)


@pytest.mark.parametrize(
    ("entry", "value"),
    [("strides", [[1, 1, 1], [2, 2, 2], [1, 2, 2]]), ("nonlin", "torch.nn.ReLU"), ("norm_op_kwargs", {"eps": 1e-3})],
)
def test_encoder_of_another_architecture_is_refused_although_its_weights_fit(plans, pretrained, entry, value):
    other = deepcopy(architecture(plans))
    other["arch_kwargs"][entry] = value
    network = build_network(plans, 1, 2, deep_supervision=True)
    network.encoder.load_state_dict(pretrained.state_dict(), strict=True)
    with pytest.raises(InputError, match=entry):
        load_encoder(network, plans, {"state_dict": pretrained.state_dict(), "architecture": other})


def test_lists_and_tuples_in_the_description_are_the_same(plans, pretrained):
    described = architecture(plans)
    described["arch_kwargs"]["strides"] = tuple(tuple(stride) for stride in described["arch_kwargs"]["strides"])
    network = build_network(plans, 1, 2, deep_supervision=True)
    load_encoder(network, plans, {"state_dict": pretrained.state_dict(), "architecture": described})


def test_missing_surplus_and_misshapen_weights_are_refused(plans, pretrained):
    weights = pretrained.state_dict()
    first = next(iter(weights))
    faulty = [
        {key: value for key, value in weights.items() if key != first},
        {**weights, "surplus": torch.zeros(1)},
        {**weights, first: torch.zeros(4, 2, 3, 3, 3)},
    ]
    for state in faulty:
        with pytest.raises(InputError, match="do not fit"):
            load_encoder(
                build_network(plans, 1, 2, deep_supervision=True),
                plans,
                {"state_dict": state, "architecture": architecture(plans)},
            )
