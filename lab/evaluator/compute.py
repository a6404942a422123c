"""How torch computes in every process of the bench: one thread, and a heap that keeps its blocks."""

from __future__ import annotations

import ctypes

import torch


def calm_torch(threads: int = 1) -> None:
    """One torch thread per process unless told otherwise, and a heap that keeps freed blocks.

    Notes:
        Two processes of two threads each on two cores were measured 85 times slower than one thread each. glibc
        returns large blocks to the kernel at every free unless told otherwise (M_MMAP_MAX, M_TRIM_THRESHOLD).
    """
    torch.set_num_threads(threads)
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)
        libc.mallopt(-1, 2**31 - 1)
    except (OSError, AttributeError):  # not glibc: nothing to tune
        return
