"""How torch computes while training: on which device, and on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lab.errors import TrainingError

DEVICES = ("cpu", "cuda", "mps")
ADVISORY = ("mps",)


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
        TrainingError: an unknown name, or a device that this machine lacks.
    """
    if name not in DEVICES:
        raise TrainingError("device", expected=f"one of {', '.join(DEVICES)}", found=repr(name))
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[name]:
        there = ", ".join(device for device in DEVICES if present[device])
        raise TrainingError(
            f"device {name!r}", expected="a device that is on this machine and that torch was built for",
            found=f"only {there}", fix="train on cpu, or where the device is",
        )  # fmt: skip
    return torch.device(name)
