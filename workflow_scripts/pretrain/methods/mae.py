"""Masked autoencoding (He et al. 2022) of an nnU-Net encoder: the method that DeSD is compared with.

Random blocks of a view are hidden, and the network that nnU-Net planned, encoder and decoder with their skip
connections, restores them; the loss is the squared error in the hidden voxels alone. This is the convolutional
autoencoder of nnssl's benchmarks (Wald et al. 2024). Views, budget and optimiser are those of DeSD; intensities are
left as they are, since they are what is restored.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.common.nnunet.network import build_planned
from workflow_scripts.pretrain.distributed import ALONE, Processes
from workflow_scripts.pretrain.methods.channels_last import for_training
from workflow_scripts.pretrain.methods.heads import pool
from workflow_scripts.pretrain.methods.in_parts import InParts
from workflow_scripts.pretrain.methods.monitors import feature_deviation
from workflow_scripts.pretrain.methods.optimiser import MixedPrecisionAdamW, parallel
from workflow_scripts.pretrain.methods.schedules import values_at
from workflow_scripts.pretrain.settings import Masking, PretrainSettings
from workflow_scripts.pretrain.views.augment import Parameters
from workflow_scripts.pretrain.views.batches import Batch

Inputs = tuple[Tensor, Tensor]


class Reconstruction:
    """Network and optimiser of one pretraining by masked autoencoding."""

    def __init__(
        self,
        architecture: Mapping[str, Any],
        settings: PretrainSettings,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        channels = len(settings.channels)
        network = build_planned(architecture, channels, channels, deep_supervision=False)
        self.network = for_training(network, device, settings.compile).eval()
        # Outputs of the lower resolutions, which only deep supervision would use.
        self.network.decoder.seg_layers[:-1].requires_grad_(False)
        self._settings = settings
        self._processes = processes
        self._divisor = np.prod(architecture["arch_kwargs"]["strides"], axis=0).tolist()
        self._optimiser = MixedPrecisionAdamW(self.network, settings, device)
        self._in_parts = InParts(self.network, settings.accumulate)
        self._parallel = parallel(self._in_parts, device, processes.size)

    @property
    def encoder(self) -> nn.Module:
        """The encoder that is kept."""
        return self.network.encoder

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Load weights into the encoder; the decoder stays as it is."""
        self.encoder.load_state_dict(weights)

    def inputs(self, batch: Batch) -> Inputs:
        """Return views (V, C, z, y, x), flipped only, and which of their voxels are hidden, bool (V, 1, z, y, x)."""
        views = batch[0].flipped()
        hidden = draw_mask(batch[0].parameters, views.shape[2:], self._settings.masking)
        return views, hidden.to(views.device, non_blocking=True)

    def step(self, inputs: Inputs, step: int) -> Tensor:
        """Learn from a batch of `inputs` at a step of the schedules; returns the loss, shape (1,)."""
        self.network.train()
        loss = self._loss(self._parallel, inputs)
        self._optimiser.step(loss, values_at(self._settings, step))
        self.network.eval()
        return self._processes.mean(loss.detach()[None])

    @torch.no_grad()
    def evaluate(self, inputs: Inputs, step: int) -> Tensor:
        """Return the loss as in `step`, shape (1,); changes nothing."""
        del step
        return self._loss(self._in_parts, inputs)[None]

    @torch.no_grad()
    def embed(self, batch: Batch) -> Tensor:
        """Return the pooled features of the last stage, (V, features), of views with nothing hidden."""
        with self._optimiser.autocast():
            return pool(self.encoder(batch[0].plain)[-1])

    def measure(self, embeddings: Tensor, step: int) -> dict[str, float]:
        """Return what tells a collapse, from embeddings (V, features) of many images."""
        del step
        return {"feature_deviation": feature_deviation(embeddings)}

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later step depends on."""
        return {"network": self.network.state_dict(), "optimiser": self._optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])

    def _loss(self, network: nn.Module, inputs: Inputs) -> Tensor:
        views, hidden = inputs
        with self._optimiser.autocast():
            restored = network(pad_to_multiple(views.masked_fill(hidden, 0), self._divisor))
        z, y, x = views.shape[2:]
        return masked_error(restored[..., :z, :y, :x].float(), views, hidden)


def draw_mask(parameters: Parameters, shape: Sequence[int], masking: Masking) -> Tensor:
    """Hide the same number of random blocks in each view; bool (V, 1, z, y, x), in host memory.

    Blocks lie on a grid that starts at the first voxel; those of the far edges are cut off by it.
    """
    blocks = [-(-length // step) for length, step in zip(shape, masking.block_size, strict=True)]
    generator = torch.Generator().manual_seed(parameters.seed)
    places = torch.rand(parameters.batch_views, int(np.prod(blocks)), generator=generator)[parameters.rows]
    hidden = places.argsort(1).argsort(1) < round(masking.fraction * places.shape[1])
    hidden = hidden.reshape(-1, 1, *blocks)
    for axis, step in enumerate(masking.block_size, start=2):
        hidden = hidden.repeat_interleave(step, axis).narrow(axis, 0, shape[axis - 2])
    return hidden


def masked_error(restored: Tensor, views: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error over the hidden voxels of all channels; views (V, C, z, y, x), hidden (V, 1, z, y, x)."""
    squares = (restored - views) ** 2 * hidden
    return squares.sum() / (hidden.sum() * views.shape[1])


def pad_to_multiple(views: Tensor, divisor: Sequence[int]) -> Tensor:
    """Repeat the last voxels along z, y and x up to multiples of ``divisor``: a decoder meets its skips only there."""
    missing = [-length % step for length, step in zip(views.shape[2:], divisor, strict=True)]
    return F.pad(views, [width for length in reversed(missing) for width in (0, length)], mode="replicate")
