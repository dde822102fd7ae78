"""How a network lies in memory while it is trained, which changes its speed and nothing that it computes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INSTANCE_NORM = "torch.nn.modules.instancenorm.InstanceNorm3d"


class ChannelsLastNorm(nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d` by the kernel of group normalisation, with a group for each channel.

    It takes the channels-last layout as it comes, and a new tensor comes out. The stock module makes a contiguous copy
    and gives a view of it, which the activation's change in place has the backward pass copy once more.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Normalise each channel of a feature map (B, C, z, y, x)."""
        return F.group_norm(features, self.num_features, self.weight, self.bias, self.eps)


def for_training(architecture: Mapping[str, Any], device: torch.device) -> Mapping[str, Any]:
    """Return an architecture that normalises faster on ``device``; its state dict and results are the same."""
    arguments = architecture["arch_kwargs"]
    if device.type != "cpu" or arguments["norm_op"] != INSTANCE_NORM:
        return architecture
    norm = f"{ChannelsLastNorm.__module__}.{ChannelsLastNorm.__name__}"
    return {**architecture, "arch_kwargs": {**arguments, "norm_op": norm}}


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the layout of weights on ``device``: channels last on a CPU, where it was measured to be faster."""
    return torch.channels_last_3d if device.type == "cpu" else torch.contiguous_format
