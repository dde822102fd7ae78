"""Augmentations of a batch of views, in three dimensions, as tensor operations on the training device.

Arrays have the shape (V, C, z, y, x): V views of C channels. Intensity parameters have the shape (V, C), so that each
view and channel has its own; flips are shared by the channels of a view. A parameter that the draw left out is the
one that changes nothing (standard deviation 0, factor 1, shift 0, exponent 1). Order, ranges and probabilities: paper
3.4.1 with the values of the authors' code, which applied blur and shift slice by slice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from workflow_scripts.pretrain.settings import PretrainSettings

BLUR_TRUNCATE = 4.0
# Rows of a blur matrix in a block, and views in work at a time on a CPU, so that its caches hold them.
BLUR_ROWS = 28
VIEWS_AT_ONCE = 4
EPSILON = 1e-7
VOXELS = (2, 3, 4)


@dataclass(frozen=True)
class Parameters:
    """What `augment` does to V views, in host memory.

    All are (V, C) but ``flip``, bool (V, 3) for z, y, x. Random fields are drawn for a whole batch at once, so those
    of a view depend on ``seed`` and on its place among the ``batch_views`` of the batch; ``rows`` (V,) are the places.
    """

    seed: int
    batch_views: int
    rows: Tensor
    noise_sigma: Tensor
    blur_sigma: Tensor
    factor: Tensor
    shift: Tensor
    contrast: Tensor
    exponent: Tensor
    flip: Tensor

    def of(self, rows: np.ndarray | slice) -> Self:
        """Return the parameters of some of the views."""
        chosen = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.type is Tensor}
        return replace(self, **chosen)


def draw_parameters(settings: PretrainSettings, views: int, rng: np.random.Generator) -> Parameters:
    """Draw the parameters of a batch of V views."""
    given, shape = settings.augmentation, (views, len(settings.channels))

    def chosen(name: str, values: np.ndarray, neutral: float) -> Tensor:
        drawn = rng.random(shape) < given[name]["probability"]
        return torch.from_numpy(np.where(drawn, values, neutral).astype(np.float32))

    return Parameters(
        seed=int(rng.integers(2**62)),
        batch_views=views,
        rows=torch.arange(views),
        noise_sigma=chosen("noise", rng.uniform(*given["noise"]["sigma"], shape), 0),
        blur_sigma=chosen("blur", rng.uniform(*given["blur"]["sigma_voxels"], shape), 0),
        factor=chosen(
            "multiplicative_brightness", rng.uniform(*given["multiplicative_brightness"]["factor"], shape), 1
        ),
        shift=chosen("additive_brightness", rng.normal(0, given["additive_brightness"]["sigma"], shape), 0),
        contrast=chosen("contrast", _around_one(given["contrast"]["factor"], shape, rng), 1),
        exponent=chosen("gamma", _around_one(given["gamma"]["exponent"], shape, rng), 1),
        flip=torch.from_numpy(rng.random((views, 3)) < given["flip"]["probability"]),
    )


def _around_one(limits: Sequence[float], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw as batchgenerators does: with the same chance below or above 1, evenly on each side."""
    below = rng.uniform(limits[0], max(limits[0], 1), shape)
    above = rng.uniform(min(1, limits[1]), limits[1], shape)
    return np.where((rng.random(shape) < 0.5) & (limits[0] < 1) | (limits[1] <= 1), below, above)


def augment(views: Tensor, parameters: Parameters) -> Tensor:
    """Apply all augmentations to views (V, C, z, y, x)."""
    views = add_noise(views, parameters)
    if views.device.type != "cpu":
        return _augment_noisy(views, parameters)
    # Views that are blurred alike go together: what is blurred least, or not at all, then costs least.
    for part in parameters.blur_sigma.amax(1).argsort().split(VIEWS_AT_ONCE):
        views[part] = _augment_noisy(views[part], parameters.of(part))
    return views


def _augment_noisy(views: Tensor, parameters: Parameters) -> Tensor:
    views = blur(views, parameters.blur_sigma)
    views = change_brightness(views, parameters.factor, parameters.shift, parameters.contrast)
    return flip(change_gamma(views, parameters.exponent), parameters.flip)


def add_noise(views: Tensor, parameters: Parameters) -> Tensor:
    """Add Gaussian noise of standard deviation ``noise_sigma``, different in each channel."""
    generator = torch.Generator(device=views.device).manual_seed(parameters.seed)
    noise = torch.empty(parameters.batch_views, *views.shape[1:], device=views.device).normal_(generator=generator)
    if len(views) < parameters.batch_views:
        noise = noise[parameters.rows.to(views.device, non_blocking=True)]
    return noise.mul_(_like(parameters.noise_sigma, views)).add_(views)


def blur(views: Tensor, sigma: Tensor) -> Tensor:
    """Filter with an isotropic Gaussian of ``sigma`` (V, C) voxels along z, y and x.

    Edges are reflected (half-sample symmetric) and the kernel ends at 4 sigma, as in `scipy.ndimage.gaussian_filter`.
    One matrix an axis and image holds kernel and reflection, so that a batch is some matrix products; of the matrices
    only what lies near their diagonals is multiplied.
    """
    shape = views.shape
    z, y, x = shape[2:]
    radius = int(BLUR_TRUNCATE * float(sigma.max()) + 0.5)
    if radius == 0:
        return views
    images, widths = views.reshape(-1, z * y, x), sigma.reshape(-1).to(views.device, non_blocking=True)
    matrix = _blur_matrix(widths, x, radius)
    pieces = [images[..., near] @ matrix[:, rows, near].mT for rows, near in _bands(x, radius)]
    images = torch.cat(pieces, dim=2).reshape(-1, z, y, x)
    matrix = _blur_matrix(widths, y, radius)[:, None]
    pieces = [matrix[..., rows, near] @ images[:, :, near] for rows, near in _bands(y, radius)]
    images = torch.cat(pieces, dim=2).reshape(-1, z, y * x)
    return (_blur_matrix(widths, z, radius) @ images).reshape(shape)


def change_brightness(views: Tensor, factor: Tensor, shift: Tensor, contrast: Tensor) -> Tensor:
    """Multiply by ``factor``, add ``shift``; then scale around the mean by ``contrast`` and clamp to the range so far.

    All but the views are (V, C). What is clamped is the image between its extremes, 0 and 1: limits that are numbers
    cost a CPU a seventh of limits that are tensors.
    """
    factor, shift, contrast = (_like(values, views) for values in (factor, shift, contrast))
    mean, low, high = (measure(views, VOXELS, keepdim=True) for measure in (torch.mean, torch.amin, torch.amax))
    span = high - low + EPSILON
    centre = (mean - low) / span
    changed = ((views - mean).mul_(contrast / span)).add_(centre).clamp_(0, 1)
    return changed.mul_(span * factor).add_(low * factor + shift)


def change_gamma(views: Tensor, exponent: Tensor) -> Tensor:
    """Raise each channel (V, C), scaled to 0..1, to ``exponent`` and restore its mean and standard deviation."""
    low, high = views.amin(VOXELS, keepdim=True), views.amax(VOXELS, keepdim=True)
    bent = (views - low).div_(high - low + EPSILON)
    mean, deviation = _moments(bent)
    # The power by way of the logarithm: on a CPU several times as fast as a power with an exponent for each view.
    bent = bent.log_().mul_(_like(exponent, views)).exp_()
    bent_mean, bent_deviation = _moments(bent)
    scale = (high - low) * deviation / (bent_deviation + EPSILON)
    return bent.sub_(bent_mean).mul_(scale).add_(mean * (high - low) + low)


def _moments(views: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of channels with values from 0 to 1, (V, C, 1, 1, 1).

    From the sum of squares, for which a CPU needs a sixth of the time of `torch.var_mean`; values of this range do not
    cancel.
    """
    mean = views.mean(VOXELS, keepdim=True)
    squares = torch.linalg.vector_norm(views, dim=VOXELS, keepdim=True).square() / views[0, 0].numel()
    return mean, (squares - mean.square()).clamp_min_(0).sqrt_()


def flip(views: Tensor, axes: Tensor) -> Tensor:
    """Reverse the spatial axes marked in ``axes`` (V, 3) of each view, all channels alike."""
    if views.device.type == "cpu":
        return torch.stack([view.flip(_marked(of_view, 1)) for view, of_view in zip(views, axes, strict=True)])
    # All views that are flipped alike at once: a GPU waits for as few calls as there are kinds.
    flipped = torch.empty_like(views)
    for kind in axes.unique(dim=0):
        rows = (axes == kind).all(1).nonzero()[:, 0].to(views.device, non_blocking=True)
        flipped[rows] = views[rows].flip(_marked(kind, 2))
    return flipped


def _marked(axes: Tensor, first: int) -> list[int]:
    """Return the dimensions that are marked, of which the first is number ``first``."""
    return [first + axis for axis in range(3) if axes[axis]]


def _like(values: Tensor, views: Tensor) -> Tensor:
    return values.to(views.device, non_blocking=True)[:, :, None, None, None]


def _bands(length: int, radius: int) -> list[tuple[slice, slice]]:
    """Cut the rows of a blur matrix in blocks, each with the columns that it weighs."""
    return [
        (slice(first, first + BLUR_ROWS), slice(max(first - radius, 0), first + BLUR_ROWS + radius))
        for first in range(0, length, BLUR_ROWS)
    ]


def _blur_matrix(sigma: Tensor, length: int, radius: int) -> Tensor:
    """Return (N, length, length): row i weighs the voxels of a line for voxel i, one matrix for each ``sigma`` (N,)."""
    taps = torch.arange(-radius, radius + 1, device=sigma.device)
    inside = taps.abs() <= (BLUR_TRUNCATE * sigma[:, None] + 0.5).floor()
    weights = torch.where(inside, torch.exp(-0.5 * (taps / sigma[:, None].clamp_min(EPSILON)) ** 2), 0)
    weights = weights / weights.sum(1, keepdim=True)
    position = (torch.arange(length, device=sigma.device)[:, None] + taps) % (2 * length)
    source = torch.minimum(position, 2 * length - 1 - position)
    landing = torch.nn.functional.one_hot(source, length).to(sigma.dtype)
    return torch.einsum("nt,itj->nij", weights, landing)
