"""Networks made from plans; encoders and checkpoints that are checked and loaded into them."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.plans import architecture

CHECKPOINT_KEYS = ("network_weights", "init_args", "trainer_name", "inference_allowed_mirroring_axes")
LIBRARIES = ("dynamic_network_architectures.", "torch.nn.")


def build_network(plans: Mapping[str, Any], channels: int, classes: int, deep_supervision: bool) -> torch.nn.Module:
    """Build the network of the plans' 3d_fullres configuration, randomly initialised (He) from torch's generator."""
    return build_planned(architecture(plans), channels, classes, deep_supervision)


def build_planned(
    description: Mapping[str, Any], channels: int, outputs: int, deep_supervision: bool
) -> torch.nn.Module:
    """Build a network, initialised as by `build_network`, from the entry ``architecture`` of a configuration.

    Raises `InputError` where it names a class of another library: nnU-Net would import and call whatever it names.
    """
    kwargs = description["arch_kwargs"]
    named = [description["network_class_name"], *(kwargs.get(key) for key in description["_kw_requires_import"])]
    if strange := [name for name in named if name is not None and not str(name).startswith(LIBRARIES)]:
        raise InputError(f"A network's plan names {strange[0]!r}, no part of a network.", "plan it with nnU-Net.")
    return get_network_from_plans(
        description["network_class_name"],
        description["arch_kwargs"],
        description["_kw_requires_import"],
        channels,
        outputs,
        allow_init=True,
        deep_supervision=deep_supervision,
    )


def load_encoder(network: torch.nn.Module, plans: Mapping[str, Any], encoder: Mapping[str, Any]) -> None:
    """Put the weights of a pretrained encoder (the content of ``encoder.pt``) into ``network.encoder``.

    Strides cannot be seen in the shapes of weights, so the architecture that the encoder was trained in must equal that
    of ``plans`` entry by entry; no key may be missing or left over. Raises `InputError` otherwise.
    """
    ours, theirs = architecture(plans)["arch_kwargs"], encoder["architecture"]["arch_kwargs"]
    for name in sorted(ours.keys() | theirs.keys()):
        if _plain(ours.get(name)) != _plain(theirs.get(name)):
            raise InputError(
                f"The encoder was trained with {name} {_plain(theirs.get(name))}, the arm's network has "
                f"{_plain(ours.get(name))}.",
                "plan the arm with the plans of the encoder's own pretraining.",
            )
    try:
        network.encoder.load_state_dict(encoder["state_dict"], strict=True)
    except RuntimeError as error:
        raise InputError(
            f"The encoder's weights do not fit the arm's network ({error}).",
            "train arm and encoder on the same channels, with the same code.",
        ) from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a finetuned model onto the CPU; only tensors and plain Python objects are unpickled."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise InputError(
            f"{path.name} cannot be read: it is damaged, or holds more than tensors and plain values.",
            "take a model that this workflow wrote; nothing in a file is executed.",
        ) from error
    missing = [key for key in CHECKPOINT_KEYS if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise InputError(
            f"{path.name} is not a model of this study: no {', '.join(missing)}.", "finetune the arm again."
        )
    return checkpoint


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
