"""What an encoder says of a whole head: the average over space of its last feature maps (paper 3.4.3)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import torch
from torch import Tensor, nn


class Representation(nn.Module):
    """An encoder of stages followed by the average over space: (B, C, z, y, x) to (B, features)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        """Average the feature maps of the last stage."""
        return self.encoder(images)[-1].mean(dim=(2, 3, 4))

    def total(self, images: Tensor) -> Tensor:
        """Sum all elements of the representation, (B,): what the attribution explains."""
        return self(images).sum(dim=1)


def background_of(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Return the value of each channel (C, 1, 1, 1) outside the brain; its minimum when the brain fills the image."""
    outside = ~brain
    values = [np.median(channel[outside]) if outside.any() else channel.min() for channel in image]
    return np.asarray(values, np.float32).reshape(-1, 1, 1, 1)


def padded(image: np.ndarray, background: np.ndarray, stride: Sequence[int]) -> np.ndarray:
    """Pad (C, z, y, x) at the far ends with the background, to whole steps of the encoder and two steps at least.

    With a single position left at the last stage, instance normalisation has no variance to divide by.
    """
    size = [max(2, -(-length // step)) * step for length, step in zip(image.shape[1:], stride, strict=True)]
    canvas = np.broadcast_to(background, (len(image), *size)).copy()
    canvas[:, : image.shape[1], : image.shape[2], : image.shape[3]] = image
    return canvas


def stride_of(architecture: Mapping[str, Any]) -> list[int]:
    """Return the voxels (z, y, x) that one position of the last stage stands for."""
    return np.prod(architecture["arch_kwargs"]["strides"], axis=0).astype(int).tolist()


def read_case(arrays: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the normalised image (C, z, y, x) and the brain mask (z, y, x) of a case of a dataset."""
    image = blosc2.open(str(arrays / f"{key}.b2nd"), mode="r")[:]
    brain = blosc2.open(str(arrays / f"{key}_seg.b2nd"), mode="r")[0] > 0
    return np.asarray(image, np.float32), np.asarray(brain)


def embed(
    models: Sequence[nn.Module], dataset: Path, keys: Sequence[str], stride: Sequence[int], device: str
) -> np.ndarray:
    """Return the representation of each case by each model, (models, n, features); each image is read once."""
    features = []
    for key in keys:
        image, brain = read_case(dataset / "arrays", key)
        prepared = torch.from_numpy(padded(image, background_of(image, brain), stride))[None].to(device)
        with torch.no_grad():
            features.append(np.stack([model(prepared)[0].cpu().numpy() for model in models]))
    return np.stack(features, axis=1)
