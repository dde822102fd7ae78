"""How a network lies in memory while it is trained, which changes its speed and nothing that it computes.

On a CPU convolutions are fastest on channels-last tensors, (B, z, y, x, C) in memory. Torch's instance normalisation
makes contiguous copies of them, and the backward pass of its group normalisation is slow on them: hence one of ours.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

INSTANCE_NORM = "torch.nn.modules.instancenorm.InstanceNorm3d"


class ChannelsLastNorm(nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d` with weight and bias, for channels-last tensors."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalise each channel of a feature map (B, C, z, y, x)."""
        return _InstanceNorm.apply(features, self.weight, self.bias, self.eps)


class _InstanceNorm(torch.autograd.Function):
    """Group normalisation with a group for each channel, and its gradient in passes over (B, voxels, C)."""

    @staticmethod
    def forward(context: Any, features: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
        images, channels = features.shape[:2]
        voxels = features[0, 0].numel()
        normalised, mean, inverse = torch.native_group_norm(
            features, weight, bias, images, channels, voxels, channels, epsilon
        )
        context.save_for_backward(features, weight, mean, inverse)
        return normalised

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        features, weight, mean, inverse = context.saved_tensors
        rows, gradients = _rows(features), _rows(gradient)
        voxels = rows.shape[1]
        of_bias = gradients.sum(1)
        # Of the products of all pairs of channels only the diagonal is wanted; the matrix product is faster even so.
        along = torch.diagonal(gradients.mT @ rows, dim1=1, dim2=2)
        of_weight = (along - mean * of_bias) * inverse
        scale = weight * inverse
        slope = -scale * inverse * of_weight / voxels
        offset = -scale * of_bias / voxels - slope * mean
        result = torch.addcmul(offset[:, None], gradients, scale[:, None]).addcmul_(rows, slope[:, None])
        result = result.unflatten(1, features.shape[2:]).movedim(-1, 1)
        return result, of_weight.sum(0), of_bias.sum(0), None


def for_training(architecture: Mapping[str, Any], device: torch.device) -> Mapping[str, Any]:
    """Return an architecture that normalises faster on ``device``; its state dict and results are the same."""
    arguments = architecture["arch_kwargs"]
    replaceable = arguments["norm_op"] == INSTANCE_NORM and arguments["norm_op_kwargs"].get("affine")
    if device.type != "cpu" or not replaceable:
        return architecture
    norm = f"{ChannelsLastNorm.__module__}.{ChannelsLastNorm.__name__}"
    return {**architecture, "arch_kwargs": {**arguments, "norm_op": norm}}


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the layout of weights on ``device``, which that of the feature maps follows."""
    return torch.channels_last_3d if device.type == "cpu" else torch.contiguous_format


def _rows(maps: Tensor) -> Tensor:
    """View (or copy, where they are not channels-last) maps (B, C, z, y, x) as (B, voxels, C)."""
    return maps.movedim(1, -1).flatten(1, 3)
