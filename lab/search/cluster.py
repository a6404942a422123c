"""A Dask cluster as an executor of `concurrent.futures`, for `lab.search.dispatch`.

Needs the extra `cluster`. A worker that dies gives its jobs back to the scheduler; a scheduler that dies breaks the
executor, and whoever made it makes another one, which waits until there is a scheduler again. Workers share the ledger
folder and nothing else with the driver: each finds its own checkout, cache and scratch space.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import Any

from lab.errors import SearchError

PATIENCE_S = 60.0
"""How long a scheduler and its first worker are waited for."""


class Cluster(Executor):
    """Jobs on the workers of a scheduler.

    Args:
        address: of the scheduler, as `tcp://host:port`.
        patience_s: how long to wait for the scheduler and for its first worker.

    Raises:
        SearchError: the extra is not installed, or nobody answered in time; nothing was submitted.
    """

    def __init__(self, address: str, patience_s: float = PATIENCE_S) -> None:
        try:
            import distributed
        except ImportError:
            raise SearchError(
                f"scheduler {address}", expected="the package distributed", found="none",
                fix="pip install -c constraints.txt -e '.[cluster]'",
            ) from None  # fmt: skip
        ends = time.monotonic() + patience_s
        try:
            client: Any = distributed.Client
            self._client: Any = client(address, timeout=patience_s, set_as_default=False, name="lab-search")
        except (OSError, ValueError) as error:
            raise _silent(address, f"nobody: {error}", patience_s) from None
        try:
            self._client.wait_for_workers(1, timeout=max(1.0, ends - time.monotonic()))
        except (OSError, CancelledError) as error:
            self._client.close(timeout=5)
            raise _silent(address, f"no worker: {error}", patience_s) from None

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Ask for one call; its future fails with BrokenExecutor where no worker could end it."""
        told: Future[Any] = Future()
        label = f"{getattr(call, '__name__', 'job')}-{uuid.uuid4().hex[:12]}"
        asked = self._client.submit(call, *arguments, **named, pure=False, key=label)

        def settle(ended: Any) -> None:
            if told.done():
                return
            if ended.status == "finished":
                try:
                    told.set_result(ended.result(timeout=PATIENCE_S))
                except Exception as error:  # the result went with its worker between its end and this line
                    told.set_exception(BrokenExecutor(f"the result was lost: {type(error).__name__}"))
                return
            told.set_exception(_failure(ended))

        told.set_running_or_notify_cancel()
        asked.add_done_callback(settle)
        return told

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the scheduler; what its workers still do for this driver is called off."""
        self._client.close(timeout=5)


def _failure(ended: Any) -> BaseException:
    """What a future that has no result says, in the words of `concurrent.futures`."""
    if ended.status in ("cancelled", "lost"):
        return BrokenExecutor("the scheduler went away")
    error = ended.exception(timeout=PATIENCE_S)
    if type(error).__name__ in ("KilledWorker", "CommClosedError"):
        return BrokenExecutor(str(error))
    return error if isinstance(error, BaseException) else RuntimeError(repr(error))


def _silent(address: str, found: str, patience_s: float) -> SearchError:
    return SearchError(
        f"scheduler {address}", expected=f"a scheduler with a worker within {patience_s:g} s", found=found[:200],
        fix="`lab search workers` says how to start them; then run the same command again, what is done stays done",
    )  # fmt: skip


def instructions(address: str, workers: int) -> str:
    """Commands that start a scheduler and workers, to be typed where they shall run."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return "\n".join(
        (
            "# on every machine: a checkout at the same commit, clean, with the same ledger folder (a shared one)",
            "pip install -c constraints.txt -e '.[cluster]'",
            "",
            f"# on {host}: the scheduler. Whoever reaches its port can run code, so keep it inside a closed network",
            f"dask scheduler --host {host} --port {port} --no-dashboard",
            "",
            "# on each machine that works, from its checkout; one thread for each worker, as many workers as cores",
            "export OMP_NUM_THREADS=1 LAB_LEDGERS=ledgers",
            f"dask worker {address} --nworkers {workers} --nthreads 1 --no-dashboard",
            "",
            "# a worker that dies is started again by its nanny; workers end with their scheduler: start both again,",
            "# and a driver that still waits goes on; or give it its command again, what is done stays done",
        )
    )
