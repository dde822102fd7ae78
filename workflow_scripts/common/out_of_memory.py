"""Lack of memory, wherever it occurs, reported with its remedy."""

import errno
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from workflow_scripts.common.errors import MemoryShortage

log = logging.getLogger(__name__)

# Torch has a type of its own for a full GPU alone. Its allocator on the CPU, C++, oneDNN and the GPU's libraries raise
# a RuntimeError; oneDNN says "primitive descriptor" where memory is not the reason.
ON_GPU = re.compile(r"CUDA out of memory|CUDA error: out of memory|(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED")
ON_CPU = re.compile(r"DefaultCPUAllocator|bad_alloc|Cannot allocate memory|could not (create|execute) a primitive$")


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, numpy, torch or the operating system says that memory ran out."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and bool(ON_GPU.search(text) or ON_CPU.search(text))
    )


@contextmanager
def memory_shortage_told(remedy: str) -> Iterator[None]:
    """Turn lack of memory anywhere in a block, or in a function that this decorates, into a `MemoryShortage`."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        log.info("%s", error)
        where = "the GPU has" if ON_GPU.search(str(error)) else "this process can get"
        raise MemoryShortage(f"More memory is needed than {where}.", remedy) from None
