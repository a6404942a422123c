"""Jobs start only when all of them may, survive the death of a worker, and run on any executor."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from lab.errors import SearchError
from lab.search.dispatch import Caps, Job, dispatch, refuse


def double(value: int) -> int:
    return 2 * value


def counted(folder: str, name: str, deaths: int) -> str:
    """Leaves one mark each time it is called, and kills its process the first few times."""
    marks = len(list(Path(folder).glob(f"{name}-*")))
    (Path(folder) / f"{name}-{marks}").touch()
    if marks < deaths:
        os._exit(9)
    return name


def broken(_: int) -> int:
    raise SearchError("a job", expected="better luck")


def processes(workers: int) -> partial[ProcessPoolExecutor]:
    return partial(ProcessPoolExecutor, workers, mp_context=multiprocessing.get_context("spawn"))


def job(name: str, **changed: object) -> Job:
    made = Job(name=name, call=double, arguments=(3,), cost_s=10.0, ready=True)
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("jobs", "says"),
    [
        ([job("a"), job("b", ready=False)], "ready"),
        ([job("a"), job("a")], "a name twice"),
        ([job("a", cost_s=float("nan"))], "estimate"),
        ([job("a", cost_s=float("inf"))], "estimate"),
        ([job("a", cost_s=31.0)], "at most 30 s"),
        ([job(name) for name in "abcdef"], "this dispatch"),
        ([job(name) for name in "abcd"], "everything so far"),
    ],
)
def test_one_bad_row_refuses_the_batch(jobs: list[Job], says: str, tmp_path: Path) -> None:
    caps = Caps(per_job_s=30.0, per_dispatch_s=50.0, total_s=60.0)
    with pytest.raises(SearchError, match=says):
        refuse(jobs, caps, spent_s=25.0)
    marked = [replace(item, call=counted, arguments=(str(tmp_path), item.name, 0)) for item in jobs]
    with pytest.raises(SearchError):
        list(dispatch(marked, partial(ThreadPoolExecutor, 1), caps=caps, spent_s=25.0))
    assert list(tmp_path.iterdir()) == []


def test_any_executor_will_do() -> None:
    jobs = [job(name, arguments=(k,)) for k, name in enumerate("abc")]
    for executor in (partial(ThreadPoolExecutor, 2), processes(2)):
        found = {outcome.job.name: outcome.result for outcome in dispatch(jobs, executor)}
        assert found == {"a": 0, "b": 2, "c": 4}


def test_a_failed_job_is_told_and_the_others_end() -> None:
    outcomes = {
        item.job.name: item for item in dispatch([job("a", call=broken), job("b")], partial(ThreadPoolExecutor, 1))
    }
    assert "better luck" in outcomes["a"].error
    assert outcomes["b"].result == 6


def test_the_death_of_a_worker_costs_one_more_try(tmp_path: Path) -> None:
    jobs = [
        job(name, call=counted, arguments=(str(tmp_path), name, deaths)) for name, deaths in (("dies", 1), ("lives", 0))
    ]
    outcomes = {item.job.name: item for item in dispatch(jobs, processes(1))}
    assert {name: item.error for name, item in outcomes.items()} == {"dies": "", "lives": ""}
    assert len(list(tmp_path.glob("dies-*"))) == 2


def test_a_job_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    (outcome,) = dispatch([job("kills", call=counted, arguments=(str(tmp_path), "kills", 99))], processes(1), tries=2)
    assert outcome.error == "its worker died 2 times"
    assert len(list(tmp_path.glob("kills-*"))) == 2
