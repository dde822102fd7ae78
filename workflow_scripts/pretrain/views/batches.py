"""Batches of views, each decided by seed, purpose, epoch and place in the epoch alone."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

import numpy as np
import torch
from torch import Tensor

from workflow_scripts.common import seeds
from workflow_scripts.common.memory import free_memory
from workflow_scripts.pretrain.distributed import Processes
from workflow_scripts.pretrain.settings import PretrainSettings
from workflow_scripts.pretrain.views.augment import Parameters, augment, draw_parameters, flip
from workflow_scripts.pretrain.views.crops import BrainBoxes, Crops, draw_views, read_view
from workflow_scripts.pretrain.views.on_device import ScansOnDevice, images_fit
from workflow_scripts.pretrain.views.scans import Scan

Drawn = list[tuple[Crops, Parameters]]


class Purpose(IntEnum):
    """Streams of random numbers that never meet."""

    TRAINING = 1
    VALIDATION = 2
    RANKME = 3


@dataclass(frozen=True)
class Views:
    """Views (V, C, z, y, x) of one patch size as they were cut, and what the augmentations are to do to them."""

    plain: Tensor
    parameters: Parameters

    def of(self, rows: np.ndarray) -> Self:
        """Return some of the views."""
        return Views(self.plain[torch.from_numpy(rows)], self.parameters.of(rows))

    def augmented(self) -> Tensor:
        """Apply all augmentations."""
        return augment(self.plain, self.parameters)

    def flipped(self) -> Tensor:
        """Flip the views and leave their intensities as they are."""
        return flip(self.plain, self.parameters.flip)


# Views of the patch size: the first ones of B images, then their second ones. With multi-crop the local views as well.
Batch = tuple[Views, ...]


class Source:
    """Batches of views of some scans, on the training device.

    Every process of a training draws the whole batch, which costs little, and reads the views of its own images: the
    views do not depend on the number of processes. On a GPU the images lie there in half precision where they fit
    beside a step, which takes ``step_bytes``; else the next batch is read on ``threads`` threads while one is used,
    from memory where the images fit there, which gives the same views as their files.
    """

    def __init__(
        self,
        scans: Sequence[Scan],
        settings: PretrainSettings,
        device: torch.device,
        threads: int,
        processes: Processes,
        step_bytes: int = 0,
    ) -> None:
        self._scans = scans
        self._settings = settings
        self.device = device
        self._threads = threads
        self._processes = processes
        self._boxes = BrainBoxes.of(scans)
        free = torch.cuda.mem_get_info(device)[0] - step_bytes if device.type == "cuda" else 0
        where = settings.images_on_device
        on_device = where == "always" or (where == "auto" and images_fit(scans, free))
        self._on_device = ScansOnDevice(scans, device) if on_device else None
        if where == "auto" and not on_device and images_fit(scans, free_memory() / processes.size, bytes_each=4):
            self._scans = [scan.in_memory() for scan in scans]

    def batches(self, purpose: Purpose, epoch: int, samples: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number ``first`` on; for RankMe, one view of each image itself."""
        size = self._settings.batch_size
        order = draw_order(len(self._scans), samples, self._settings.seed, purpose, epoch)
        numbers = range(first, -(-samples // size))
        drawn = (self._draw(order[number * size :][:size], purpose, epoch, number) for number in numbers)
        return map(self._read, drawn) if self._on_device else self._read_ahead(drawn)

    def _draw(self, chosen: np.ndarray, purpose: Purpose, epoch: int, number: int) -> Drawn:
        rng = seeds.generator(self._settings.seed, f"pretrain {purpose.name.lower()} views", epoch, number)
        groups = draw_views(self._boxes, chosen, self._settings, rng)
        if purpose is Purpose.RANKME:
            first = groups[0].of(np.arange(len(chosen)))
            groups = [replace(first, mirrored=np.zeros_like(first.mirrored), angle=np.zeros_like(first.angle))]
        drawn = []
        for crops in groups:
            own = np.arange(len(crops)).reshape(-1, len(chosen))[:, self._processes.share(len(chosen))].reshape(-1)
            drawn.append((crops.of(own), draw_parameters(self._settings, len(crops), rng).of(own)))
        return drawn

    def _read(self, drawn: Drawn) -> Batch:
        patches = self._settings.patch_sizes
        return tuple(
            Views(self._on_device.read(crops, patch), parameters)
            for (crops, parameters), patch in zip(drawn, patches, strict=False)
        )

    def _read_ahead(self, drawn: Iterator[Drawn]) -> Iterator[Batch]:
        with ThreadPoolExecutor(self._threads) as pool:
            waiting: deque[list[tuple[Tensor, list[Future], Parameters]]] = deque()
            for parts in drawn:
                waiting.append(
                    [
                        (*self._submit(pool, crops, patch), parameters)
                        for (crops, parameters), patch in zip(parts, self._settings.patch_sizes, strict=False)
                    ]
                )
                if len(waiting) > 1:
                    yield self._collect(waiting.popleft())
            while waiting:
                yield self._collect(waiting.popleft())

    def _submit(self, pool: ThreadPoolExecutor, crops: Crops, patch: Sequence[int]) -> tuple[Tensor, list[Future]]:
        """Let a pool read views into memory from which a GPU copies while the host goes on."""
        views = torch.empty(len(crops), len(self._settings.channels), *patch, pin_memory=self.device.type == "cuda")
        return views, [pool.submit(self._read_one, crops, index, views[index]) for index in range(len(crops))]

    def _read_one(self, crops: Crops, index: int, view: Tensor) -> None:
        place = crops.start[index].tolist(), crops.size[index].tolist(), bool(crops.mirrored[index])
        view.copy_(read_view(self._scans[crops.scan[index]], *place, view.shape[1:], float(crops.angle[index])))

    def _collect(self, groups: Sequence[tuple[Tensor, Sequence[Future], Parameters]]) -> Batch:
        batch = []
        for views, futures, parameters in groups:
            for future in futures:
                future.result()
            batch.append(Views(views.to(self.device, non_blocking=True), parameters))
        return tuple(batch)


def draw_order(count: int, samples: int, seed: int, purpose: Purpose, epoch: int) -> np.ndarray:
    """Return ``samples`` indices below ``count``: whole shuffles one after the other, so all come up equally often."""
    rng = seeds.generator(seed, f"pretrain {purpose.name.lower()} order", epoch)
    shuffles = [rng.permutation(count) for _ in range(-(-samples // count))]
    return np.concatenate(shuffles)[:samples]
