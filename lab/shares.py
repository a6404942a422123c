"""Work on many items in several processes of this machine: forked, so that nothing is copied to a worker but results.

A share that fails in a worker, whatever the reason, is done again in the parent, where its error is the caller's.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import signal
import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate, pairwise
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
LEAST = 256  # items below which a fork costs more than it saves
MOST = 4
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def processes() -> int:
    """How many processes share a long piece of work here: the processors that this one may use, at most `MOST`."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST, allowed))


def spread(
    work: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    count: int | None = None,
    cost: Callable[[Item], float] = lambda _: 1.0,
    turns: int = 1,
) -> list[Result]:
    """`work` of consecutive shares of `items`, in their order; what it gives must survive a pickle.

    Args:
        count: number of processes, this one among them; None decides by the machine. Few items stay in this one.
        cost: how long an item takes beside others; shares take about as long as each other.
        turns: shares for each process, at most 64. A process that is done with one takes the next that nobody has, so
            that one which others keep from its work holds up nobody.
    """
    count = (count or processes()) if len(items) >= LEAST and hasattr(os, "fork") else 1
    n_shares = count * turns if count > 1 else 1
    sums = list(accumulate(map(cost, items), initial=0.0))
    cuts = [0, *(bisect_left(sums, sums[-1] * i / n_shares) for i in range(1, n_shares)), len(items)]
    shares = [items[a:b] for a, b in pairwise(cuts)]
    tickets, writing = os.pipe()
    os.write(writing, bytes(range(count, n_shares)))
    os.close(writing)

    def mine(number: int) -> dict[int, Result]:
        """The first share of this process and those that it came to take, by their numbers."""
        done = {number: work(shares[number])}
        while ticket := os.read(tickets, 1):
            done[ticket[0]] = work(shares[ticket[0]])
        return done

    gc.freeze()
    waiting: list[tuple[int, int]] = []
    try:
        waiting += [_start(partial(mine, number)) for number in range(1, count)]
        done = mine(0)
        while waiting:
            done |= _end(*waiting.pop(0), dict)
        return [done[number] if number in done else work(share) for number, share in enumerate(shares)]
    finally:
        os.close(tickets)
        for process, pipe in waiting:  # something failed here: nobody waits for what they do
            os.kill(process, signal.SIGKILL)
            os.close(pipe)
            os.waitpid(process, 0)
        gc.unfreeze()


def beside(work: Callable[[], Result]) -> Callable[[], Result]:
    """`work`, begun now in a process of its own; what is given back waits for it and says, once, what came of it.

    Where there is one processor only it is done when it is asked for.
    """
    if processes() == 1 or not hasattr(os, "fork"):
        return work
    return partial(_end, *_start(work), work)


def alongside(work: Callable[[], Result]) -> Callable[[], Result]:
    """`work`, begun now in a thread; what is given back waits for it. It pays where a library does most of it."""
    pool = ThreadPoolExecutor(max_workers=1)
    doing = pool.submit(work)
    pool.shutdown(wait=False)
    return doing.result


def _start(work: Callable[[], Result]) -> tuple[int, int]:
    """(process, reading end of its pipe) of a worker that does one piece of work and writes what it gives."""
    reading, writing = os.pipe()
    parent = os.getpid()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    try:  # the worker: whatever happens, it ends here
        os.close(reading)
        _end_with(parent)
        data = pickle.dumps(work(), protocol=pickle.HIGHEST_PROTOCOL)
        with os.fdopen(writing, "wb") as stream:
            stream.write(data)
        os._exit(0)
    finally:
        os._exit(1)


def _end(process: int, pipe: int, work: Callable[[], Result]) -> Result:
    """What a worker gave; where it failed, the same work done here."""
    with os.fdopen(pipe, "rb") as stream:
        data = stream.read()
    _, status = os.waitpid(process, 0)
    if status or not data:
        return work()
    result: Result = pickle.loads(data)
    return result


def _end_with(parent: int) -> None:
    """Let this process end when its parent does, however that ends; where the system cannot, it ends with its share."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(1)
