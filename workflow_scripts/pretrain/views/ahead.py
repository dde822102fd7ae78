"""The next batch is made while the present one is learned from."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from workflow_scripts.pretrain.views.batches import Batch

Inputs = TypeVar("Inputs")


def prepared(
    batches: Iterator[Batch], prepare: Callable[[Batch], Inputs], device: torch.device
) -> Iterator[tuple[Batch, Inputs]]:
    """Yield each batch with what ``prepare`` makes of it: tensors, alone or in sequences and mappings.

    On a GPU a batch is cut and prepared on a stream of its own, beside the step on the batch before it.
    """
    pairs = ((batch, prepare(batch)) for batch in batches)
    return pairs if device.type == "cpu" else _one_ahead(pairs, device)


def _one_ahead(pairs: Iterator[tuple[Batch, Inputs]], device: torch.device) -> Iterator[tuple[Batch, Inputs]]:
    here, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)

    def following() -> tuple[Batch, Inputs] | None:
        # All steps queued so far come first, so that no more than one batch lies ready.
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            return next(pairs, None)

    ready = following()
    while ready is not None:
        batch, inputs = ready
        here.wait_stream(aside)
        for tensor in (*tensors_in(inputs), *(views.plain for views in batch)):
            tensor.record_stream(here)  # its memory is not used again before a step is done with it
        ready = following()
        yield batch, inputs


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested mappings and sequences."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping | list | tuple):
        for branch in tree.values() if isinstance(tree, Mapping) else tree:
            yield from tensors_in(branch)
