"""One pretraining by the project's engine; one training on labelled heads, of nnU-Net's network, loss and optimiser.

The second is smaller than the workflow's finetuning: whole heads instead of patches, no worker processes, and of the
augmentations reflections, brightness and contrast alone. nnU-Net's own took minutes where this takes seconds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from tests.benchmarks.transfer.heads import Head, normalise
from tests.benchmarks.transfer.sizes import Sizes, architecture
from workflow_scripts.common import seeds
from workflow_scripts.common.nnunet.network import build_planned
from workflow_scripts.common.saved_states import States
from workflow_scripts.pretrain.engine.loop import Trained, pretrain
from workflow_scripts.pretrain.settings import PretrainSettings
from workflow_scripts.pretrain.views.scans import Cohort, describe_scan

# nnU-Net's but for the momentum: with its 0.99, 400 steps from a trained encoder end in a network that finds nothing.
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, CLIP = 0.01, 0.9, 3e-5, 12.0
Statistics = tuple[float, float, float, float]


def pretrained(
    found: Sequence[Head],
    statistics: Statistics,
    settings: PretrainSettings,
    sizes: Sizes,
    device: torch.device,
    state: Path,
) -> Trained:
    """Pretrain on heads without their labels."""
    scans = [
        describe_scan(
            f"A/{number}",
            "train",
            normalise(head.image, statistics)[None],
            head.brain,
            normalise(head.mirrored, statistics)[None],
        )
        for number, head in enumerate(found)
    ]
    return pretrain(Cohort(tuple(scans), {}), architecture(sizes), settings, device, 1, States(state))


def boxes(found: Sequence[Head], statistics: Statistics, divisor: int) -> tuple[Tensor, Tensor]:
    """Heads in one array each, padded with background: float32 and int64 (N, 1, z, y, x), edges ``divisor`` divides."""
    shape = np.max([head.image.shape for head in found], axis=0)
    shape = -(-shape // divisor) * divisor
    background = float(normalise(np.array([-1000.0]), statistics)[0])
    images = torch.full((len(found), 1, *shape.tolist()), background)
    labels = torch.zeros(images.shape, dtype=torch.int64)
    for index, head in enumerate(found):
        inside = (index, 0, *(slice(length) for length in head.image.shape))
        images[inside] = torch.from_numpy(normalise(head.image, statistics))
        labels[inside] = torch.from_numpy(head.lesion.astype(np.int64))
    return images, labels


def finetuned(
    images: Tensor, labels: Tensor, encoder: Mapping[str, Any] | None, sizes: Sizes, seed: int, device: torch.device
) -> nn.Module:
    """Train on all of these heads, from ``encoder`` or from scratch; equal seeds see the same heads alike."""
    torch.manual_seed(seed)
    network = build_planned(architecture(sizes), 1, 2, deep_supervision=False).to(device).train()
    if encoder is not None:
        network.encoder.load_state_dict(encoder)
    images, labels, rng = images.to(device), labels.to(device), seeds.generator(seed, "transfer batches")
    loss = DC_and_CE_loss(
        {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}, {}, dice_class=MemoryEfficientSoftDiceLoss
    )
    optimiser = torch.optim.SGD(
        network.parameters(), LEARNING_RATE, momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    for step in range(sizes.steps):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / sizes.steps) ** 0.9
        rows = torch.from_numpy(rng.integers(len(images), size=sizes.batch)).to(device)
        views, wanted = augmented(images[rows], labels[rows], rng)
        optimiser.zero_grad(set_to_none=True)
        with half(device):
            found = network(views)
        loss(found.float(), wanted).backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
    return network.eval()


def half(device: torch.device) -> torch.autocast:
    """Mixed precision, as nnU-Net trains; of bfloat16, so that a CPU gives what a GPU gives, and no loss is scaled."""
    return torch.autocast(device.type, torch.bfloat16)


def augmented(images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Reflect on any axis; change brightness and contrast around it."""
    axes = [axis for axis in (2, 3, 4) if rng.random() < 0.5]
    factor, shift = rng.uniform(0.85, 1.15), rng.normal(0, 0.1)
    return images.flip(axes) * factor + shift, labels.flip(axes)


@torch.no_grad()
def dice(network: nn.Module, images: Tensor, labels: Tensor, device: torch.device) -> np.ndarray:
    """Dice of each head, (N,); 0 where nothing is found."""
    scores = []
    for image, label in zip(images, labels, strict=True):
        with half(device):
            found = network(image[None].to(device)).argmax(1) > 0
        true = label.to(device) > 0
        scores.append(2.0 * (found & true).sum() / (found.sum() + true.sum()))
    return torch.stack(scores).cpu().numpy().astype(np.float64)


@torch.no_grad()
def features(encoder: nn.Module, images: Tensor, device: torch.device) -> np.ndarray:
    """Spatial mean of the last stage, (N, features)."""
    rows = [F.adaptive_avg_pool3d(encoder(image[None].to(device))[-1], 1).flatten() for image in images]
    return torch.stack(rows).cpu().numpy()
