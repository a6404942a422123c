"""The *Status* page: the projection that `lab status` prints, with its runs, lanes and questions linked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import groupby

from lab import projection
from lab.hypotheses import Gate, Hypothesis, passed
from lab.projection import Frontier, Near, Projection, Stale, Step
from lab.site import data, facts
from lab.site.book import Book, Entry
from lab.site.data import Content

FILE = "data/status.json"
SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best ranked run of a contract and axis, or of a family there; `first` is what its contract's baseline is."""

    row: Frontier
    entry: Entry
    first: Entry | None

    @property
    def share(self) -> float | None:
        """Its score over that of the baseline; None where there is none, or it is the baseline."""
        return self.entry.total / self.first.total if self.first and self.first is not self.entry else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One gate of a question's ladder. `state`: passed, failed or ahead."""

    name: str
    asks: str
    state: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An open hypothesis as the page prints it; every text is inert."""

    id: str
    family: str
    state: str
    asks: str
    changed: str
    control: Entry | None
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tired:
    """Records that went stale for one reason and are renewed by one command; `runs` are those that have a page."""

    why: str
    command: str
    others: tuple[str, ...]
    runs: tuple[Entry, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.others) + len(self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything that the page shows."""

    best: tuple[Best, ...]
    families: tuple[Best, ...]
    questions: tuple[Question, ...]
    near: tuple[tuple[Near, Entry, str], ...]
    stale: tuple[Tired, ...]
    steps: tuple[Step, ...]
    files: Mapping[str, Content]


def load(book: Book) -> Status:
    """The projection of what the book holds.

    Raises:
        LedgerError: a lane, a question or a journal cannot be read or does not hold together.
    """
    runs = {
        shelf.contract.name: (shelf.contract, tuple(entry.run for entry in shelf.entries)) for shelf in book.shelves
    }
    seen = projection.project(projection.gather(book.ledgers, runs))
    known = {(shelf.contract.name, entry.id): entry for shelf in book.shelves for entry in shelf.entries}
    firsts = {(board.contract.name, board.axis): board.start for shelf in book.shelves for board in shelf.boards}

    def best(row: Frontier) -> Best:
        return Best(row=row, entry=known[row.contract, row.run], first=firsts.get((row.contract, row.axis)))

    by_id = {entry.id: entry for entry in known.values()}
    return Status(
        best=tuple(map(best, seen.best)),
        families=tuple(map(best, seen.families)),
        questions=tuple(_question(found, known.get((found.contract, found.control))) for found in seen.hypotheses),
        near=tuple((row, by_id[row.run], facts.inert(row.revive_if)[: facts.TEXT_LIMIT]) for row in seen.near),
        stale=tuple(_tired(seen.stale, by_id)),
        steps=tuple(Step(command=facts.inert(step.command), why=facts.inert(step.why)) for step in seen.next),
        files={FILE: data.dump(_plain(seen))},
    )


def _question(found: Hypothesis, control: Entry | None) -> Question:
    return Question(
        id=found.id,
        family=found.family,
        state=found.state,
        asks=facts.inert(found.question)[: facts.TEXT_LIMIT],
        changed=facts.inert(found.changed)[: facts.TEXT_LIMIT],
        control=control,
        rungs=tuple(_rung(gate, found) for gate in found.gates),
    )


def _rung(gate: Gate, found: Hypothesis) -> Rung:
    pairs = f" on {gate.pairs} pairs" if gate.pairs else ""
    step = found.steps.get(gate.rung)
    return Rung(
        name=gate.rung,
        asks=f"{gate.metric} at most {gate.at_most:g}{pairs}",
        state="ahead" if step is None else "passed" if passed(gate, step) else "failed",
        found="" if step is None else f"{float(step[gate.metric]):g}",
    )


def _tired(rows: tuple[Stale, ...], by_id: Mapping[str, Entry]) -> list[Tired]:
    """Stale records by reason and command, in the projection's order."""
    found = []
    for (why, command), group in groupby(rows, lambda row: (row.why, row.command)):
        names = [row.what for row in group]
        runs = {name: by_id.get(name.removeprefix("run ")) for name in names if name.startswith("run ")}
        found.append(
            Tired(
                why=facts.inert(why),
                command=facts.inert(command),
                others=tuple(facts.inert(name) for name in names if not runs.get(name)),
                runs=tuple(entry for entry in runs.values() if entry),
            )
        )
    return found


def _plain(seen: Projection) -> dict[str, object]:
    """The same as a file: what the page prints, and no more of a question than that."""
    table = asdict(seen)
    table["hypotheses"] = [
        {"id": one.id, "family": one.family, "contract": one.contract, "state": one.state, "question": one.question}
        for one in seen.hypotheses
    ]
    return {"schema": "lab.status/1", **table}
