"""The closed loop: candidates, a rank, a gate, parallel runs, their harvest, and anchors for the next rank.

Every prediction is written down before its run starts and stands beside the outcome afterwards, in one journal for each
loop; an interrupted loop goes on from it. Without `spend` nothing is run: the table says what would be.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lab import negative
from lab.contract import Contract
from lab.errors import LabError, SearchError
from lab.experiment import Bench
from lab.ledger import Ledger, Run
from lab.search import batch, prospects
from lab.search.dispatch import Caps, dispatch
from lab.search.harvest import harvest
from lab.search.predict import Band
from lab.search.prospects import Asked, Prospect, lane_of
from lab.search.rank import Ranked
from lab.store import write_atomic

SCHEMA = "lab.search/1"
Monitor = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One turn of the loop, as the journal keeps it."""

    number: int
    best_before: str
    total_before: float
    rows: tuple[dict[str, Any], ...]
    best_after: str
    total_after: float
    spent_s: float
    converged: int


def run_loop(
    asked: Asked,
    contract: Contract,
    bench: Bench,
    *,
    spend: bool,
    monitor: Monitor,
    executor: Callable[[], Executor] | None = None,
    call: batch.Call | None = None,
) -> Iterator[Cycle]:
    """The cycles of a loop, each given when it is done and written down; earlier ones come from the journal.

    Args:
        executor: makes what jobs run on; local processes where none is given.
        call: runs a recipe there, see `lab.search.batch.jobs`; in this bench where none is given.

    Raises:
        SearchError: the root was not measured yet, or a cap forbids the next dispatch.
    """
    journal = bench.ledgers / "searches" / f"{asked.name}.json"
    cycles = _read(journal, contract, asked) if journal.is_file() else []
    yield from cycles
    quiet = cycles[-1].converged if cycles else 0
    while len(cycles) < asked.max_cycles and quiet < 2:
        number = len(cycles) + 1
        best, ranked, known = prospects.ranked(asked, contract, bench, monitor)
        chosen = _affordable(ranked, asked, sum(cycle.spent_s for cycle in cycles))
        rows = [_row(row, known[row.candidate.name], row in chosen) for row in ranked]
        if not spend or not chosen:
            yield _cycle(number, best, rows, best, 0.0, quiet)
            return
        chosen_rows = batch_of(chosen, known, contract)
        jobs = batch.jobs(chosen_rows, call or partial(batch.run, bench=bench))
        for row in chosen:
            answer = known[row.candidate.name].answer
            if answer.code == negative.OVERRIDDEN:
                negative.keep_override(bench.ledgers, row.candidate.name, answer)
        # predictions reach the disk before any of their runs starts
        _write(journal, contract, asked, cycles, pending=rows)
        by_name = {str(row["candidate"]): row for row in rows}
        for outcome in dispatch(
            jobs,
            executor or local(asked.workers),
            caps=Caps(per_dispatch_s=asked.max_cost_per_cycle_s, total_s=asked.max_total_cost_s),
            spent_s=sum(cycle.spent_s for cycle in cycles),
        ):
            by_name[outcome.job.name]["error" if outcome.error else "run"] = outcome.error or outcome.result
            monitor(f"cycle {number}", sum("run" in row or "error" in row for row in rows), len(jobs))
        _outcomes(rows, contract, bench)
        spent = sum(float(row.get("cost_s", 0.0)) for row in rows if row["chosen"])
        after = prospects.best(asked, contract, bench.ledgers)
        quiet = quiet + 1 if best.total - after.total < asked.convergence_eps else 0
        cycles.append(_cycle(number, best, rows, after, spent, quiet))
        _write(journal, contract, asked, cycles)
        yield cycles[-1]


def next_batch(asked: Asked, contract: Contract, bench: Bench, monitor: Monitor) -> batch.Batch:
    """What the next cycle of a loop would run, as a batch for `lab.search.batch.send`.

    Raises:
        SearchError: the root was not measured yet.
    """
    _, ranked, known = prospects.ranked(asked, contract, bench, monitor)
    return batch_of(_affordable(ranked, asked, 0.0), known, contract)


def _affordable(ranked: Sequence[Ranked], asked: Asked, spent_s: float) -> list[Ranked]:
    """The first eligible candidates whose cost fits under both caps."""
    chosen: list[Ranked] = []
    cost = 0.0
    room = min(asked.max_cost_per_cycle_s, asked.max_total_cost_s - spent_s)
    for row in ranked:
        if row.eligible and len(chosen) < asked.per_cycle and cost + row.candidate.cost_s <= room:
            chosen.append(row)
            cost += row.candidate.cost_s
    return chosen


def batch_of(chosen: Sequence[Ranked], known: Mapping[str, Prospect], contract: Contract) -> batch.Batch:
    """What was chosen, as a batch."""
    return batch.Batch(
        contract=contract.name,
        contract_sha256=contract.digest,
        rows=tuple(
            batch.Row(
                candidate=row.candidate.name,
                recipe=known[row.candidate.name].recipe.text,
                cost_s=row.candidate.cost_s,
                ready=row.eligible,
            )
            for row in chosen
        ),
    )


def local(workers: int) -> Callable[[], Executor]:
    """Processes of this machine."""
    return partial(ProcessPoolExecutor, workers, mp_context=multiprocessing.get_context("spawn"))


def _row(row: Ranked, seen: Prospect, chosen: bool) -> dict[str, Any]:
    band = row.prediction
    told: dict[str, Any] = (
        {"low": band.low, "point": band.point, "high": band.high, "confidence": band.confidence}
        if isinstance(band, Band)
        else {"refused": str(band.reason), "says": band.says}
    )
    return {
        "candidate": row.candidate.name,
        "lane": row.candidate.lane,
        "rel_err": seen.probe.rel_err,
        "probe_error": seen.probe.error,
        "estimated_bytes": row.candidate.archive_bytes,
        "estimated_cost_s": round(row.candidate.cost_s, 3),
        "gate_passed": row.candidate.gate_passed,
        "chosen": chosen,
        **told,
        **_lanes(seen.answer),
    }


def _lanes(answer: negative.Answer) -> dict[str, Any]:
    """The lanes of the negative cache that a candidate falls into, where there are any."""
    if not answer.lanes:
        return {}
    told = {"lanes": [lane.id for lane in answer.lanes], "lane_says": answer.says}
    return {**told, "novelty": answer.reason} if answer.reason else told


def _outcomes(rows: Sequence[dict[str, Any]], contract: Contract, bench: Bench) -> None:
    """Put what was measured beside what was predicted."""
    for row in rows:
        if "run" not in row:
            continue
        try:
            run = harvest(Ledger(bench.ledgers), contract, str(row["run"]), axis="cpu")
        except LabError as error:
            row["error"] = str(error)
            continue
        measured = run.data["evaluation"]
        row["total"] = run.total
        row["archive_bytes"] = run.archive_bytes
        row["verdict"] = run.verdict
        row["cost_s"] = measured["encode_s"] + measured["inflate_s"] + measured["evaluate_s"]
        row["in_band"] = row["low"] <= run.total <= row["high"]


def _cycle(number: int, best: Run, rows: Sequence[dict[str, Any]], after: Run, spent: float, quiet: int) -> Cycle:
    return Cycle(
        number=number,
        best_before=best.id,
        total_before=best.total,
        rows=tuple(rows),
        best_after=after.id,
        total_after=after.total,
        spent_s=spent,
        converged=quiet,
    )


def _write(
    path: Path,
    contract: Contract,
    asked: Asked,
    cycles: Sequence[Cycle],
    pending: Sequence[dict[str, Any]] = (),
) -> None:
    """The journal: every cycle that is done, and the predictions of the one under way."""
    table = {
        "schema": SCHEMA,
        "name": asked.name,
        "contract": contract.name,
        "contract_sha256": contract.digest,
        "lane": lane_of(asked.root),
        "root": asked.root.name,
        "cycles": [asdict(cycle) for cycle in cycles],
        "pending": list(pending),
    }
    write_atomic(path, (json.dumps(table, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def _read(path: Path, contract: Contract, asked: Asked) -> list[Cycle]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        same = (table["schema"], table["contract_sha256"], table["lane"])
        cycles = [Cycle(**{**cycle, "rows": tuple(cycle["rows"])}) for cycle in table["cycles"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SearchError(path.name, expected="the journal of a search", found=str(error)[:200]) from None
    if same != (SCHEMA, contract.digest, lane_of(asked.root)):
        raise SearchError(
            path.name,
            expected=f"a search of lane {lane_of(asked.root)} under this state of {contract.name}",
            found=f"one of {table['lane']}",
            fix="choose another --name",
        )
    return cycles
