"""Batches of patches in a fixed order, whose random choices depend on seed and number alone.

So a resumed training sees the batches that it would have seen, however many processes make them.
"""

import random
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from torch.utils.data import DataLoader, Dataset

from workflow_scripts.common import seeds
from workflow_scripts.common.interruption import WARNINGS


def numbered_batches(
    loader: nnUNetDataLoader, seed: int, purpose: str, numbers: range, workers: int, pin_memory: bool
) -> Iterator[dict[str, Any]]:
    """Yield the batches of ``numbers``, made by some processes ahead of their use, or by this one where there are none.

    A batch is nnU-Net's: ``data`` of shape (B, C, Z, Y, X), ``target``, one of each resolution, and ``keys``.
    """
    batches = DataLoader(
        _Numbered(loader, seed, purpose),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_deaf,
        multiprocessing_context="fork" if workers else None,
    )
    return iter(batches)


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch; nnU-Net draws from the global generators of all three."""
    random.seed(seed)
    np.random.set_bit_generator(np.random.MT19937(seed))
    torch.manual_seed(seed)


class _Numbered(Dataset):
    def __init__(self, loader: nnUNetDataLoader, seed: int, purpose: str) -> None:
        self._loader = loader
        self._seed = seed
        self._purpose = purpose

    def __getitem__(self, number: int) -> dict[str, Any]:
        seed_everything(seeds.integer(self._seed, self._purpose, number))
        return next(self._loader)


def _deaf(worker: int) -> None:
    """Leave a scheduler's warning to the training, which still needs batches until it has saved."""
    del worker
    for number in WARNINGS:
        signal.signal(number, signal.SIG_IGN)
