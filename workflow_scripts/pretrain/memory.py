"""What to do when a step does not fit into memory: say which batch would."""

import gc
from collections.abc import Iterator

import torch
from torch import Tensor

from workflow_scripts.common.errors import InputError
from workflow_scripts.pretrain.batches import Batch
from workflow_scripts.pretrain.schedules import StepValues
from workflow_scripts.pretrain.settings import Settings
from workflow_scripts.pretrain.step import Distillation


def step_within_memory(
    learner: Distillation, batch: Batch, values: StepValues, frozen_last_layer: bool
) -> tuple[Tensor, Tensor]:
    """Augment a batch and learn from it; see `Distillation.step`.

    Raises
    ------
    InputError
        when memory does not suffice, with the largest batch that did. That is measured: parts of the same batch, each
        half of the one before, are tried until one fits. The learner is of no use afterwards.
    """
    try:
        return learner.step(batch.augmented(learner.device), values, frozen_last_layer)
    except RuntimeError as error:
        if not _is_lack_of_memory(error):
            raise
    # Outside the handler: its traceback holds what the failed step had allocated.
    fitting = _fitting_size(learner, batch, values, frozen_last_layer)
    raise InputError(
        f"A step of batch_size {learner.settings.batch_size} needs more memory than the {learner.device.type} has.",
        "lower pretrain.patch_size or pretrain.head: not even one image at a time fits."
        if fitting is None
        else f"set pretrain.batch_size to {fitting}: a step of that size fitted when tried just now.",
    )


def _fitting_size(learner: Distillation, batch: Batch, values: StepValues, frozen_last_layer: bool) -> int | None:
    images = batch.views.unflatten(0, (-1, learner.settings.batch_size))
    for size in smaller_sizes(learner.settings):
        _release(learner)
        try:
            learner.step(images[:, :size].flatten(0, 1).to(learner.device), values, frozen_last_layer)
        except RuntimeError as error:
            if not _is_lack_of_memory(error):
                raise
        else:
            return size
    return None


def smaller_sizes(settings: Settings) -> Iterator[int]:
    """Yield batch sizes, each at most half of the one before, that divide the samples of an epoch."""
    size = settings.batch_size // 2
    while size:
        if settings.samples_per_epoch % size == 0:
            yield size
            size //= 2
        else:
            size -= 1


def _release(learner: Distillation) -> None:
    learner.optimiser.zero_grad(set_to_none=True)
    gc.collect()
    if learner.device.type == "cuda":
        torch.cuda.empty_cache()


def _is_lack_of_memory(error: RuntimeError) -> bool:
    """Whether an error is torch's for a full GPU or, on the CPU, its allocator's, which has no type of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
