"""One run, as its record and what lies beside it tell; and which of many runs stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lab.contract import Contract, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One record, and by name what is asked of it most.

    Attributes:
        data: the JSON as stored, its grade as later replays and changes of its contract leave it.
        grade_then: the grade under the contract as it was when the run was measured.
        id: recipe slug and eight digits that name the result.
        total: the score.
        axis: cpu, cuda, or an advisory axis.
        recipe, family: family/slug; codec family.
        verdict: promoted, rejected or open.
        grade: grade on record, A++ where replays confirm it, empirical where the contract has changed since.
        archive_bytes: size of the archive as charged.
        parents: ids of the runs that this one departs from.
    """

    data: Mapping[str, Any]
    score: Score = field(repr=False)
    grade_then: str = ""
    id: str = field(init=False, compare=False)
    total: float = field(init=False, compare=False)
    axis: str = field(init=False, compare=False)
    recipe: str = field(init=False, compare=False)
    family: str = field(init=False, compare=False)
    verdict: str = field(init=False, compare=False)
    grade: str = field(init=False, compare=False)
    archive_bytes: int = field(init=False, compare=False)
    parents: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Name what is asked for hundreds of thousands of times where there are thousands of runs."""
        data, put = self.data, partial(object.__setattr__, self)
        recipe, measured = data["recipe"], data["evaluation"]
        put("id", str(data["id"]))
        put("total", self.score.total)
        put("axis", str(measured["axis"]))
        put("recipe", str(recipe["name"]))
        put("family", str(recipe["family"]))
        put("verdict", str(data["verdict"]))
        put("grade", str(data["grade"]))
        put("archive_bytes", int(measured["archive_bytes"]))
        put("parents", tuple(data["parents"]))

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
