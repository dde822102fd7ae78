"""One pretraining by the project's engine; one training on labelled heads, of nnU-Net's network, loss and optimiser.

The second is smaller than the workflow's finetuning: no worker processes, and of the augmentations reflections,
brightness and contrast alone. nnU-Net's own took minutes where this takes seconds.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window
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

# nnU-Net's 0.01 and 0.99 take some hundred steps to get going; these go half as far a step, from the first on.
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, CLIP = 0.05, 0.9, 3e-5, 12.0
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


def padded(found: Sequence[Head], statistics: Statistics, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Heads in one array, padded with background to one shape, a patch at least: float32, int64 (N, 1, z, y, x)."""
    shape = np.max([sizes.patch, *(head.image.shape for head in found)], axis=0)
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
    """Train on patches of these heads, from ``encoder`` or from scratch; equal seeds see the same patches alike."""
    torch.manual_seed(seed)
    network = build_planned(architecture(sizes), 1, 2, deep_supervision=False).to(device).train()
    if encoder is not None:
        network.encoder.load_state_dict(encoder)
    rng = seeds.generator(seed, "transfer batches")
    lesions = [np.argwhere(label[0].numpy() > 0) for label in labels]
    loss = DC_and_CE_loss(
        {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}, {}, dice_class=MemoryEfficientSoftDiceLoss
    )
    optimiser = torch.optim.SGD(
        network.parameters(), LEARNING_RATE, momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    for step in range(sizes.steps):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / sizes.steps) ** 0.9
        views, wanted = (part.to(device) for part in patches(images, labels, lesions, sizes, rng))
        optimiser.zero_grad(set_to_none=True)
        with half(device):
            found = network(views)
        loss(found.float(), wanted).backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
    return network.eval()


def patches(
    images: Tensor, labels: Tensor, lesions: Sequence[np.ndarray], sizes: Sizes, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A batch, augmented; every second patch lies around a voxel of a lesion, as far as the head reaches."""
    views, wanted = [], []
    for number in range(sizes.batch):
        row, room = int(rng.integers(len(images))), np.subtract(images.shape[2:], sizes.patch)
        if number % 2 and len(lesions[row]):
            start = np.clip(rng.choice(lesions[row]) - np.array(sizes.patch) // 2, 0, room)
        else:
            start = rng.integers(room + 1)
        box = (row, slice(None), *map(slice, start, start + sizes.patch))
        axes = [axis for axis in (1, 2, 3) if rng.random() < 0.5]
        factor, shift = rng.uniform(0.85, 1.15), rng.normal(0, 0.1)
        views.append(images[box].flip(axes) * factor + shift)
        wanted.append(labels[box].flip(axes))
    return torch.stack(views), torch.stack(wanted)


def half(device: torch.device) -> torch.autocast:
    """Mixed precision, as nnU-Net trains; of bfloat16, so that a CPU gives what a GPU gives, and no loss is scaled."""
    return torch.autocast(device.type, torch.bfloat16)


@torch.no_grad()
def dice(network: nn.Module, images: Tensor, labels: Tensor, sizes: Sizes, device: torch.device) -> np.ndarray:
    """Dice of each head, (N,), from windows of the patches' size as nnU-Net's; 0 where nothing is found."""
    starts = list(product(*compute_steps_for_sliding_window(images.shape[2:], sizes.patch, 0.5)))
    weights = compute_gaussian(tuple(sizes.patch), device=device, dtype=torch.float32)
    scores = []
    for image, label in zip(images.to(device), labels.to(device) > 0, strict=True):
        boxes = [(slice(None), *(slice(a, a + b) for a, b in zip(start, sizes.patch, strict=True))) for start in starts]
        with half(device):
            windows = network(torch.stack([image[box] for box in boxes])).float() * weights
        sums = torch.zeros((windows.shape[1], *image.shape[1:]), device=device)
        for box, window in zip(boxes, windows, strict=True):
            sums[box] += window
        found = sums.argmax(0, keepdim=True) > 0
        scores.append(2.0 * (found & label).sum() / (found.sum() + label.sum()))
    return torch.stack(scores).cpu().numpy().astype(np.float64)


@torch.no_grad()
def features(encoder: nn.Module, images: Tensor, device: torch.device) -> np.ndarray:
    """Spatial mean of the last stage, (N, features)."""
    rows = [F.adaptive_avg_pool3d(encoder(image[None].to(device))[-1], 1).flatten() for image in images]
    return torch.stack(rows).cpu().numpy()
