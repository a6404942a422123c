"""From what a network draws to pixels: rounding, and the one thread on which a decoder draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def rounded(frames: torch.Tensor) -> torch.Tensor:
    """Frames as pixels hold them, uint8."""
    return frames.round().clamp(0.0, 255.0).to(torch.uint8)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: how many there are decides the last bits of a convolution."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(former)
