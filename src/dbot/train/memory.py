"""Main memory that a step has freed stays with the process, for the next step."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Tell the C library to keep what is freed instead of handing it back to the system; nothing happens where it isn't glibc.

    A step on a CPU frees all its activations and asks for as many again. Of memory that was handed back, every page is then
    faulted in and zeroed anew. The process keeps the most that it ever had; what it computes has the same bits.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)
