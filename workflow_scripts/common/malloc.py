"""Freed memory that is kept for the next array."""

import ctypes

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Make the C library keep freed memory for the next array of this process; do nothing without glibc.

    By default it returns every array over 32 MB to the kernel, which clears the pages when they are requested again.
    Images and feature maps are that large and short-lived: a step of pretraining spent a third of its time on this.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)
