"""A training whose numbers are no longer finite stops, and its last sound state is kept."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from workflow_scripts.common.errors import InputError
from workflow_scripts.pretrain.methods.schedules import values_at
from workflow_scripts.pretrain.settings import PretrainSettings
from workflow_scripts.pretrain.views.ahead import tensors_in


def as_losses(losses: Tensor, method: str) -> Tensor:
    """Return what a step has returned; raises `InputError` where it is not losses of shape (N,), without gradients."""
    if not isinstance(losses, Tensor) or losses.ndim != 1 or losses.requires_grad:
        raise InputError(
            f"A step of the method {method!r} returned no losses of shape (N,) without gradients.",
            "return loss.detach()[None] where there is one.",
        )
    return losses


def require_finite_losses(losses: Sequence[Tensor], first: int, settings: PretrainSettings) -> None:
    """Raise `InputError` when the loss of a step is no number; ``first`` is the number of the first one.

    Checked every few steps, since looking at a value makes the host wait for the device.
    """
    finite = torch.stack(list(losses)).isfinite().all(1).cpu()
    if not finite.all():
        raise _divergence("The loss", first + int(finite.logical_not().nonzero()[0]), settings)


def require_finite_state(state: Mapping[str, Any], step: int, settings: PretrainSettings) -> None:
    """Raise `InputError` when a tensor of a method's state is not finite after ``step``.

    A gradient that overflows in the last step shows in no loss yet.
    """
    devices: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors_in(state):
        devices.setdefault(tensor.device, []).append(tensor.isfinite().all())
    if not all(bool(torch.stack(finite).all()) for finite in devices.values()):
        raise _divergence("A weight", step, settings)


def _divergence(what: str, step: int, settings: PretrainSettings) -> InputError:
    return InputError(
        f"{what} is no finite number at step {step} (epoch {settings.epoch_of(step)}) with learning "
        f"rate {values_at(settings, step).learning_rate:.3g}.",
        "lower learning_rate or set clip_gradient in pretrain.optimisers; the state before is kept.",
    )
