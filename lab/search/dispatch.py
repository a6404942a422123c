"""Jobs on any executor of `concurrent.futures`, under caps that are checked before the first one starts.

A job writes its own result (a run enters the ledger complete or not at all), so what was finished survives the death
of a worker or of the driver; a job asked for again finds its result and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass
from typing import Any

from lab.errors import SearchError


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A call to be made elsewhere: picklable, repeatable, and ready only when a gate has said so."""

    name: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    cost_s: float
    ready: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Most seconds of machine time: of one job, of one dispatch, and of everything with what was spent before."""

    per_job_s: float = 1_800.0
    per_dispatch_s: float = 3_600.0
    total_s: float = 14_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job: its result, or why there is none."""

    job: Job
    result: Any = None
    error: str = ""


def refuse(jobs: Sequence[Job], caps: Caps, spent_s: float = 0.0) -> None:
    """Return only if every job may start; one bad row refuses the batch.

    Raises:
        SearchError: a job that is not ready, a name twice, a cost that is none, or a cap exceeded.
    """
    for job in jobs:
        where = f"job {job.name!r}"
        if not job.ready:
            raise SearchError(
                where, expected="a job that its gate marked ready", found="one that is not", fix="ask the gate"
            )
        if not 0.0 <= job.cost_s < float("inf"):
            raise SearchError(where, expected="an estimate of its cost in seconds", found=repr(job.cost_s))
        if job.cost_s > caps.per_job_s:
            raise SearchError(where, expected=f"at most {caps.per_job_s:g} s", found=f"{job.cost_s:.0f} s")
    names = [job.name for job in jobs]
    if len(set(names)) < len(names):
        raise SearchError("jobs", expected="different names", found="a name twice")
    cost = sum(job.cost_s for job in jobs)
    for cap, value, what in (
        (caps.per_dispatch_s, cost, "this dispatch"),
        (caps.total_s, spent_s + cost, "everything so far"),
    ):
        if value > cap:
            raise SearchError("jobs", expected=f"at most {cap:g} s for {what}", found=f"{value:.0f} s")


def dispatch(
    jobs: Sequence[Job],
    executor: Callable[[], Executor],
    *,
    caps: Caps | None = None,
    spent_s: float = 0.0,
    tries: int = 3,
) -> Iterator[Outcome]:
    """Run jobs and give each outcome as it ends.

    A pool that breaks because a worker died is made anew, and what was under way is asked for again.

    Args:
        executor: makes an executor; local processes, a cluster's client, or anything of that interface.
        caps: see `refuse`.
        spent_s: machine time that earlier dispatches took.
        tries: how often a job may be asked for when workers die under it.

    Raises:
        SearchError: see `refuse`; nothing has started then.
    """
    refuse(jobs, caps or Caps(), spent_s)
    waiting = [(job, 1) for job in jobs]
    while waiting:
        again: list[tuple[Job, int]] = []
        with executor() as pool:
            going: dict[Future[Any], tuple[Job, int]] = {}
            try:
                for job, turn in waiting:
                    going[pool.submit(job.call, *job.arguments)] = (job, turn)
            except BrokenExecutor:
                again += waiting[len(going) :]
            for future in as_completed(going):
                job, turn = going[future]
                try:
                    yield Outcome(job=job, result=future.result())
                except BrokenExecutor:
                    if turn < tries:
                        again.append((job, turn + 1))
                    else:
                        yield Outcome(job=job, error=f"its worker died {tries} times")
                except Exception as error:  # one job's mishap, whatever it is, must not cost the others
                    yield Outcome(job=job, error=f"{type(error).__name__}: {error}")
        waiting = again
