"""Memory that a process keeps, in place of fresh pages from the kernel at every step."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_heap() -> bool:
    """Ask glibc to keep what this process frees and to use it again, from now on.

    On a CPU the activations of one step are as large as those of the step before. Left alone, glibc gives most of them
    back to the kernel, and fresh pages cost a good part of the next step (`python -m tests.benchmarks.heap`). The
    command line does this by itself; in a program of your own it is for you to decide, since it holds for the whole
    process: memory that was once in use stays with it.

    Returns:
        Whether it was done: False where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))
