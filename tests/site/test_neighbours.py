"""The runs near a run are its parent, itself, and those of its siblings and children whose score is closest."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.site import lineage
from lab.site.book import Board, Entry


@dataclass(frozen=True, eq=False)
class Made:
    """What `lineage` asks of an entry."""

    id: str
    total: float
    parent: str | None
    n_bytes: int = 1
    contract: Any = "one"
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> tuple[float, str]:
        """As an entry has it."""
        return self.total, self.id

    @property
    def run(self) -> Any:
        """Axis and score."""
        terms = {"segnet_term": 0.0, "posenet_term": 0.0, "rate_term": self.total}
        return SimpleNamespace(axis="cpu", score=SimpleNamespace(total=self.total, **terms))


def made(dice: random.Random, count: int, values: list[float]) -> Board:
    """Runs whose totals are often equal, or equally far from others, from few parents."""
    names = [f"r{n:03d}" for n in dice.sample(range(999), count)]
    entries = [
        Made(id=name, total=dice.choice(values), parent=dice.choice([None, "gone", *names[: min(at, 4)]]))
        for at, name in enumerate(names)
    ]
    return Board(contract=cast("Any", "one"), axis="cpu", entries=cast("tuple[Entry, ...]", tuple(entries)))


def expected(entry: Entry, board: Board, limit: int) -> list[tuple[str, str]]:
    """The same by looking at every run."""
    parent = board.by_id.get(entry.parent or "")
    near = ([(parent.id, "parent")] if parent else []) + [(entry.id, "this run")]
    for relation, key in (("sibling", entry.parent), ("child", entry.id)):
        others = [one for one in board.entries if key and one.parent == key and one is not entry]
        room = max(limit - len(near), 0)
        closest = heapq.nsmallest(room, others, key=lambda one: (abs(one.total - entry.total), one.id))
        near += [(one.id, relation) for one in closest]
    return near[:limit]


@pytest.mark.parametrize("limit", [1, 2, 6, 12])
def test_the_closest_runs_come_first_and_ids_decide_between_those_as_close(limit: int) -> None:
    dice = random.Random(limit)
    fields: tuple[list[float], ...] = (
        [1.0],
        [0.5, 1.0, 1.5],
        [i / 8 for i in range(9)],
        [dice.random() for _ in range(40)],
    )
    fields += ([1e17, 1e17 + 16, 0.1, 0.2, 0.30000000000000004, 0.3],)  # differences that round to the same
    for values in fields:
        for count in (1, 2, 9, 60):
            board = made(dice, count, values)
            for entry in board.entries:
                found = lineage.neighbourhood(entry, board, limit)
                assert [(one.entry.id, one.relation) for one in found] == expected(entry, board, limit)
                for one in found:
                    parent = board.by_id.get(one.entry.parent or "")
                    assert one.delta == (lineage.delta(one.entry, parent) if parent else None)
                    assert one.delta is lineage.from_parent(one.entry, board)
