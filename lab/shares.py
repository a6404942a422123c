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
from contextlib import suppress
from functools import partial
from itertools import accumulate, pairwise
from tempfile import TemporaryFile
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
LEAST = 256  # items below which a fork costs more than it saves
MOST = 4
_SIZE = 8  # bytes of a number
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

    def mine(number: int, give: Callable[[tuple[int, Result]], object]) -> None:
        """Do the first share of this process and those that it comes to take; give each with its number."""
        give((number, work(shares[number])))
        while ticket := os.read(tickets, 1):
            give((ticket[0], work(shares[ticket[0]])))

    def take(one: tuple[int, Result]) -> None:
        """Keep a share that was done here, and those that are there already from elsewhere."""
        done.update([one])
        for worker in workers:
            done.update(worker.results())

    gc.freeze()
    workers: list[_Worker] = []
    done: dict[int, Result] = {}
    try:
        workers += [_Worker(partial(mine, number)) for number in range(1, count)]
        mine(0, take)
        for worker in workers:
            done.update(worker.end())
        return [done[number] if number in done else work(share) for number, share in enumerate(shares)]
    finally:
        os.close(tickets)
        for worker in workers:  # if something failed here, nobody waits for what they do
            worker.close()
        gc.unfreeze()


def beside(work: Callable[[], Result]) -> Callable[[], Result]:
    """`work`, begun now in a process of its own; what is given back waits for it and says, once, what came of it.

    Where there is one processor only it is done when it is asked for.
    """
    if processes() == 1 or not hasattr(os, "fork"):
        return work
    worker = _Worker(lambda give: give(work()))

    def waited() -> Result:
        found = worker.end()
        return found[0] if found else work()

    return waited


def alongside(work: Callable[[], Result]) -> Callable[[], Result]:
    """`work`, begun now in a thread; what is given back waits for it. It pays where a library does most of it."""
    pool = ThreadPoolExecutor(max_workers=1)
    doing = pool.submit(work)
    pool.shutdown(wait=False)
    return doing.result


class _Worker:
    """A process whose results can be taken one by one while it goes on: it leaves them in a file and tells their sizes.

    What it did not come to give, for whatever reason, is not among them.
    """

    def __init__(self, work: Callable[[Callable[[Any], object]], object]) -> None:
        """Begin `work`, which is handed what takes a result."""
        self._file, self._read, self._open = TemporaryFile(), 0, True  # noqa: SIM115  closed by `close`
        self._told, telling = os.pipe()
        parent = os.getpid()
        self._process = os.fork()
        if self._process:
            os.close(telling)
            return
        try:  # the worker: whatever happens, it ends here
            os.close(self._told)
            _end_with(parent)
            work(partial(self._give, telling))
            os._exit(0)
        finally:
            os._exit(1)

    def _give(self, telling: int, result: Any) -> None:
        data = pickle.dumps(result, protocol=pickle.HIGHEST_PROTOCOL)
        self._file.write(data)
        self._file.flush()
        os.write(telling, len(data).to_bytes(_SIZE, "little"))  # so few bytes arrive all at once

    def results(self, *, wait: bool = False) -> list[Any]:
        """What it gave since this was asked last; all of it where this waits."""
        os.set_blocking(self._told, wait)
        found: list[Any] = []
        with suppress(BlockingIOError):
            while told := os.read(self._told, _SIZE << 8):
                for at in range(0, len(told), _SIZE):
                    size = int.from_bytes(told[at : at + _SIZE], "little")
                    found.append(pickle.loads(os.pread(self._file.fileno(), size, self._read)))
                    self._read += size
        return found

    def end(self) -> list[Any]:
        """What else it gave, once it is at its end."""
        found = self.results(wait=True)
        self.close()
        return found

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._open:
            self._open = False
            os.close(self._told)
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
            self._file.close()


def _end_with(parent: int) -> None:
    """Let this process end when its parent does, however that ends; where the system cannot, it ends with its share."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(1)
