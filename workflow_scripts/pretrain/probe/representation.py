"""What an encoder says of a whole head: the average over space of its last feature maps (paper 3.4.3)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workflow_scripts.common.nnunet.arrays import background_of, read_case


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


def padded(image: np.ndarray, background: np.ndarray, stride: Sequence[int]) -> np.ndarray:
    """Pad (C, z, y, x) at the far ends with the background, to whole steps of the encoder and two steps at least.

    With a single position left at the last stage, instance normalisation has no variance to divide by.
    """
    size = [max(2, -(-length // step)) * step for length, step in zip(image.shape[1:], stride, strict=True)]
    canvas = np.broadcast_to(background[:, None, None, None], (len(image), *size)).copy()
    canvas[:, : image.shape[1], : image.shape[2], : image.shape[3]] = image
    return canvas


def stride_of(architecture: Mapping[str, Any]) -> list[int]:
    """Return the voxels (z, y, x) that one position of the last stage stands for."""
    return np.prod(architecture["arch_kwargs"]["strides"], axis=0).astype(int).tolist()


def embed(
    models: Sequence[nn.Module], dataset: Path, keys: Sequence[str], stride: Sequence[int], device: torch.device
) -> np.ndarray:
    """Return the representation of each case by each model, (models, n, features); each image is read once."""
    features = []
    for key in keys:
        image, brain = read_case(dataset / "arrays", key)
        prepared = torch.from_numpy(padded(image, background_of(image, brain), stride))[None].to(device)
        with torch.no_grad():
            features.append(np.stack([model(prepared)[0].cpu().numpy() for model in models]))
    return np.stack(features, axis=1)
