"""The methods of pretraining, behind one interface."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from workflow_scripts.common.errors import InputError
from workflow_scripts.pretrain.distributed import Processes
from workflow_scripts.pretrain.encoder.initial import require_fitting
from workflow_scripts.pretrain.methods.desd import Distillation
from workflow_scripts.pretrain.methods.mae import Reconstruction
from workflow_scripts.pretrain.settings import PretrainSettings
from workflow_scripts.pretrain.views.batches import Batch


class Method(Protocol):
    """A method of pretraining: `Distillation` (DeSD), `Reconstruction` (MAE), or a class of your own.

    It is made from the planned architecture, the settings, the device and the processes of the training. One that can
    begin from given weights has ``start_from(weights)``, which loads them into its encoder (and a teacher's).
    """

    encoder: nn.Module

    def inputs(self, batch: Batch) -> Any:
        """Turn a batch into what `step` and `evaluate` learn from: tensors, alone or in sequences and mappings."""
        ...

    def step(self, inputs: Any, step: int) -> Tensor:
        """Take an optimiser step; returns its losses, shape (N,), averaged over processes, on the device."""
        ...

    def evaluate(self, inputs: Any, step: int) -> Tensor:
        """Return the losses of this process's images, shape (N,), and change nothing."""
        ...

    def embed(self, batch: Batch) -> Tensor:
        """Return embeddings (V, D) of the views as they were cut."""
        ...

    def measure(self, embeddings: Tensor, step: int) -> dict[str, float]:
        """Return the method's monitors, from embeddings (V, D)."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later step depends on: tensors and plain values, in lists and mappings."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        ...


def start_from(method: Method, weights: Mapping[str, Tensor]) -> None:
    """Let a new method begin from an encoder's weights, under the keys of its own encoder.

    Raises `InputError` where they do not fit, or where a class of one's own has no ``start_from``.
    """
    if not hasattr(method, "start_from"):
        raise InputError(
            f"{type(method).__name__} has no method start_from, which puts given weights into its encoder.",
            "write it, or take initial_weights away.",
        )
    require_fitting(weights, method.encoder.state_dict())
    method.start_from(weights)


METHODS: dict[str, type[Method]] = {"desd": Distillation, "mae": Reconstruction}
NEEDED = ("inputs", "step", "evaluate", "embed", "measure", "state_dict", "load_state_dict")
_EXAMPLE = "see the example in docs/pretraining_engine.md."


def method_of(name: str) -> type[Method]:
    """Return a method by its name here, or a class of another package as ``package.module:Class``.

    Raises `InputError` when there is none, and for what is no such class.
    """
    if name in METHODS:
        return METHODS[name]
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"The method {name!r} cannot be imported ({error}).",
            "install its package in the environment of the training, or add its folder to PYTHONPATH.",
        ) from error
    if complaint := _complaint(found):
        raise InputError(f"The method {name!r} {complaint}.", _EXAMPLE)
    return found


def make_method(
    settings: PretrainSettings, architecture: Mapping[str, Any], device: torch.device, processes: Processes
) -> Method:
    """Make the method of the settings; raises `InputError` for what is none, or has no encoder."""
    method = method_of(settings.method)(architecture, settings, device, processes)
    if not isinstance(getattr(method, "encoder", None), nn.Module):
        raise InputError(f"The method {settings.method!r} has no attribute encoder, a network.", _EXAMPLE)
    return method


def _complaint(found: Any) -> str | None:
    """Say why something is no class of a method; None where it is one."""
    if not isinstance(found, type):
        return "is no class"
    if lacking := [name for name in NEEDED if not callable(getattr(found, name, None))]:
        return f"has no method {', '.join(lacking)}"
    try:
        inspect.signature(found).bind("architecture", "settings", "device", "processes")
    except TypeError as error:
        return f"cannot be made from architecture, settings, device and processes ({error})"
    return None
