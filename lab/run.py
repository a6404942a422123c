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
    axis: str = field(init=False, compare=False, repr=False)
    recipe: str = field(init=False, compare=False, repr=False)
    family: str = field(init=False, compare=False, repr=False)
    verdict: str = field(init=False, compare=False, repr=False)
    grade: str = field(init=False, compare=False, repr=False)
    archive_bytes: int = field(init=False, compare=False, repr=False)
    parents: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Keep what is asked for hundreds of times.

        `id`: recipe slug and eight digits that name the result; `total`: the score; `axis`: cpu, cuda, or an advisory
        one; `recipe`: family/slug; `verdict`: promoted, rejected or open; `grade`: as on record, A++ where replays
        confirm it, empirical where the contract has changed since; `archive_bytes`: the archive as charged;
        `parents`: ids of the runs that it departs from.
        """
        data, keep = self.data, object.__setattr__
        measured, asked = data["evaluation"], data["recipe"]
        keep(self, "id", str(data["id"]))
        keep(self, "total", self.score.total)
        keep(self, "axis", str(measured["axis"]))
        keep(self, "recipe", str(asked["name"]))
        keep(self, "family", str(asked["family"]))
        keep(self, "verdict", str(data["verdict"]))
        keep(self, "grade", str(data["grade"]))
        keep(self, "archive_bytes", measured["archive_bytes"])
        keep(self, "parents", tuple(data["parents"]))

    def order(self) -> tuple[str, str]:
        """Where it stands among others: by time of recording, then by id."""
        return str(self.data["recorded_at"]), self.id

    @property
    def contract(self) -> str:
        """Name of the contract under which it was measured."""
        return str(self.data["contract"])


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
