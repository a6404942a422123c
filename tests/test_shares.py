"""Shares of work keep their order, and a worker that fails or dies loses nothing."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab import shares


def squares(some: Sequence[int]) -> list[int]:
    return [n * n for n in some]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_come_back_in_order_whatever_the_number_of_processes(count: int) -> None:
    items = list(range(1000))
    done = shares.spread(squares, items, count)
    assert len(done) == count
    assert [n for share in done for n in share] == squares(items)


def test_a_process_that_is_done_takes_what_nobody_has_yet(tmp_path: Path) -> None:
    parent, items = os.getpid(), list(range(1000))

    def work(some: Sequence[int]) -> tuple[int, list[int]]:
        if os.getpid() != parent:
            while len(list(tmp_path.iterdir())) < 7:  # until all others are done
                time.sleep(0.01)
        else:
            (tmp_path / str(some[0])).touch()
        return os.getpid(), squares(some)

    done = shares.spread(work, items, 2, turns=4)
    assert [process == parent for process, _ in done] == [True, False, *[True] * 6]
    assert [n for _, some in done for n in some] == squares(items)


@pytest.mark.parametrize("last", [False, True])
def test_what_a_worker_that_is_killed_in_a_later_turn_had_not_done_is_done_here(last: bool) -> None:
    parent, items = os.getpid(), list(range(1000))

    def work(some: Sequence[int]) -> tuple[int, list[int]]:
        if os.getpid() != parent and (not last or some[-1] == items[-1] or some[0] > 500):
            os.kill(os.getpid(), signal.SIGKILL)
        if os.getpid() == parent:
            time.sleep(0.02)
        return os.getpid(), squares(some)

    done = shares.spread(work, items, 2, turns=8)
    assert len(done) == 16
    assert (done[1][0] == parent) == (not last)
    assert [n for _, some in done for n in some] == squares(items)


def test_few_items_stay_in_this_process() -> None:
    assert shares.spread(lambda some: os.getpid(), [1, 2, 3], 2) == [os.getpid()]


def test_an_error_of_a_worker_is_the_callers() -> None:
    def work(some: Sequence[int]) -> int:
        if 999 in some:
            raise ValueError("999 is not for squaring")
        return len(some)

    with pytest.raises(ValueError, match="999"):
        shares.spread(work, list(range(1000)), 2)


def test_what_a_killed_worker_left_is_done_again() -> None:
    parent = os.getpid()

    def work(some: Sequence[int]) -> int:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return len(some)

    assert shares.spread(work, list(range(1000)), 2) == [500, 500]


def test_work_alongside_is_done_once_in_a_thread_and_an_error_of_it_is_the_callers() -> None:
    done: list[int] = []
    waited = shares.alongside(lambda: done.append(threading.get_ident()) or "made")
    assert waited() == waited() == "made"
    assert done != [threading.get_ident()]
    with pytest.raises(KeyError, match="odd"):
        shares.alongside(lambda: {}["odd"])()


@pytest.mark.parametrize("count", [1, 2])
def test_work_beside_is_done_once_and_elsewhere_where_there_is_a_second_processor(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "processes", lambda: count)
    assert (shares.beside(os.getpid)() == os.getpid()) == (count == 1)


def test_work_beside_that_fails_there_is_done_here_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "processes", lambda: 2)
    parent = os.getpid()

    def died() -> int:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return 7

    def wrong() -> int:
        raise ValueError("no table of this")

    assert shares.beside(died)() == 7
    with pytest.raises(ValueError, match="no table of this"):
        shares.beside(wrong)()


def test_a_failure_here_ends_the_workers_that_nobody_waits_for_any_more(tmp_path: Path) -> None:
    parent = os.getpid()

    def work(some: Sequence[int]) -> int:
        if os.getpid() == parent:
            while not (tmp_path / "started").is_file():
                time.sleep(0.01)
            raise ValueError("this process failed")
        (tmp_path / "started").write_text(str(os.getpid()), encoding="utf-8")
        time.sleep(60)
        return len(some)

    with pytest.raises(ValueError, match="this process"):
        shares.spread(work, list(range(1000)), 2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "started").read_text(encoding="utf-8")), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="the system cannot tell a process that its parent died")
def test_workers_of_a_killed_process_end_with_it(tmp_path: Path) -> None:
    def work(some: Sequence[int]) -> int:
        (tmp_path / f"{some[0]}.part").write_text(str(os.getpid()), encoding="utf-8")
        (tmp_path / f"{some[0]}.part").rename(tmp_path / f"{some[0]}")
        time.sleep(60)
        return len(some)

    process = os.fork()
    if process == 0:
        try:
            shares.spread(work, list(range(1000)), 2)
        finally:
            os._exit(0)
    while not ((tmp_path / "0").is_file() and (tmp_path / "500").is_file()):
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    worker = int((tmp_path / "500").read_text(encoding="utf-8"))
    for _ in range(500):
        state = Path(f"/proc/{worker}/stat")
        if not state.exists() or state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.01)
    pytest.fail("a worker outlived the process that it works for")
