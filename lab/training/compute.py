"""How torch computes while training: one thread, a heap that keeps its pages.

References: the measurements in the training benchmark, `make bench-train`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_DEVICES = ("cpu", "cuda", "mps")


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside, the former number after: results then do not depend on the number of cores."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(former)


def keep_heap() -> bool:
    """Tell glibc to keep freed blocks instead of returning them to the system; False where there is no glibc.

    Notes:
        Activations of one step are freed and taken again in the next; returning them costs a storm of page faults.
    """
    try:
        libc = ctypes.CDLL(None)
        return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
    except (OSError, AttributeError, TypeError):
        return False


def device(name: str) -> torch.device:
    """The device of this name, refused if absent. Results of `mps` are advisory.

    Raises:
        ValueError: an unknown name, or a device that this machine lacks.
    """
    if name not in _DEVICES:
        raise ValueError(f"device must be one of {', '.join(_DEVICES)}, got {name!r}")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[name]:
        raise ValueError(f"device {name!r} is not on this machine; train on 'cpu'")
    return torch.device(name)
