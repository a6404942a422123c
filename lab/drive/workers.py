"""Worker processes of a build, one thread each: painters in a pool, and trainings that report while they run."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from safetensors.torch import save_file

from lab.drive import bursts, dataset, training
from lab.drive.dataset import Monitor
from lab.drive.training import Plan
from lab.errors import TrainingError

Task = tuple[Callable[..., Path], tuple[Any, ...]]


def paint(tasks: Sequence[Task], stage: str, workers: int, monitor: Monitor) -> list[Path]:
    """The files that painting tasks write, in the order of the tasks.

    Args:
        tasks: (function, arguments) each; a function returns the file it wrote or found.
        stage: what the monitor is told.
        workers: processes at once.
    """
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(function, *arguments) for function, arguments in tasks]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            monitor(stage, done, len(jobs))
        return [job.result() for job in jobs]


def weights_file(cache: Path, name: str, seed: int, plan: Plan) -> Path:
    """Where a training leaves its folded weights."""
    return cache / f"{name}-{plan.steps}x{plan.batch}-{seed}.safetensors"


def train_one(name: str, shards: list[Path], seed: int, cache: Path, plan: Plan, monitor: Monitor) -> Path:
    """Train `segnet` on pairs or `posenet` on bursts, and write the folded weights into the cache."""
    if name == "segnet":
        pairs = dataset.load_shards(shards)
        weights = training.train_segnet(pairs, seed=seed, cache=cache, plan=plan, monitor=monitor)
    else:
        moments = bursts.load_shards(shards)
        weights = training.train_posenet(moments, seed=seed, cache=cache, plan=plan, monitor=monitor)
    path = weights_file(cache, name, seed, plan)
    save_file(weights, path)
    return path


def _run(
    name: str, shards: list[Path], seed: int, cache: Path, plan: Plan, progress: multiprocessing.Queue[Any]
) -> None:
    train_one(name, shards, seed, cache, plan, lambda *message: progress.put(message))


class Trainings:
    """Trainings in processes of their own; leaving the block early ends them, their checkpoints stay."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._progress: Any = self._context.Queue()
        self._jobs: dict[str, Any] = {}

    def __enter__(self) -> Trainings:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self._jobs.values():
            if job.is_alive():
                job.terminate()
            job.join()

    def start(self, name: str, shards: list[Path], seed: int, cache: Path, plan: Plan) -> Path:
        """Begin a training; returns the file that it will write."""
        arguments = (name, shards, seed, cache, plan, self._progress)
        self._jobs[name] = self._context.Process(target=_run, args=arguments)
        self._jobs[name].start()
        return weights_file(cache, name, seed, plan)

    def wait(self, monitor: Monitor, *names: str) -> None:
        """Pass on progress until these trainings have ended, or all where none is named.

        Raises:
            TrainingError: any of them ended before its work was done.
        """
        awaited = [self._jobs[name] for name in names or self._jobs]
        while any(job.is_alive() for job in awaited):
            self._expect_well()
            with suppress(queue.Empty):
                monitor(*self._progress.get(timeout=0.5))
        for job in awaited:
            job.join()
        self._expect_well()

    def _expect_well(self) -> None:
        for name, job in self._jobs.items():
            if job.exitcode:
                raise TrainingError(
                    f"training of {name}",
                    expected="a worker that finishes",
                    found=f"exit code {job.exitcode}",
                    fix="start the build again: it goes on from the last checkpoint",
                )
