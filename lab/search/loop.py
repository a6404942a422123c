"""The closed loop: candidates, a rank, a gate, parallel runs, their harvest, and anchors for the next rank.

Every prediction is written down before its run starts and stands beside the outcome afterwards, in one journal for each
loop; an interrupted loop goes on from it. Without `spend` nothing is run: the table says what would be.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lab import codecs, negative, recipe
from lab.contract import Contract
from lab.errors import LabError, SearchError
from lab.experiment import Bench
from lab.ledger import Ledger, Run, current
from lab.recipe import Recipe
from lab.search import batch, gates
from lab.search.anchors import Anchor, checked, of_record
from lab.search.dispatch import Caps, dispatch
from lab.search.generate import neighbourhood
from lab.search.harvest import harvest
from lab.search.predict import Band
from lab.search.probe import PAIRS, Probe, probe
from lab.search.rank import Candidate, Limits, MetaLagrangianSearch, Ranked
from lab.store import write_atomic

SCHEMA = "lab.search/1"
MEASURING_S = 14.0
"""Machine time of a run beside its encoding: inflating in a clean process, and both networks."""
Monitor = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a loop is asked to do. `root` is the recipe that it starts from; costs are seconds of machine time.

    `novelty` is why candidates in dead configurations may be run after all; every use is kept beside the lanes.
    """

    name: str
    root: Recipe
    max_cycles: int = 4
    per_cycle: int = 8
    max_total_cost_s: float = 3_600.0
    max_cost_per_cycle_s: float = 1_200.0
    convergence_eps: float = 0.0005
    workers: int = 2
    novelty: str | None = None
    probe_pairs: int = PAIRS
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a candidate before it is run: its recipe, its probe, and what the negative cache says."""

    recipe: Recipe
    probe: Probe
    answer: negative.Answer


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


def lane_of(asked: Recipe) -> str:
    """The lane of a recipe: its family, and for standard encoders which one on which grid."""
    parts = [str(asked.params[key]) for key in ("encoder", "grid") if key in asked.params]
    return "/".join([asked.family, *parts])


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
        best = _best(asked, contract, bench)
        ranked, probes = _ranked(asked, best, contract, bench, monitor)
        chosen = _affordable(ranked, asked, sum(cycle.spent_s for cycle in cycles))
        rows = [_row(row, probes[row.candidate.name], row in chosen) for row in ranked]
        if not spend or not chosen:
            yield _cycle(number, best, rows, best, 0.0, quiet)
            return
        chosen_rows = batch_of(chosen, probes, contract)
        jobs = batch.jobs(chosen_rows, call or partial(batch.run, bench=bench))
        for row in chosen:
            if probes[row.candidate.name].answer.code == negative.OVERRIDDEN:
                negative.keep_override(bench.ledgers, row.candidate.name, probes[row.candidate.name].answer)
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
        after = _best(asked, contract, bench)
        quiet = quiet + 1 if best.total - after.total < asked.convergence_eps else 0
        cycles.append(_cycle(number, best, rows, after, spent, quiet))
        _write(journal, contract, asked, cycles)
        yield cycles[-1]


def next_batch(asked: Asked, contract: Contract, bench: Bench, monitor: Monitor) -> batch.Batch:
    """What the next cycle of a loop would run, as a batch for `lab.search.batch.send`.

    Raises:
        SearchError: the root was not measured yet.
    """
    ranked, probes = _ranked(asked, _best(asked, contract, bench), contract, bench, monitor)
    return batch_of(_affordable(ranked, asked, 0.0), probes, contract)


def _best(asked: Asked, contract: Contract, bench: Bench) -> Run:
    """The best ranked current run of the root's lane."""
    lane = lane_of(asked.root)
    found = [run for run in current(Ledger(bench.ledgers).runs(contract)) if _in_lane(run, lane)]
    if not found:
        raise SearchError(
            f"search {asked.name!r}", expected=f"a measured run of lane {lane}", found="none",
            fix=f"`lab run {asked.root.name} --contract {contract.name}` first",
        )  # fmt: skip
    return min(found, key=lambda run: (run.total, run.id))


def _in_lane(run: Run, lane: str) -> bool:
    return run.grade in ("A++", "A", "A-negative") and run.axis == "cpu" and lane_of(_asked_for(run)) == lane


def _asked_for(run: Run) -> Recipe:
    kept = run.data["recipe"]
    return Recipe(name=run.recipe, family=run.family, question="", params=dict(kept["params"]), seed=int(kept["seed"]))


def _ranked(
    asked: Asked, best: Run, contract: Contract, bench: Bench, monitor: Monitor
) -> tuple[list[Ranked], dict[str, Seen]]:
    """Every neighbour of the best run that has not been run, ranked on the anchors of its lane."""
    store = Ledger(bench.ledgers)
    runs = [run for run in current(store.runs(contract)) if _in_lane(run, lane_of(asked.root))]
    known = {str(run.data["recipe"]["sha256"]) for run in runs}
    base = recipe.parse(
        (store.evidence(contract.name, best.id) / "recipe.toml").read_text(encoding="utf-8"), best.recipe
    )
    near = [found for found in neighbourhood(base, asked.root) if found.digest not in known]
    anchors = [_floor(contract, lane_of(asked.root))]
    bytes_each = []
    for done, run in enumerate(runs, 1):
        seen = probe(_asked_for(run), contract, bench, asked.probe_pairs)
        anchors.append(checked(of_record(run.data, lane_of(asked.root), seen.rel_err), contract))
        bytes_each.append(run.archive_bytes / seen.n_bytes)
        monitor("probes of anchors", done, len(runs))
    factor = sorted(bytes_each)[len(bytes_each) // 2]
    lanes = negative.load(bench.ledgers)
    probes: dict[str, Seen] = {}
    candidates = []
    search = MetaLagrangianSearch(anchors=tuple(anchors), contract=contract, limits=asked.limits)
    lane = search.lanes()[lane_of(asked.root)]
    for done, found in enumerate(near, 1):
        seen = probe(found, contract, bench, asked.probe_pairs)
        answer = negative.check(lanes, contract.name, found.family, found.params, asked.novelty)
        probes[found.name] = Seen(recipe=found, probe=seen, answer=answer)
        n_bytes = round(seen.n_bytes * factor)
        candidate = Candidate(
            name=found.name,
            lane=lane_of(found),
            rel_err=seen.rel_err,
            archive_bytes=n_bytes,
            cost_s=seen.seconds * contract.n_pairs / seen.n_pairs + MEASURING_S,
        )
        question = gates.Question(
            candidate=candidate,
            lane=lane,
            prediction=lane.band(seen.rel_err, n_bytes),
            commands=(f"lab run {found.name} --contract {contract.name}",),
            families=tuple(codecs.FAMILIES),
        )
        passed = gates.verdict(gates.ask(question)) == gates.PASSED and answer.code != negative.REFUSED
        candidates.append(Candidate(**{**asdict(candidate), "gate_passed": passed}))
        monitor("probes of candidates", done, len(near))
    # a parked lane orders candidates and refuses none
    return sorted(search.rank(candidates), key=lambda row: (not row.eligible, _parked(probes, row))), probes


def _parked(probes: Mapping[str, Seen], row: Ranked) -> bool:
    return any(lane.state == "parked" for lane in probes[row.candidate.name].answer.lanes)


def _floor(contract: Contract, lane: str) -> Anchor:
    """The source against itself: no distortion, and the whole source as its bytes."""
    n_bytes = contract.source.bytes
    return Anchor(
        lane=lane,
        label="source",
        rel_err=0.0,
        archive_bytes=n_bytes,
        score=contract.score(segnet=0.0, posenet=0.0, archive_bytes=n_bytes).total,
        segnet=0.0,
        posenet=0.0,
        source="derivation: a source measured against itself has no distortion",
    )


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


def batch_of(chosen: Sequence[Ranked], probes: Mapping[str, Seen], contract: Contract) -> batch.Batch:
    """What was chosen, as a batch."""
    return batch.Batch(
        contract=contract.name,
        contract_sha256=contract.digest,
        rows=tuple(
            batch.Row(
                candidate=row.candidate.name,
                recipe=probes[row.candidate.name].recipe.text,
                cost_s=row.candidate.cost_s,
                ready=row.eligible,
            )
            for row in chosen
        ),
    )


def local(workers: int) -> Callable[[], Executor]:
    """Processes of this machine."""
    return partial(ProcessPoolExecutor, workers, mp_context=multiprocessing.get_context("spawn"))


def _row(row: Ranked, seen: Seen, chosen: bool) -> dict[str, Any]:
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
