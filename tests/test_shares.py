"""Shares of work keep their order, and a worker that fails or dies loses nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

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
