"""Checkpoints with an adaptation plan: written for nnU-Net's own finetuning of pretrained networks, read from nnssl.

Such a file holds ``network_weights`` under the keys of a whole network and ``nnssl_adaptation_plan``: the architecture,
the plan of the pretraining, and the keys under which encoder, stem and input projection lie.
"""

import pydoc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.network import LIBRARIES, build_network, load_encoder
from workflow_scripts.common.nnunet.plans import CONFIGURATION, architecture

# The network that nnssl names without arguments.
PRESETS = {
    "ResEncL": {
        "n_stages": 6,
        "features_per_stage": [32, 64, 128, 256, 320, 320],
        "kernel_sizes": [[3, 3, 3]] * 6,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * 5],
        "n_blocks_per_stage": [1, 3, 4, 6, 6, 6],
    }
}
DECODER_ARGUMENTS = {"n_conv_per_stage_decoder"}


def to_nnunet(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the content of ``encoder.pt`` into what ``nnUNetv2_train_pretrained`` takes, of plain types and tensors.

    nnssl itself cannot read the plan back: its ``AdaptationPlan.from_dict`` takes no architecture without the
    ``n_blocks_per_stage`` of residual encoders, and a plan of its own planner alone.

    nnU-Net's reader of these files plans z-scores of single images; this encoder wants the ``CTNormalization`` of the
    plan that goes along.

    Raises `InputError` for an encoder that nnU-Net did not plan.
    """
    plans, channels = encoder["plans"], len(encoder["channels"])
    network = build_network(plans, channels, 2, deep_supervision=False)
    load_encoder(network, plans, encoder)
    description, configuration = architecture(plans), plans["configurations"][CONFIGURATION]
    seen = {**configuration, "patch_size": encoder["patch_size"]}
    return {
        "network_weights": {f"encoder.{key}": value for key, value in encoder["state_dict"].items()},
        "trainer_name": "DeSD",
        "nnssl_adaptation_plan": {
            "architecture_plans": {
                "arch_class_name": description["network_class_name"],
                "arch_kwargs": description["arch_kwargs"],
                "arch_kwargs_requiring_import": description["_kw_requires_import"],
            },
            "pretrain_plan": {**plans, "configurations": {CONFIGURATION: seen}},
            "pretrain_num_input_channels": channels,
            "recommended_downstream_patchsize": configuration["patch_size"],
            "key_to_encoder": network.key_to_encoder,
            "key_to_stem": network.key_to_stem,
            "keys_to_in_proj": list(network.keys_to_in_proj),
            "key_to_lpe": None,
        },
    }


def from_nnssl(checkpoint: Mapping[str, Any], plans: Mapping[str, Any], channels: int) -> dict[str, Tensor]:
    """Return an nnssl checkpoint's encoder weights under the keys of ``network.encoder`` of ``plans``.

    Raises
    ------
    InputError
        when the file is no such checkpoint, its architecture is unknown or differs from the plans', or weights are
        missing or have other shapes
    """
    network = build_network(plans, channels, 2, deep_supervision=False)
    with complete_plan():
        weights, adaptation = checkpoint["network_weights"], checkpoint["nnssl_adaptation_plan"]
        keys = adaptation["key_to_encoder"], adaptation["key_to_stem"]
        renamed = _renamed(weights, dict(zip(keys, (network.key_to_encoder, network.key_to_stem), strict=True)))
        theirs = _arguments(adaptation["architecture_plans"])
    require_same(theirs, located(architecture(plans)))
    _load(network, renamed, plans)
    return renamed


def patch_of(checkpoint: Mapping[str, Any]) -> list[int]:
    """Return the patch (z, y, x) that nnssl trained on; raises `InputError` where the checkpoint does not say it."""
    with complete_plan():
        return next(iter(checkpoint["nnssl_adaptation_plan"]["pretrain_plan"]["configurations"].values()))["patch_size"]


@contextmanager
def complete_plan() -> Iterator[None]:
    """Turn what a lookup in a checkpoint of another form raises into an `InputError`."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise InputError(
            f"The checkpoint lacks {error}, or has something else there.",
            "give one that nnssl or nnU-Net wrote, whole.",
        ) from error


def _renamed(weights: Mapping[str, Tensor], prefixes: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for theirs, ours in prefixes.items():
        for key, value in weights.items():
            if key.startswith(f"{theirs}."):
                renamed[f"{ours}{key.removeprefix(theirs)}".removeprefix("encoder.")] = value
    return renamed


def _arguments(theirs: Mapping[str, Any]) -> dict[str, Any]:
    name = theirs["arch_class_name"]
    if theirs["arch_kwargs"]:
        required = theirs["arch_kwargs_requiring_import"]
        return located({"arch_kwargs": theirs["arch_kwargs"], "_kw_requires_import": required})
    if name not in PRESETS:
        raise InputError(
            f"The checkpoint's architecture {name} has no arguments and is none of {', '.join(PRESETS)}.",
            "give a checkpoint whose adaptation plan states strides and kernels.",
        )
    return PRESETS[name]


def located(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a network with classes by themselves, since one class has several names.

    A class of no library of networks stays a name: looking for it would import, and so execute, whatever it names.
    """
    arguments = dict(description["arch_kwargs"])
    for name in description["_kw_requires_import"]:
        if str(arguments.get(name)).startswith(LIBRARIES):
            arguments[name] = pydoc.locate(arguments[name])
    return arguments


def require_same(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Raise `InputError` where the arguments of two networks, both `located`, differ, but for those of a decoder."""
    for name in sorted(theirs.keys() - DECODER_ARGUMENTS):
        if _plain(theirs[name]) != _plain(ours.get(name)):
            raise InputError(
                f"The checkpoint was trained with {name} {_plain(theirs[name])}, the plans have "
                f"{_plain(ours.get(name))}.",
                "plan the dataset with the checkpoint's architecture.",
            )


def _load(network: nn.Module, weights: Mapping[str, Tensor], plans: Mapping[str, Any]) -> None:
    load_encoder(network, plans, {"architecture": architecture(plans), "state_dict": weights})


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
