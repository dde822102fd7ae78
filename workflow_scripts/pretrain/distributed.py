"""The processes that share a training: one, or several under torchrun with PyTorch's own data parallelism."""

import gc
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from workflow_scripts.common.errors import InputError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """This process's number among ``size``; a training of one process communicates nothing."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, count: int) -> np.ndarray:
        """Return which of ``count`` images are this process's own."""
        return np.array_split(np.arange(count), self.size)[self.rank]

    def sum(self, values: Tensor) -> Tensor:
        """Add up a tensor over all processes."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """Average a tensor over all processes."""
        return self.sum(values) / self.size

    def any(self, condition: bool) -> bool:
        """Whether a condition holds on some process; compared on the host, so that no GPU is waited for."""
        return bool(self.sum(torch.tensor(int(condition))))

    def wait(self) -> None:
        """Wait until every process has come here."""
        self.any(False)

    def from_first(self, function: Callable[[], Result]) -> Result:
        """Call a function in the first process alone, and return its result, or raise its `InputError`, in all."""
        if self.size == 1:
            return function()
        result, refused = None, None
        if self.first:
            try:
                result = function()
            except InputError as error:
                refused = error.problem, error.remedy
        told = [result, refused]
        dist.broadcast_object_list(told, device=torch.device("cpu"))
        result, refused = told
        if refused:
            raise InputError(*refused)
        return result

    def rows(self, values: Tensor) -> Tensor:
        """Join the rows of all processes' matrices, of which each may have another number, on the CPU."""
        if self.size == 1:
            return values.cpu()
        parts: list[Tensor | None] = [None] * self.size
        dist.all_gather_object(parts, values.cpu())
        return torch.cat(parts)


ALONE = Processes()


def process_count() -> int:
    """Return how many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_here() -> int:
    """Return how many of them torchrun started on this machine, whose cores they share; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that torchrun started; yields this one's place and its own device.

    Without torchrun there is one process and nothing to join. Tensors on the CPU are exchanged by gloo, those on GPUs
    by NCCL.
    """
    size = process_count()
    if size == 1:
        yield Processes(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), size), device
    except Exception as error:
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        # A data-parallel network that outlives its group, in a traceback or a cycle, can hang the process at its end.
        gc.collect()
        dist.destroy_process_group()
