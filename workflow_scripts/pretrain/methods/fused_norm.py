"""Instance normalisation and leaky ReLU in one pass over a channels-last feature map on a GPU, in Triton.

At the first stage of a network the convolutions wait for memory: torch reads and writes a map eight times between two
of them (bias, statistics, normalisation, activation, changes of layout), these kernels read it twice and write it once.
Sums are float32, in an order that does not change, so equal inputs have equal results.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Voxels that one program adds up; values of the tile that it holds at a time, and channels at most.
PART, VALUES, CHANNELS = 4096, 4096, 64


def normalise(features: Tensor, weight: Tensor, bias: Tensor, epsilon: float, slope: float) -> Tensor:
    """Normalise each channel of each image of (B, C, z, y, x); values below 0 are then multiplied by ``slope``."""
    return _Normalisation.apply(features, weight, bias, epsilon, slope)


class _Normalisation(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, features: Tensor, weight: Tensor, bias: Tensor, epsilon: float, slope: float) -> Tensor:
        features = features.contiguous(memory_format=torch.channels_last_3d)
        images, channels = features.shape[:2]
        voxels = features[0, 0].numel()
        # Sums of differences from a channel's first voxel: squares of large values would swallow the variance.
        origin = features[:, :, 0, 0, 0].float().contiguous()
        sums = features.new_empty(images, triton.cdiv(voxels, PART), 2, channels, dtype=torch.float32)
        tile, block = _tile(channels)
        _sums[_grid(features, PART)](features, origin, sums, voxels, channels, PART, tile, block)
        first, second = (sums.sum(1) / voxels).unbind(1)
        inverse = (second - first**2).clamp_min_(0).add_(epsilon).rsqrt_()
        mean = origin + first
        scale = inverse * weight
        shift = torch.addcmul(bias.float(), mean, scale, value=-1)
        result = torch.empty_like(features)
        _activate[_grid(features, tile)](features, scale, shift, result, voxels, channels, slope, tile, block)
        context.save_for_backward(features, mean, inverse, scale, shift)
        context.slope = slope
        return result

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        features, mean, inverse, scale, shift = context.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last_3d)
        images, channels = features.shape[:2]
        voxels = features[0, 0].numel()
        sums = features.new_empty(images, triton.cdiv(voxels, PART), 2, channels, dtype=torch.float32)
        tile, block = _tile(channels)
        _gradient_sums[_grid(features, PART)](
            features, gradient, mean, inverse, scale, shift, sums, voxels, channels, context.slope, PART, tile, block
        )
        of_shift, of_scale = sums.sum(1).unbind(1)
        along = -scale * inverse * of_scale / voxels
        constant = -scale * of_shift / voxels - along * mean
        result = torch.empty_like(features)
        _gradient[_grid(features, tile)](
            features, gradient, scale, shift, along, constant, result, voxels, channels, context.slope, tile, block
        )
        return result, of_scale.sum(0), of_shift.sum(0), None, None


def _tile(channels: int) -> tuple[int, int]:
    """Voxels and channels of a tile."""
    block = min(CHANNELS, max(16, triton.next_power_of_2(channels)))
    return VALUES // block, block


def _grid(features: Tensor, voxels: int) -> tuple[int, int, int]:
    """Programs of so many voxels each: along the voxels, images and channels."""
    images, channels = features.shape[:2]
    return triton.cdiv(features[0, 0].numel(), voxels), images, triton.cdiv(channels, _tile(channels)[1])


@triton.jit
def _sums(features, origin, sums, voxels, channels, PART: tl.constexpr, TILE: tl.constexpr, CHANNELS: tl.constexpr):
    part, image = tl.program_id(0), tl.program_id(1)
    columns = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    known = columns < channels
    zero = tl.load(origin + image * channels + columns, known, 0.0)
    first = tl.zeros((TILE, CHANNELS), tl.float32)
    second = tl.zeros((TILE, CHANNELS), tl.float32)
    base = image.to(tl.int64) * voxels * channels
    for start in range(0, PART, TILE):
        rows = part * PART + start + tl.arange(0, TILE)
        inside = (rows < voxels)[:, None] & known[None, :]
        x = tl.load(features + base + rows[:, None] * channels + columns[None, :], inside, 0.0).to(tl.float32)
        x = tl.where(inside, x - zero[None, :], 0.0)
        first += x
        second += x * x
    place = sums + ((image * tl.num_programs(0) + part) * 2).to(tl.int64) * channels + columns
    tl.store(place, tl.sum(first, 0), known)
    tl.store(place + channels, tl.sum(second, 0), known)


@triton.jit
def _activate(features, scale, shift, result, voxels, channels, slope, TILE: tl.constexpr, CHANNELS: tl.constexpr):
    image = tl.program_id(1)
    columns = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    known = columns < channels
    rows = tl.program_id(0) * TILE + tl.arange(0, TILE)
    inside = (rows < voxels)[:, None] & known[None, :]
    places = image.to(tl.int64) * voxels * channels + rows[:, None] * channels + columns[None, :]
    a = tl.load(scale + image * channels + columns, known, 0.0)
    b = tl.load(shift + image * channels + columns, known, 0.0)
    y = tl.load(features + places, inside, 0.0).to(tl.float32) * a[None, :] + b[None, :]
    tl.store(result + places, tl.where(y > 0, y, y * slope), inside)


@triton.jit
def _gradient_sums(
    features, gradient, mean, inverse, scale, shift, sums, voxels, channels, slope,
    PART: tl.constexpr, TILE: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    part, image = tl.program_id(0), tl.program_id(1)
    columns = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    known = columns < channels
    m = tl.load(mean + image * channels + columns, known, 0.0)
    r = tl.load(inverse + image * channels + columns, known, 0.0)
    a = tl.load(scale + image * channels + columns, known, 0.0)
    b = tl.load(shift + image * channels + columns, known, 0.0)
    first = tl.zeros((TILE, CHANNELS), tl.float32)
    second = tl.zeros((TILE, CHANNELS), tl.float32)
    base = image.to(tl.int64) * voxels * channels
    for start in range(0, PART, TILE):
        rows = part * PART + start + tl.arange(0, TILE)
        inside = (rows < voxels)[:, None] & known[None, :]
        places = base + rows[:, None] * channels + columns[None, :]
        x = tl.load(features + places, inside, 0.0).to(tl.float32)
        g = tl.load(gradient + places, inside, 0.0).to(tl.float32)
        g = tl.where(x * a[None, :] + b[None, :] > 0, g, g * slope)
        first += g
        second += g * ((x - m[None, :]) * r[None, :])
    place = sums + ((image * tl.num_programs(0) + part) * 2).to(tl.int64) * channels + columns
    tl.store(place, tl.sum(first, 0), known)
    tl.store(place + channels, tl.sum(second, 0), known)


@triton.jit
def _gradient(
    features, gradient, scale, shift, along, constant, result, voxels, channels, slope,
    TILE: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(1)
    columns = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    known = columns < channels
    rows = tl.program_id(0) * TILE + tl.arange(0, TILE)
    inside = (rows < voxels)[:, None] & known[None, :]
    places = image.to(tl.int64) * voxels * channels + rows[:, None] * channels + columns[None, :]
    a = tl.load(scale + image * channels + columns, known, 0.0)
    b = tl.load(shift + image * channels + columns, known, 0.0)
    c = tl.load(along + image * channels + columns, known, 0.0)
    d = tl.load(constant + image * channels + columns, known, 0.0)
    x = tl.load(features + places, inside, 0.0).to(tl.float32)
    g = tl.load(gradient + places, inside, 0.0).to(tl.float32)
    g = tl.where(x * a[None, :] + b[None, :] > 0, g, g * slope)
    tl.store(result + places, g * a[None, :] + x * c[None, :] + d[None, :], inside)
