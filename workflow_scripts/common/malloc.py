"""Memory that is used again instead of being handed back."""

import ctypes

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next array of this process; elsewhere than on glibc do nothing.

    By default it returns every array over 32 MB to the kernel, which clears its pages when they are asked for again.
    Images and feature maps are that large and short-lived: a step of pretraining spent a third of its time so.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)
