"""A training whose weights are no longer finite stops, and its last sound state is kept."""

import torch

from workflow_scripts.common.errors import InputError


def require_finite_weights(network: torch.nn.Module, epoch: int, learning_rate: float) -> None:
    """Raise `InputError` where a weight is no finite number in an ``epoch``, counted from 0.

    Weights are looked at, and not losses: a step in float16 whose loss overflows is left out by the loss scale.
    """
    finite = torch.stack([parameter.detach().isfinite().all() for parameter in network.parameters()])
    if not finite.all():
        raise InputError(
            f"A weight is no finite number in epoch {epoch + 1}, with learning rate {learning_rate:.3g}.",
            "lower finetune.learning_rate; the state before is kept.",
        )
