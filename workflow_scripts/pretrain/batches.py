"""Batches of augmented view pairs, each decided by seed, purpose, epoch, step and place in the batch alone."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from workflow_scripts.pretrain.augment import Parameters, augment, draw_parameters, stack_parameters
from workflow_scripts.pretrain.cohort import Scan
from workflow_scripts.pretrain.settings import Settings
from workflow_scripts.pretrain.views import draw_views, read_view


class Purpose(IntEnum):
    """Streams of random numbers that never meet."""

    ORDER = 0
    TRAINING = 1
    VALIDATION = 2
    RANKME = 3


@dataclass(frozen=True)
class Batch:
    """Views (V, C, z, y, x) as they were cut, and what the augmentations are to do to them.

    Pairs stand apart: the first views of all images, then their second views.
    """

    views: Tensor
    parameters: Parameters

    def augmented(self, device: torch.device) -> Tensor:
        """Move the views to a device and augment them there."""
        return augment(self.plain(device), self.parameters)

    def plain(self, device: torch.device) -> Tensor:
        """Move the views to a device as they are."""
        return self.views.to(device, non_blocking=True)


def draw_order(count: int, samples: int, seed: int, purpose: Purpose, epoch: int) -> np.ndarray:
    """Return ``samples`` indices below ``count``: whole shuffles one after the other, so all come up equally often."""
    rng = np.random.default_rng([seed, Purpose.ORDER, purpose, epoch])
    shuffles = [rng.permutation(count) for _ in range(-(-samples // count))]
    return np.concatenate(shuffles)[:samples]


def make_sample(
    scan: Scan, settings: Settings, purpose: Purpose, epoch: int, position: int
) -> list[tuple[Tensor, Parameters]]:
    """Draw and read the pair of views at a ``position`` of an epoch; for RankMe, one view of the image itself."""
    rng = np.random.default_rng([settings.seed, purpose, epoch, position])
    crops = draw_views(scan, settings, rng)
    if purpose is Purpose.RANKME:
        crops = (replace(crops[0], mirrored=False),)
    return [(read_view(scan, crop, settings.patch_size), draw_parameters(settings, rng)) for crop in crops]


def batches(
    scans: Sequence[Scan], settings: Settings, purpose: Purpose, epoch: int, samples: int, threads: int, first: int = 0
) -> Iterator[Batch]:
    """Yield the batches of an epoch from number ``first`` on.

    The next one is read on ``threads`` threads while one is used.
    """
    order = draw_order(len(scans), samples, settings.seed, purpose, epoch)
    starts = range(first * settings.batch_size, samples, settings.batch_size)
    with ThreadPoolExecutor(threads) as pool:

        def submit(start: int) -> list[Future]:
            places = range(start, min(start + settings.batch_size, samples))
            return [pool.submit(make_sample, scans[order[i]], settings, purpose, epoch, i) for i in places]

        waiting: deque[list[Future]] = deque()
        for start in starts:
            waiting.append(submit(start))
            if len(waiting) > 1:
                yield _collect(waiting.popleft())
        while waiting:
            yield _collect(waiting.popleft())


def _collect(futures: Sequence[Future]) -> Batch:
    pairs = zip(*(future.result() for future in futures), strict=True)
    views, parameters = zip(*(view for side in pairs for view in side), strict=True)
    return Batch(torch.stack(views), stack_parameters(parameters))
