"""Reading beside computing, and several batches beside each other: order kept, errors handed over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from threading import Thread
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(items: Iterable[Item], depth: int = 2) -> Iterator[Item]:
    """The same items, produced in a second thread up to `depth` ahead; its errors are raised here."""
    queue: Queue[tuple[Item | None, BaseException | None]] = Queue(maxsize=depth)
    stopped = False

    def produce() -> None:
        try:
            for item in items:
                if stopped:
                    return
                queue.put((item, None))
            queue.put((None, None))
        except BaseException as error:  # handed over, not swallowed
            queue.put((None, error))

    thread = Thread(target=produce, daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped = True
        while thread.is_alive():
            if not queue.empty():
                queue.get_nowait()
            thread.join(timeout=0.01)


def abreast(work: Callable[[Item], Result], items: Iterable[Item], lanes: int) -> Iterator[Result]:
    """`work` of every item, in their order, on so many items at a time, each on one torch thread.

    Args:
        lanes: with one, everything happens in the calling thread.

    Notes:
        Threads of one operation wait for each other at its end, hundreds of times a batch, and spin meanwhile; batches
        beside each other never wait. What an item gives does not depend on the number of lanes.
    """
    if lanes == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(lanes, "lane", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > lanes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            torch.set_num_threads(lanes)  # a lane's setting is also what threads begin with that come after it
