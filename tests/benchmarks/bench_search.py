"""Ranking, dispatch overhead, and what a second worker gives: `make bench-search`.

    python tests/benchmarks/bench_search.py [--json FILE] [--no-cluster]

Ranking is of 100,000 drawn candidates on drawn anchors. Overhead is the wall time of jobs that do nothing, over their
number, once the workers are up: local processes, and a Dask scheduler with one worker where the extra is installed. One
and two workers run the same real runs of a contract of six frames, each from an empty ledger, in turns.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes import toy_contract

from lab import contract, custody
from lab.experiment import Bench
from lab.search import batch, loop
from lab.search.anchors import Anchor
from lab.search.dispatch import Caps, Job, dispatch
from lab.search.rank import Candidate, MetaLagrangianSearch

ROOT = Path(__file__).resolve().parents[2]
N_CANDIDATES, N_JOBS, N_RUNS, TURNS = 100_000, 200, 8, 3
TEXT = """
family = "conventional"
question = "how long does a real job take?"
[params]
encoder = "x264"
grid = "model"
down = "aligned"
up = "aligned"
crf = {crf}
preset = "ultrafast"
"""


def nothing(value: int) -> int:
    """A job that costs nothing."""
    return value


def ranking() -> dict[str, Any]:
    """Seconds to rank every candidate, the best of three."""
    mini = contract.load("minidrive")
    anchors = []
    for err in (0.0, 0.2, 0.5, 1.5, 3.0):
        segnet, posenet, n_bytes = 4e-3 + 1e-3 * err, 1e-3 + 1e-3 * err**2, round(40_000 * math.exp(-err / 9))
        total = mini.score(segnet=segnet, posenet=posenet, archive_bytes=n_bytes).total
        figures = {"segnet": segnet, "posenet": posenet, "archive_bytes": n_bytes, "score": total}
        anchors.append(Anchor(lane="drawn", label=f"e{err}", rel_err=err, archive_sha256="5e" * 32, **figures))
    rng = random.Random(1)
    candidates = [
        Candidate(
            name=f"c{k:06d}",
            lane="drawn",
            rel_err=rng.uniform(-0.2, 5.0),
            archive_bytes=rng.randrange(15_000, 45_000),
            gate_passed=rng.random() < 0.9,
        )
        for k in range(N_CANDIDATES)
    ]
    search = MetaLagrangianSearch(anchors=tuple(anchors), contract=mini)
    seconds = min(_timed(lambda: search.rank(candidates)) for _ in range(3))
    return {"what": "ranking", "candidates": N_CANDIDATES, "seconds": round(seconds, 3)}


def overhead(name: str, executor: Callable[[], Executor]) -> dict[str, Any]:
    """Milliseconds per job that does nothing; the start of the workers is timed on its own."""
    jobs = [Job(name=f"j{k}", call=nothing, arguments=(k,), cost_s=1.0, ready=True) for k in range(N_JOBS)]
    caps = Caps(per_dispatch_s=math.inf, total_s=math.inf)
    with executor() as pool:
        start = _timed(lambda: pool.submit(nothing, 0).result())
        kept = _Open(pool)
        seconds = min(_timed(lambda: list(dispatch(jobs, lambda: kept, caps=caps))) for _ in range(TURNS))
    told = {"jobs": N_JOBS, "start_s": round(start, 3), "ms_per_job": round(1e3 * seconds / N_JOBS, 3)}
    return {"what": f"overhead, {name}", **told}


class _Open(Executor):
    """An executor that dispatch may leave without closing it."""

    def __init__(self, pool: Executor) -> None:
        self.submit = pool.submit  # type: ignore[method-assign]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        return None


@contextmanager
def cluster() -> Iterator[Callable[[], Executor]]:
    """A scheduler and one worker in processes of this machine."""
    from distributed import LocalCluster

    from lab.search.cluster import Cluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as here:  # type: ignore[no-untyped-call]
        yield partial(Cluster, here.scheduler_address)


def workers() -> Iterator[dict[str, Any]]:
    """Seconds of the same real runs with one worker and with two, in turns; the ratio is of medians."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(TURNS):
        for count in seconds:
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                toy = toy_contract(place / "ledgers")
                made = Bench(ledgers=place / "ledgers", cache=place / "cache", work=place / "work", root=ROOT)
                rows = tuple(
                    batch.Row(candidate=f"conventional/c{crf}", recipe=TEXT.format(crf=crf), cost_s=5.0, ready=True)
                    for crf in range(20, 20 + N_RUNS)
                )
                asked = batch.Batch(contract="toy", contract_sha256=toy.digest, rows=rows)
                send = partial(batch.send, place / "batch.json", asked, partial(batch.run, bench=made))
                seconds[count].append(_timed(lambda send=send, count=count: _all(send(loop.local(count), Caps()))))
    one, two = (statistics.median(seconds[count]) for count in (1, 2))
    for count, median in ((1, one), (2, two)):
        yield {"what": "real runs", "workers": count, "runs": N_RUNS, "seconds": round(median, 3)}
    yield {"what": "two workers against one", "times_faster": round(one / two, 3)}


def _all(outcomes: Iterator[Any]) -> None:
    for outcome in outcomes:
        assert not outcome.error, outcome.error


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Print the rows; write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--no-cluster", action="store_true")
    options = parser.parse_args()
    rows = [ranking(), overhead("local processes", loop.local(1))]
    if not options.no_cluster:
        with cluster() as executor:
            rows.append(overhead("Dask", executor))
    rows += workers()
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    table = {
        "schema": "lab.benchmark/1",
        "name": "search",
        "command": "make bench-search",
        "bars": {"ranking": {"bar": 2.0, "reached": rows[0]["seconds"] < 2.0}},
        "rows": rows,
        "machine": custody.machine(),
        "versions": custody.versions(("torch", "numpy", "av", "distributed")),
        "settings": {"turns": TURNS},
    }
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
