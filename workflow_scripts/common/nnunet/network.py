"""Networks made from plans; encoders and checkpoints that are checked and loaded into them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.plans import architecture
from workflow_scripts.common.tensor_files import read_tensors

CHECKPOINT_KEYS = ("network_weights", "init_args", "trainer_name", "inference_allowed_mirroring_axes")
ENCODER_KEYS = ("state_dict", "architecture", "channels")
ARCHITECTURE_KEYS = {"network_class_name", "arch_kwargs", "_kw_requires_import"}
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
    try:
        return get_network_from_plans(
            description["network_class_name"],
            description["arch_kwargs"],
            description["_kw_requires_import"],
            channels,
            outputs,
            allow_init=True,
            deep_supervision=deep_supervision,
        )
    except (AssertionError, AttributeError, ImportError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"No network can be built from its plan ({error}).", "plan it with nnU-Net.") from error


def load_encoder(network: torch.nn.Module, plans: Mapping[str, Any], encoder: Mapping[str, Any]) -> None:
    """Put the weights of a pretrained encoder (the content of ``encoder.pt``) into ``network.encoder``.

    Strides cannot be seen in the shapes of weights, so the architecture that the encoder was trained in must equal that
    of ``plans`` entry by entry; no key may be missing or left over. Raises `InputError` otherwise.
    """
    wanted, given = (
        each["network_class_name"].rpartition(".")[2] for each in (architecture(plans), encoder["architecture"])
    )
    if given != wanted:
        raise InputError(
            f"The encoder is of the network {given}, the arm's network is {wanted}.",
            "give the arm a pretraining whose encoder nnU-Net planned.",
        )
    ours, theirs = architecture(plans)["arch_kwargs"], encoder["architecture"]["arch_kwargs"]
    for name in sorted(ours.keys() | theirs.keys()):
        if _plain(ours.get(name)) != _plain(theirs.get(name)):
            raise InputError(
                f"The encoder was trained with {name} {_plain(theirs.get(name))}, the arm's network has "
                f"{_plain(ours.get(name))}.",
                "plan the arm with the plans of the encoder's own pretraining.",
            )
    load_weights(network.encoder, encoder["state_dict"])


def load_weights(encoder: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Fill an encoder; raises `InputError` for a key that is missing or left over, a shape or no finite number."""
    if spoilt := [name for name, value in weights.items() if not value.isfinite().all()]:
        raise InputError(
            f"The encoder's weights hold values that are no finite numbers ({spoilt[0]}).", "pretrain it anew."
        )
    try:
        encoder.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise InputError(
            f"The encoder's weights do not fit the network ({error}).",
            "train arm and encoder on the same channels, with the same code.",
        ) from error


def read_encoder(path: Path) -> dict[str, Any]:
    """Read ``encoder.pt`` of a pretraining; raises `InputError` where the file is something else or damaged."""
    remedy = "give the encoder.pt of a pretraining."
    content = read_tensors(path, remedy)
    missing = [key for key in ENCODER_KEYS if key not in content]
    if missing or not (_are_weights(content["state_dict"]) and _is_described(content["architecture"])):
        lacks = f": it lacks {', '.join(missing)}" if missing else ""
        raise InputError(f"{path.name} holds no pretrained encoder{lacks}.", remedy)
    return content


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a finetuned model onto the CPU; only tensors and plain Python objects are unpickled."""
    checkpoint = read_tensors(path, "take a model that this workflow wrote.")
    missing = [key for key in CHECKPOINT_KEYS if key not in checkpoint]
    if missing:
        raise InputError(
            f"{path.name} is not a model of this study: no {', '.join(missing)}.", "finetune the arm again."
        )
    return checkpoint


def _are_weights(weights: Any) -> bool:
    return isinstance(weights, Mapping) and all(isinstance(value, torch.Tensor) for value in weights.values())


def _is_described(description: Any) -> bool:
    return isinstance(description, Mapping) and description.keys() >= ARCHITECTURE_KEYS


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
