"""Reuse of freed memory, instead of fresh pages from the kernel at every step."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_heap() -> bool:
    """Tell glibc to reuse freed memory instead of returning it to the system.

    On a CPU the activations of one step are as large as those of the step before. By default glibc returns most of them
    to the kernel, and fresh pages take a good part of the next step (`python -m tests.benchmarks.heap`). The command
    line calls this itself; programs must call it explicitly, because it affects the whole process: its memory use
    stays at its peak.

    Returns:
        True on success; False if the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))
