"""How torch computes while training: on which device, and on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

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
