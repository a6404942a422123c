"""Training batches made one process ahead of the steps that use them.

A batch follows from its step's number alone, so who makes it, and when, decides nothing about its bytes.
"""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from lab.errors import TrainingError

Arrays = tuple[NDArray[Any], ...]
DEPTH = 4
"""Batches that may wait: enough to ride out a slow one, few enough to fit in memory."""


@contextmanager
def ahead(make: Callable[[int], Arrays], steps: range) -> Iterator[Iterator[Arrays]]:
    """The batches of these steps, in order, made by a forked process that ends with the block.

    Args:
        make: gives the arrays of a step from its number; what it closes over is shared with the process, not copied.
        steps: numbers of the steps.

    Raises:
        TrainingError: the process ended before its work was done (from the iterator).
    """
    context = multiprocessing.get_context("fork")
    ready: Any = context.Queue(DEPTH)
    maker = context.Process(target=_make_all, args=(make, steps, ready), daemon=False)
    maker.start()

    def batches() -> Iterator[Arrays]:
        for step in steps:
            while True:
                try:
                    batch: Arrays = ready.get(timeout=1.0)
                    break
                except queue.Empty:
                    if not maker.is_alive() and ready.empty():
                        raise TrainingError(
                            f"batch of step {step}",
                            expected="a process that makes it",
                            found=f"exit code {maker.exitcode}",
                            fix="start the build again: it goes on from the last checkpoint",
                        ) from None
            yield batch

    try:
        yield batches()
    finally:
        maker.terminate()
        maker.join()
        ready.close()


def _make_all(make: Callable[[int], Arrays], steps: range, ready: Any) -> None:
    for step in steps:
        ready.put(make(step))
