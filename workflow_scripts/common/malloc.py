"""Freed memory that is kept for the next array."""

import ctypes

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
DEFAULT_TRIM_THRESHOLD, DEFAULT_MMAP_MAX = 2**17, 2**16


def keep_freed_memory() -> None:
    """Make the C library keep freed memory for the next array of this process; do nothing without glibc.

    By default it returns every array over 32 MB to the kernel, which clears the pages when they are requested again.
    Images and feature maps are that large and short-lived: a step of pretraining spent a third of its time on this.
    """
    _set(trim_threshold=-1, mmap_max=0)


def return_freed_memory() -> None:
    """Undo `keep_freed_memory`: slower, and no more memory is held than arrays are alive."""
    _set(DEFAULT_TRIM_THRESHOLD, DEFAULT_MMAP_MAX)


def _set(trim_threshold: int, mmap_max: int) -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, mmap_max)
        library.mallopt(M_TRIM_THRESHOLD, trim_threshold)
