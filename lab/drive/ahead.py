"""Training batches made one process ahead of the steps that use them.

A batch follows from its step's number alone, so who makes it, and when, decides nothing about its bytes.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import TrainingError

Arrays = tuple[NDArray[Any], ...]
DEPTH = 4
"""Slots of the ring, so batches that may wait: enough to ride out a slow one, few enough to fit in memory."""
ALIGNED_BYTES = 64


class Ring:
    """Slots in memory that two processes share, each as large as one batch, used in turn.

    Notes:
        Two pipes carry one byte a batch: `filled` from the maker, `freed` back to it. A pipe whose other end has
        died reads as ended, so neither side waits for a process that is gone.
    """

    def __init__(self, pattern: Arrays) -> None:
        sizes = [-(-array.nbytes // ALIGNED_BYTES) * ALIGNED_BYTES for array in pattern]
        memory = mmap.mmap(-1, max(1, DEPTH * sum(sizes)))
        self.slots: list[Arrays] = []
        for slot in range(DEPTH):
            starts = [slot * sum(sizes) + sum(sizes[:k]) for k in range(len(sizes))]
            self.slots.append(
                tuple(
                    np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
                    for array, start in zip(pattern, starts, strict=True)
                )
            )
        self.filled, self.freed = os.pipe(), os.pipe()

    def write_all(self, make: Callable[[int], Arrays], steps: range) -> None:
        """The maker's side: each step's batch into the next slot that is free; ends early if its reader has."""
        os.close(self.filled[0])
        os.close(self.freed[1])
        for turn, step in enumerate(steps):
            batch = make(step)
            slot = self.slots[turn % DEPTH]
            if [(a.shape, a.dtype) for a in batch] != [(a.shape, a.dtype) for a in slot]:
                raise TrainingError(
                    f"batch of step {step}",
                    expected=f"arrays like the first batch's, {[(a.shape, str(a.dtype)) for a in slot]}",
                    found=f"{[(a.shape, str(a.dtype)) for a in batch]}",
                )
            if turn >= DEPTH and not os.read(self.freed[0], 1):
                return
            for array, place in zip(batch, slot, strict=True):
                np.copyto(place, array)
            os.write(self.filled[1], b"+")

    def begin_reading(self) -> None:
        """The reader's side, once the maker runs: lets go of the maker's ends."""
        os.close(self.filled[1])
        os.close(self.freed[0])

    def free(self) -> None:
        """Give the oldest slot back; a maker that has ended needs none."""
        try:
            os.write(self.freed[1], b"-")
        except BrokenPipeError:
            return

    def close(self) -> None:
        """Close the reader's ends."""
        os.close(self.filled[0])
        os.close(self.freed[1])


@contextmanager
def ahead(make: Callable[[int], Arrays], steps: range) -> Iterator[Iterator[Arrays]]:
    """The batches of these steps, in order, made by a forked process that ends with the block.

    Args:
        make: gives the arrays of a step from its number, in the same shapes for every step; what it closes over is
            shared with the process, not copied.
        steps: numbers of the steps; the first one's batch is made here, and tells how much memory one takes.

    Returns:
        an iterator; its arrays hold until the next batch is asked for.

    Raises:
        TrainingError: the process ended before its work was done (from the iterator).
    """
    if not steps:
        yield iter(())
        return
    first = make(steps[0])
    ring, rest = Ring(first), steps[1:]
    maker: Any = multiprocessing.get_context("fork").Process(target=ring.write_all, args=(make, rest), daemon=False)
    maker.start()
    ring.begin_reading()

    def batches() -> Iterator[Arrays]:
        yield first
        for turn, step in enumerate(rest):
            if not os.read(ring.filled[0], 1):
                maker.join()
                raise TrainingError(
                    f"batch of step {step}",
                    expected="a process that makes it",
                    found=f"exit code {maker.exitcode}",
                    fix="start the build again: it goes on from the last checkpoint",
                )
            yield ring.slots[turn % DEPTH]
            ring.free()

    try:
        yield batches()
    finally:
        maker.terminate()
        maker.join()
        ring.close()
