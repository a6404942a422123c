"""What runs beside the caller keeps the order, hands over errors, takes no more than it was told, and ends with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from lab.evaluator.overlap import abreast, ahead


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def failing(after: int) -> Iterator[int]:
    """So many numbers, then an error."""
    yield from range(after)
    raise OSError("damaged")


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(lanes: int) -> None:
    def late_when_early(number: int) -> int:
        time.sleep(0.002 * (number % 3 == 0))
        return number * number

    assert list(abreast(late_when_early, range(20), lanes)) == [number * number for number in range(20)]


def test_one_lane_is_the_calling_thread() -> None:
    assert set(abreast(lambda _: threading.get_ident(), range(3), 1)) == {threading.get_ident()}


def test_every_lane_computes_on_one_torch_thread_and_the_caller_keeps_its_own() -> None:
    torch.set_num_threads(2)
    met = threading.Barrier(2)

    def look(_: int) -> tuple[int, int]:
        met.wait(timeout=10)  # both lanes at once, or this fails
        return threading.get_ident(), torch.get_num_threads()

    seen = list(abreast(look, range(4), 2))
    assert {threads for _, threads in seen} == {1} and len({lane for lane, _ in seen}) == 2
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("lanes", [1, 2])
def test_an_error_of_the_work_or_of_the_items_is_raised_here(lanes: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(abreast(lambda number: 1 // (3 - number), range(10), lanes))
    with pytest.raises(OSError, match="damaged"):
        list(abreast(lambda number: number, ahead(failing(3)), lanes))


def test_only_one_item_more_than_there_are_lanes_is_taken_before_it_is_needed() -> None:
    taken = []

    def told() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    results = abreast(lambda number: number, told(), 2)
    assert next(results) == 0 and len(taken) <= 3
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= 3


def test_items_are_read_ahead_and_no_further_than_the_depth() -> None:
    taken = []
    room = threading.Event()

    def told() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            if number == 2:
                room.set()
            yield number

    numbers = ahead(told(), depth=2)
    assert next(numbers) == 0
    assert room.wait(timeout=10) and len(taken) <= 4
    assert list(numbers) == list(range(1, 50))
