"""What to do when a step does not fit into memory: say which batch would."""

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.out_of_memory import is_lack_of_memory
from workflow_scripts.pretrain.distributed import Processes
from workflow_scripts.pretrain.methods.method import Method
from workflow_scripts.pretrain.settings import PretrainSettings
from workflow_scripts.pretrain.views.batches import Batch


def step_within_memory(
    method: Method, batch: Batch, inputs: Any, step: int, settings: PretrainSettings, processes: Processes
) -> Tensor:
    """Learn from what the method made of a batch; see `Method.step`.

    Raises
    ------
    InputError
        when memory does not suffice, with the largest batch that did. That is measured: parts of the same batch, each
        half of the one before, are tried until one fits. (A process that shares its batch with others cannot try
        without them, and names no size.) The method is of no use afterwards.
    """
    try:
        return method.step(inputs, step)
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
    # Outside the handler: its traceback holds what the failed step had allocated.
    device = batch[0].plain.device.type
    if processes.size > 1:
        remedy = "raise pretrain.accumulate (of desd and mae) or resources.pretrain.gpu, or lower pretrain.batch_size."
    elif (fitting := _fitting_size(method, batch, step, settings)) is None:
        remedy = "lower pretrain.patch_size or pretrain.projection_head: not even one image at a time fits."
    else:
        parts = settings.accumulate * -(-settings.batch_size // fitting)
        remedy = (
            f"set pretrain.batch_size to {fitting}: a step of that size fitted when tried just now; or, with desd and "
            f"mae, pretrain.accumulate to {parts}, for the same result in more time."
        )
    raise InputError(f"A step of batch_size {settings.batch_size} needs more memory than the {device} has.", remedy)


def _fitting_size(method: Method, batch: Batch, step: int, settings: PretrainSettings) -> int | None:
    for size in smaller_sizes(settings):
        _release()
        try:
            method.step(method.inputs(first_images(batch, size, settings.batch_size)), step)
        except (MemoryError, RuntimeError) as error:
            if not is_lack_of_memory(error):
                raise
        else:
            return size
    return None


def first_images(batch: Batch, size: int, images: int) -> Batch:
    """Return the views of the first ``size`` of a batch's ``images``."""
    return tuple(views.of(np.arange(len(views.plain)).reshape(-1, images)[:, :size].reshape(-1)) for views in batch)


def smaller_sizes(settings: PretrainSettings) -> Iterator[int]:
    """Yield batch sizes, each at most half of the one before, that divide the samples of an epoch."""
    size = settings.batch_size // 2
    while size:
        if settings.samples_per_epoch % size == 0:
            yield size
            size //= 2
        else:
            size -= 1


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
