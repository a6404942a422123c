"""Where the lab stands, from the ledger alone: frontiers, open questions, lanes to keep out of, and what to run next.

`project` is a pure function of records; `gather` reads them. The terminal and the site show the same projection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import contract as contracts
from lab import hypotheses, negative
from lab.contract import Contract
from lab.errors import LedgerError
from lab.hypotheses import Hypothesis
from lab.ledger import Ledger, Run, current, outdated
from lab.negative import Lane
from lab.schema import parse

RANKED = ("A++", "A", "A-negative")
LIMIT_BYTES = 16_000_000
NEAR = 1
"""A lane is near a family's best run where at most so many parameters keep that run out of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """The best ranked run of one contract and axis, or of one family there."""

    contract: str
    axis: str
    family: str
    run: str
    recipe: str
    total: float
    archive_bytes: int
    grade: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """A record that no longer stands on the present state of things, and the command that renews it."""

    what: str
    why: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to do next, and why."""

    command: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A dead or parked lane close to a family's best run, so close to what would be tried next."""

    lane: str
    state: str
    run: str
    parameters_away: int
    revive_if: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """The whole projection; `best` has one row for each contract and axis, `families` one for each family there."""

    best: tuple[Frontier, ...]
    families: tuple[Frontier, ...]
    hypotheses: tuple[Hypothesis, ...]
    near: tuple[Near, ...]
    stale: tuple[Stale, ...]
    next: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What a projection is made from: runs by contract, lanes, hypotheses, journals of searches by name."""

    runs: Mapping[str, tuple[Contract, tuple[Run, ...]]]
    lanes: tuple[Lane, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()
    journals: Mapping[str, Mapping[str, Any]]


def gather(ledgers: Path, runs: Mapping[str, tuple[Contract, tuple[Run, ...]]] | None = None) -> Books:
    """Everything that a projection needs, read from disk.

    Args:
        runs: the runs of every contract, oldest first, where somebody has read them already.

    Raises:
        LedgerError: a record cannot be read or does not hold together.
    """
    if runs is None:
        store = Ledger(ledgers)
        named = {name: contracts.load(name, ledgers) for name in store.contracts()}
        runs = {name: (contract, tuple(store.runs(contract))) for name, contract in named.items()}
    return Books(
        runs=runs,
        lanes=tuple(negative.load(ledgers)),
        hypotheses=tuple(hypotheses.load(ledgers)),
        journals={path.stem: _journal(path) for path in sorted((ledgers / "searches").glob("*.json"))},
    )


def project(books: Books) -> Projection:
    """The projection of some books; the same books give the same projection."""
    best: list[Frontier] = []
    families: list[Frontier] = []
    near: list[Near] = []
    stale: list[Stale] = []
    for name in sorted(books.runs):
        contract, runs = books.runs[name]
        firsts: dict[str, dict[str, Run]] = {}  # the best run by axis and family
        for run in current(list(runs)):
            if run.grade in RANKED:
                there = firsts.setdefault(run.axis, {})
                if run.family not in there or _order(run) < _order(there[run.family]):
                    there[run.family] = run
        for _, there in sorted(firsts.items()):
            best.append(_frontier(min(there.values(), key=_order), ""))
            families += [_frontier(there[family], family) for family in sorted(there)]
            near += [found for run in there.values() for found in _near(run, books.lanes)]
        stale += _stale_runs(name, contract, list(runs))
    stale += _stale_lanes(books) + _stale_journals(books)
    open_ = tuple(found for found in books.hypotheses if found.verdict is None)
    near.sort(key=lambda found: (found.parameters_away, found.lane, found.run))
    return Projection(
        best=tuple(best),
        families=tuple(sorted(families, key=lambda row: (row.contract, row.axis, row.total))),
        hypotheses=open_,
        near=tuple(near),
        stale=tuple(stale),
        next=tuple(_next(books, open_, stale, best)),
    )


def _order(run: Run) -> tuple[float, str]:
    return run.total, run.id


def _frontier(run: Run, family: str) -> Frontier:
    return Frontier(
        contract=run.contract,
        axis=run.axis,
        family=family or run.family,
        run=run.id,
        recipe=run.recipe,
        total=run.total,
        archive_bytes=run.archive_bytes,
        grade=run.grade,
    )


def _near(run: Run, lanes: Sequence[Lane]) -> list[Near]:
    found = []
    for lane in lanes:
        away = lane.distance(run.family, run.data["recipe"]["params"]) if lane.contract == run.contract else None
        if away is not None and away <= NEAR:
            found.append(Near(lane=lane.id, state=lane.state, run=run.id, parameters_away=away, revive_if=lane.revive))
    return found


def _stale_runs(name: str, contract: Contract, runs: list[Run]) -> list[Stale]:
    return [
        Stale(
            what=f"run {run.id}",
            why=f"measured under an earlier state of {name}",
            command=f"lab refresh --contract {name} --family {run.family}",
        )
        for run in outdated(runs, contract)
    ]


def _stale_lanes(books: Books) -> list[Stale]:
    """Lanes whose evidence was superseded, or measured under an earlier state of its contract."""
    found = []
    for lane in books.lanes:
        contract, runs = books.runs.get(lane.contract, (None, ()))
        good = {run.id for run in current(list(runs)) if contract and run.data["contract_sha256"] == contract.digest}
        gone = [identifier for identifier in lane.runs if identifier not in good]
        if gone:
            why = f"{len(gone)} of {len(lane.runs)} cited runs no longer stand, {gone[0]} among them"
            found.append(Stale(what=f"lane {lane.id}", why=why, command=f"lab ledger show {gone[0]}"))
    return found


def _stale_journals(books: Books) -> list[Stale]:
    found = []
    for name, journal in books.journals.items():
        contract, _ = books.runs.get(str(journal.get("contract")), (None, ()))
        if contract is not None and journal.get("contract_sha256") != contract.digest:
            why = f"its anchors were measured under an earlier state of {contract.name}"
            command = f"lab search rank {journal.get('root')} --contract {contract.name} --name another"
            found.append(Stale(what=f"search {name}", why=why, command=command))
    return found


def _next(books: Books, open_: Sequence[Hypothesis], stale: Sequence[Stale], best: Sequence[Frontier]) -> list[Step]:
    """What was begun comes first, then what has gone stale, then evidence of the frontier, then new candidates."""
    steps = []
    for found in open_:
        gate = found.next_gate
        if gate is not None:
            steps.append(Step(command=f"lab negative step {found.id}", why=f"its next rung is {gate.rung}"))
        else:
            words = "kept" if found.state == "measured" else "dead or parked"
            steps.append(Step(command=f"lab negative verdict {found.id}", why=f"it is {found.state}: {words}?"))
    tired = {row.what for row in stale}
    live = {name: journal for name, journal in books.journals.items() if f"search {name}" not in tired}
    for name, journal in live.items():
        if journal.get("pending"):
            command = (
                f"lab search loop {journal.get('root')} --contract {journal.get('contract')} --name {name} --spend"
            )
            steps.append(Step(command=command, why="a cycle was predicted, and did not end"))
    by_command: dict[str, list[Stale]] = {}
    for row in stale:
        if row.what.startswith("run "):
            by_command.setdefault(row.command, []).append(row)
    steps += [Step(command=command, why=f"{len(rows)} runs: {rows[0].why}") for command, rows in by_command.items()]
    for first in best:
        if first.grade != "A++":
            command = f"lab packet build {first.run} -o packet && lab packet verify packet --record"
            steps.append(Step(command=command, why=f"best of {first.contract} on {first.axis}, grade {first.grade}"))
    for name, journal in live.items():
        cycles = journal.get("cycles") or []
        if cycles and not journal.get("pending") and int(cycles[-1].get("converged", 0)) < 2:
            more = f"{_loop(name, journal)} --max-cycles {len(cycles) + 1} --spend"
            steps.append(Step(command=more, why=f"{len(cycles)} cycle{'s' if len(cycles) > 1 else ''}, not converged"))
    return steps


def _loop(name: str, journal: Mapping[str, Any]) -> str:
    return f"lab search loop {journal.get('root')} --contract {journal.get('contract')} --name {name}"


def _journal(path: Path) -> Mapping[str, Any]:
    where = f"searches/{path.name}"
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise LedgerError(where, expected=f"at most {LIMIT_BYTES:,} bytes", found=f"{path.stat().st_size:,}")
        table = parse(path.read_text(encoding="utf-8"), where)
    except (OSError, ValueError) as error:
        raise LedgerError(where, expected="the journal of a search", found=str(error)[:200]) from None
    cycles = table.get("cycles") if isinstance(table, dict) else None
    if not isinstance(cycles, list) or not all(isinstance(cycle, dict) for cycle in cycles):
        raise LedgerError(where, expected="a journal with a list of cycles")
    return dict(table)
