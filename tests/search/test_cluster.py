"""On a real local cluster a dispatch outlives worker, scheduler and driver: nothing is lost, nothing is run twice.

Scheduler, workers and driver are processes of their own, started as `lab search workers` says; what is dispatched are
real runs of a contract of six frames. Who starts and ends a run leaves a line on disk.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import toy_contract

from lab import cli
from lab.ledger import Ledger
from lab.search import batch
from lab.search.batch import Batch, Row

ROOT = Path(__file__).resolve().parents[2]
TEXT = """
family = "conventional"
question = "does the dispatch survive?"
[params]
encoder = "x264"
grid = "model"
down = "aligned"
up = "aligned"
crf = {crf}
preset = "ultrafast"
"""
COUNTING = """
import os, time
from lab import experiment
plain = experiment.run

def told(text):
    handle = os.open(os.environ["COUNTED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, (text + chr(10)).encode())
    os.close(handle)

def counted(asked, *rest, **named):
    told(f"begun {asked.name} {os.getpid()}")
    time.sleep(float(os.environ["EACH_S"]))
    run, fresh = plain(asked, *rest, **named)
    told(f"{'recorded' if fresh else 'found'} {asked.name} {os.getpid()}")
    return run, fresh

experiment.run = counted
"""
N_JOBS = 6


class Place:
    """A ledger, a batch, and the processes of a cluster that works on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.going = folder, dict[str, subprocess.Popen[bytes]]()
        self.toy = toy_contract(folder / "ledgers")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        (folder / "counting.py").write_text(COUNTING, encoding="utf-8")
        self.batch = folder / "batch.json"
        rows = tuple(
            Row(candidate=f"conventional/crf{crf}", recipe=TEXT.format(crf=crf), cost_s=5.0, ready=True)
            for crf in range(20, 20 + N_JOBS)
        )
        batch.write(self.batch, Batch(contract="toy", contract_sha256=self.toy.digest, rows=rows))

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """A process of its own group, its output in a file."""
        surroundings = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{self.folder}",
            "LAB_LEDGERS": str(self.folder / "ledgers"),
            "LAB_CACHE": str(self.folder / "cache"),
            "COUNTED": str(self.folder / "counted.txt"),
            "EACH_S": "1.0",
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self.going[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=surroundings,
                start_new_session=True,
            )
        return self.going[name]

    def scheduler(self) -> None:
        host, port = self.address.removeprefix("tcp://").split(":")
        self.start("scheduler", "dask", "scheduler", "--host", host, "--port", port, "--no-dashboard")

    def workers(self, name: str = "workers") -> None:
        options = ("--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--preload", "counting")
        self.start(name, "dask", "worker", self.address, *options, "--local-directory", str(self.folder / "scratch"))

    def driver(self, name: str = "driver") -> subprocess.Popen[bytes]:
        verb = ("lab", "search", "dispatch", str(self.batch), "--contract", "toy", "--scheduler", self.address)
        return self.start(name, *verb, "--patience", "120")

    def kill(self, name: str) -> None:
        """End a process and what it started, without a word."""
        process = self.going.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def lines(self, what: str) -> list[list[str]]:
        """(recipe, process) of what was begun, recorded or found."""
        path = self.folder / "counted.txt"
        rows = [line.split() for line in path.read_text().splitlines()] if path.is_file() else []
        return [row[1:] for row in rows if row[0] == what]

    def wait(self, ready: Callable[[], object], seconds: float = 180.0) -> None:
        ends = time.monotonic() + seconds
        while not ready():
            told = "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in sorted(self.folder.glob("*.log")))
            assert time.monotonic() < ends, told
            time.sleep(0.1)

    def check(self, deaths: int) -> None:
        """Every run is on record once; a run was begun again only where its process was killed."""
        runs = Ledger(self.folder / "ledgers").runs(self.toy)
        assert sorted(run.recipe for run in runs) == [f"conventional/crf{crf}" for crf in range(20, 20 + N_JOBS)]
        assert max(Counter(row[0] for row in self.lines("recorded")).values()) == 1
        assert len(self.lines("begun")) - len(self.lines("found")) <= N_JOBS + deaths
        told = {row["candidate"]: row["run"] for row in batch.outcomes(batch.outcomes_path(self.batch))}
        assert told == {run.recipe: run.id for run in runs}
        assert list((self.folder / "ledgers" / "searches" / ".claims").iterdir()) == []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A cluster under way with a driver, two runs of six recorded."""
    pytest.importorskip("distributed.versions", reason="the extra `cluster` is not installed")
    made = Place(tmp_path)
    made.scheduler()
    made.workers()
    made.driver()
    try:
        made.wait(lambda: len(made.lines("recorded")) >= 2)
        yield made
    finally:
        for name in list(made.going):
            made.kill(name)


@pytest.mark.slow
def test_the_death_of_a_worker_loses_nothing_and_repeats_nothing(place: Place) -> None:
    _, process = place.lines("begun")[-1]
    os.kill(int(process), signal.SIGKILL)
    assert place.going["driver"].wait(300) == 0
    place.check(deaths=1)


@pytest.mark.slow
def test_the_death_of_the_scheduler_loses_nothing_and_repeats_nothing(place: Place) -> None:
    place.kill("scheduler")
    time.sleep(1.0)
    place.scheduler()
    place.workers("later-workers")
    assert place.going["driver"].wait(300) == 0
    place.check(deaths=2)


@pytest.mark.slow
def test_the_death_of_the_driver_loses_nothing_and_repeats_nothing(place: Place) -> None:
    place.kill("driver")
    assert len(Ledger(place.folder / "ledgers").runs(place.toy)) < N_JOBS
    assert place.driver("next-driver").wait(300) == 0
    place.check(deaths=0)
    before = len(place.lines("begun"))
    assert place.driver("last-driver").wait(120) == 0
    assert len(place.lines("begun")) == before


@pytest.mark.slow
def test_a_loop_runs_on_the_cluster_and_what_it_records_is_found_by_the_next(tmp_path: Path) -> None:
    pytest.importorskip("distributed.versions", reason="the extra `cluster` is not installed")
    made = Place(tmp_path)
    roots = [tmp_path / f"crf{crf}.toml" for crf in (20, 30, 40)]
    for path in roots:
        path.write_text(TEXT.format(crf=path.stem.removeprefix("crf")), encoding="utf-8")
    try:
        for path in roots:
            made.start("anchor", "lab", "run", str(path), "--contract", "toy").wait(120)
        assert made.going["anchor"].returncode == 0
        made.scheduler()
        made.workers()
        verb = ("lab", "search", "loop", str(roots[1]), "--contract", "toy", "--name", "far", "--per-cycle", "2")
        where = ("--spend", "--scheduler", made.address, "--patience", "120")
        loop = made.start("loop", *verb, "--max-cycles", "2", *where)
        assert loop.wait(300) == 0, (tmp_path / "loop.log").read_text()
        journal = json.loads((tmp_path / "ledgers" / "searches" / "far.json").read_text())
        rows = [row for cycle in journal["cycles"] for row in cycle["rows"] if row["chosen"]]
        runs = {run.id: run for run in Ledger(tmp_path / "ledgers").runs(made.toy)}
        assert journal["pending"] == [] and 1 <= len(rows) <= 4
        assert all(runs[row["run"]].total == row["total"] for row in rows)
        # jobs ran in the workers' processes and nowhere else
        begun = made.lines("begun")
        assert sorted(row[0] for row in begun) == sorted(row["candidate"] for row in rows)
        assert not {row[1] for row in begun} & {str(loop.pid)}
        assert made.start("again", *verb, "--max-cycles", str(len(journal["cycles"])), *where).wait(120) == 0
        assert made.lines("begun") == begun
    finally:
        for name in list(made.going):
            made.kill(name)


@pytest.mark.slow
def test_where_no_scheduler_answers_nothing_starts_and_the_way_on_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Place(tmp_path)
    verb = ("lab", "search", "dispatch", str(made.batch), "--contract", "toy", "--scheduler", made.address)
    assert made.start("driver", *verb, "--patience", "2").wait(60) == 1
    told = (tmp_path / "driver.log").read_text()
    assert "lab search workers" in told
    assert "Traceback" not in told
    assert not batch.outcomes_path(made.batch).exists()


def test_workers_are_told_how_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["search", "workers", "--scheduler", "tcp://10.0.0.1:9999", "--workers", "3"]) == 0
    told = capsys.readouterr().out
    assert "dask scheduler --host 10.0.0.1 --port 9999" in told
    assert "dask worker tcp://10.0.0.1:9999 --nworkers 3 --nthreads 1" in told


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ready": False}, "marked ready"),
        ({"cost_s": 31.0}, "at most 30 s"),
        ({"cost_s": None}, "cost in seconds"),
        ({"candidate": "conventional/one"}, "a name twice"),
        ({"surprise": 1}, "batch"),
        ({"recipe": "family = 3"}, "family"),
    ],
)
def test_one_bad_row_refuses_the_batch_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], says: str
) -> None:
    toy = toy_contract(tmp_path / "ledgers")
    good = {"candidate": "conventional/one", "recipe": TEXT.format(crf=20), "cost_s": 5.0, "ready": True}
    other = {**good, "candidate": "conventional/two", **change}
    table = {"schema": batch.SCHEMA, "contract": "toy", "contract_sha256": toy.digest, "rows": [good, other]}
    path = tmp_path / "batch.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    verb = ["--ledgers", str(tmp_path / "ledgers"), "search", "dispatch", str(path), "--contract", "toy"]
    assert cli.main([*verb, "--max-job-cost", "30"]) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "ledgers" / "toy" / "runs").exists()


def test_what_is_written_down_is_not_asked_for_again_and_counts_toward_the_total(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from functools import partial

    from lab.errors import SearchError
    from lab.search.dispatch import Caps

    asked: list[str] = []

    def call(recipe: object, name: str, digest: str) -> str:
        asked.append(recipe.name)  # type: ignore[attr-defined]
        if recipe.name == "conventional/b" and len(asked) < 4:  # type: ignore[attr-defined]
            raise SearchError("b", expected="another day")
        return "run"

    rows = tuple(
        Row(candidate=f"conventional/{name}", recipe=TEXT.format(crf=20), cost_s=5.0, ready=True) for name in "abc"
    )
    made = Batch(contract="toy", contract_sha256="0" * 64, rows=rows)
    path = tmp_path / "batch.json"
    executor = partial(ThreadPoolExecutor, 1)
    first = list(batch.send(path, made, call, executor, Caps()))
    assert [bool(outcome.error) for outcome in first] == [False, True, False]
    with batch.outcomes_path(path).open("ab") as log:
        log.write(b'{"candidate": "conventional/b", "ru')  # torn by a kill
    with pytest.raises(SearchError, match="everything"):
        list(batch.send(path, made, call, executor, Caps(total_s=14.0)))
    (again,) = batch.send(path, made, call, executor, Caps(total_s=15.0))
    assert (again.job.name, again.result) == ("conventional/b", "run")
    assert asked == ["conventional/a", "conventional/b", "conventional/c", "conventional/b"]
    assert list(batch.send(path, made, call, executor, Caps())) == []
