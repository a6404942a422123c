"""Batches made one process ahead: in order, whole, and never waited for once their maker is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from lab.drive import ahead
from lab.errors import TrainingError


def batch_of(step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(step)
    return rng.random((3, 5), np.float32), rng.integers(0, 9, (2, 1, 7))


def test_every_batch_is_what_its_step_makes_through_many_turns_of_the_ring() -> None:
    steps = range(7, 7 + 5 * ahead.DEPTH + 1)
    with ahead.ahead(batch_of, steps) as batches:
        for step, (inputs, truth) in zip(steps, batches, strict=True):
            expected = batch_of(step)
            assert inputs.dtype == expected[0].dtype
            assert truth.dtype == expected[1].dtype
            assert np.array_equal(inputs, expected[0])
            assert np.array_equal(truth, expected[1])


def test_a_batch_holds_until_the_next_is_asked_for(tmp_path: Path) -> None:
    def make(step: int) -> tuple[np.ndarray]:
        (tmp_path / str(step)).touch()
        return (np.full(4, step),)

    with ahead.ahead(make, range(60)) as batches:
        next(batches)
        (held,) = next(batches)
        while not (tmp_path / str(1 + ahead.DEPTH)).exists():  # the maker has filled every slot and wants this one
            pass
        assert (held == 1).all()
        assert [int(array[0]) for (array,) in batches] == list(range(2, 60))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_short_runs_end(n: int) -> None:
    with ahead.ahead(batch_of, range(n)) as batches:
        assert len(list(batches)) == n


def test_a_killed_maker_is_named_and_not_waited_for() -> None:
    before = set(multiprocessing.active_children())

    def make(step: int) -> tuple[np.ndarray]:
        if step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return (np.full(2, step),)

    with ahead.ahead(make, range(9)) as batches:
        assert [int(next(batches)[0][0]) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(TrainingError, match=r"batch of step 3.*exit code -9"):
            next(batches)
    assert set(multiprocessing.active_children()) <= before


def test_a_batch_of_another_shape_stops_the_run() -> None:
    with ahead.ahead(lambda step: (np.zeros(2 + (step == 2)),), range(9)) as batches:
        next(batches)
        next(batches)
        with pytest.raises(TrainingError, match="batch of step 2"):
            next(batches)
