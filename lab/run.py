"""One run, as its record and what lies beside it tell; and which of many runs stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.contract import Contract, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One record. `data` is the JSON as stored, its grade as later replays and changes of its contract leave it; the
    properties name the rest. `grade_then` is the grade under the contract as it was when the run was measured.
    """

    data: Mapping[str, Any]
    score: Score = field(repr=False)
    grade_then: str = ""
    id: str = field(init=False, compare=False)
    total: float = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Keep what is asked for most: `id`, recipe slug and eight digits that name the result; `total`, the score."""
        object.__setattr__(self, "id", str(self.data["id"]))
        object.__setattr__(self, "total", self.score.total)

    def order(self) -> tuple[str, str]:
        """Where it stands among others: by time of recording, then by id."""
        return str(self.data["recorded_at"]), self.id

    @property
    def contract(self) -> str:
        """Name of the contract under which it was measured."""
        return str(self.data["contract"])

    @property
    def axis(self) -> str:
        """cpu, cuda, or an advisory axis."""
        return str(self.data["evaluation"]["axis"])

    @property
    def recipe(self) -> str:
        """family/slug."""
        return str(self.data["recipe"]["name"])

    @property
    def family(self) -> str:
        """Codec family."""
        return str(self.data["recipe"]["family"])

    @property
    def verdict(self) -> str:
        """promoted, rejected or open."""
        return str(self.data["verdict"])

    @property
    def grade(self) -> str:
        """Grade on record, A++ where replays confirm it, empirical where the contract has changed since."""
        return str(self.data["grade"])

    @property
    def archive_bytes(self) -> int:
        """Size of the archive as charged."""
        return int(self.data["evaluation"]["archive_bytes"])

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the runs that this one departs from."""
        return tuple(self.data["parents"])


def superseded(runs: list[Run]) -> set[str]:
    """Ids that a later record replaces."""
    return {str(run.data["supersedes"]) for run in runs if run.data["supersedes"]}


def current(runs: list[Run]) -> Iterator[Run]:
    """The runs that no later record replaces."""
    gone = superseded(runs)
    return (run for run in runs if run.id not in gone)


def outdated(runs: list[Run], contract: Contract) -> list[Run]:
    """Current runs that were measured under an earlier state of their contract, in the order of `runs`."""
    return [run for run in current(runs) if run.data["contract_sha256"] != contract.digest]


def frontier(runs: list[Run], axis: str) -> Run | None:
    """The best ranked run of one axis: lowest total among current runs of an A grade."""
    ranked = [run for run in current(runs) if run.axis == axis and run.grade in ("A++", "A", "A-negative")]
    return min(ranked, key=lambda run: (run.total, run.id), default=None)
