"""How a network lies in memory while it is trained, which changes its speed and nothing that it computes.

Convolutions are fastest on channels-last tensors, (B, z, y, x, C) in memory. Torch's instance normalisation makes
contiguous copies of them, and the backward pass of its group normalisation is slow on them: hence ones of ours.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.common.compiling import trial_compiles


class ChannelsLastNorm(nn.Module):
    """An `torch.nn.InstanceNorm3d` with weight and bias, for channels-last tensors on a CPU."""

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.epsilon = norm.weight, norm.bias, norm.eps

    def forward(self, features: Tensor) -> Tensor:
        """Normalise each channel of a feature map (B, C, z, y, x)."""
        return _InstanceNorm.apply(features, self.weight, self.bias, self.epsilon)


class FusedNorm(ChannelsLastNorm):
    """The same on a GPU, with the leaky ReLU that follows; ``slope`` 1 where none does."""

    def __init__(self, norm: nn.InstanceNorm3d, slope: float) -> None:
        super().__init__(norm)
        self.slope = slope

    def forward(self, features: Tensor) -> Tensor:
        """Normalise each channel of a feature map (B, C, z, y, x) and multiply what is below 0 by the slope."""
        from workflow_scripts.pretrain.methods.fused_norm import normalise  # Triton is where a GPU is

        return normalise(features, self.weight, self.bias, self.epsilon, self.slope)


class NormalisedConv(nn.Module):
    """A `torch.nn.Conv3d` before an instance normalisation, which takes away what a bias adds.

    Adding it would be a pass over the feature map, and its gradient, which is 0, another one.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.layout = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation, "groups": conv.groups}

    def forward(self, features: Tensor) -> Tensor:
        """Convolve a feature map (B, C, z, y, x)."""
        maps = F.conv3d(features, self.weight, None, **self.layout)
        return maps if self.bias is None else _WithoutBias.apply(maps, self.bias)


class _WithoutBias(torch.autograd.Function):
    """Leave a bias away, yet give it its gradient, which the optimiser and other processes wait for."""

    @staticmethod
    def forward(context: Any, maps: Tensor, bias: Tensor) -> Tensor:
        context.save_for_backward(bias)
        return maps.view_as(maps)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, torch.zeros_like(context.saved_tensors[0])


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


def for_training(network: nn.Module, device: torch.device, compiling: str) -> nn.Module:
    """Move a network to a device, with its norms and weights as they are fastest there; its state dict is the same.

    On a GPU ``compiling`` is `never` (torch's own kernels), `always`, or `auto`: where a small trial of ours succeeds.
    Raises `InputError` where `always` fails.
    """
    if device.type == "cpu":
        _replace(network, {norm: ChannelsLastNorm(norm) for norm in network.modules() if _is_replaceable(norm)})
    elif not kernels_compile(device, compiling):
        return network.to(device)
    else:
        fuse(network)
    return network.to(device, memory_format=torch.channels_last_3d)


def fuse(network: nn.Module) -> None:
    """Put kernels of ours in the place of a network's norms, and of convolutions and activations beside them."""
    replaced: dict[nn.Module, nn.Module] = {}
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for layer, following in pairwise([*sequence, None]):
            if type(layer) is nn.Conv3d and layer.padding_mode == "zeros" and _is_replaceable(following):
                replaced[layer] = NormalisedConv(layer)
            elif _is_replaceable(layer):
                activated = type(following) is nn.LeakyReLU
                replaced[layer] = FusedNorm(layer, following.negative_slope if activated else 1.0)
                if activated:
                    replaced[following] = nn.Identity()
    _replace(network, replaced)


def kernels_compile(device: torch.device, choice: str) -> bool:
    """Whether the kernels for a GPU are wanted and can be compiled and run, as `trial_compiles` says."""

    def trial() -> None:
        from workflow_scripts.pretrain.methods.fused_norm import normalise

        voxels = torch.ones(1, 1, 2, 2, 2, device=device, requires_grad=True)
        normalise(voxels, voxels.new_ones(1), voxels.new_zeros(1), 1e-5, 0.01).sum().backward()

    return trial_compiles(trial, "pretrain.compile", choice)


def _is_replaceable(module: nn.Module | None) -> bool:
    return type(module) is nn.InstanceNorm3d and module.affine and not module.track_running_stats


def _replace(network: nn.Module, replaced: dict[nn.Module, nn.Module]) -> None:
    """Put modules in the places of others, of which a network may hold one under several names."""
    for module in list(network.modules()):
        for name, child in list(module._modules.items()):
            if child in replaced:
                module._modules[name] = replaced[child]


def _rows(maps: Tensor) -> Tensor:
    """View (or copy, where they are not channels-last) maps (B, C, z, y, x) as (B, voxels, C)."""
    return maps.movedim(1, -1).flatten(1, 3)
