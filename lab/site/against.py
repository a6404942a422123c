"""Why one run beats another: what separates two runs of one board, term by term, in a sentence and as a table.

A handful of pairs is written out; a script on the page does the same for any two, from `data/<contract>/runs.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from lab.site import data, lineage
from lab.site import format as show
from lab.site.book import Board, Entry
from lab.site.captions import link
from lab.site.data import Content
from lab.site.lineage import Delta


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two runs of one board, the better one first; `changed` are parameters that differ, (name, one, other)."""

    title: str
    one: Entry
    other: Entry
    delta: Delta
    changed: tuple[tuple[str, Any, Any], ...]

    @property
    def finding(self) -> Markup:
        """Why the one beats the other, in words."""
        gained = {name: value for name, value in self.delta.terms.items() if value < 0}
        lost = {name: value for name, value in self.delta.terms.items() if value > 0}
        text = Markup("{} scores {} lower than {}. ").format(
            link(self.one), show.score(-self.delta.total, 4), link(self.other)
        )
        text += Markup("It gains in {}").format(_listed(gained)) if gained else Markup("It gains in no term")
        return text + (Markup(" and pays in {}.").format(_listed(lost)) if lost else Markup(" and pays in none."))

    @property
    def rows(self) -> list[tuple[str, str, str, str, float]]:
        """(quantity, of the one, of the other, difference, its sign as a number) from the score down to components."""
        here, there = self.one.data["evaluation"], self.other.data["evaluation"]
        terms = [
            (name, getattr(self.one.run.score, field), getattr(self.other.run.score, field))
            for name, field in (
                ("SegNet term", "segnet_term"),
                ("PoseNet term", "posenet_term"),
                ("rate term", "rate_term"),
            )
        ]
        out = [
            (name, show.score(mine), show.score(theirs), show.signed(mine - theirs), mine - theirs)
            for name, mine, theirs in [("score", self.one.total, self.other.total), *terms]
        ]
        n_bytes = self.delta.n_bytes
        out.append(
            (
                "bytes",
                show.byte_count(self.one.n_bytes),
                show.byte_count(self.other.n_bytes),
                show.signed_bytes(n_bytes),
                float(n_bytes),
            )
        )
        for name, key in (("SegNet", "segnet"), ("PoseNet", "posenet")):
            change = here[key] - there[key]
            out.append((name, show.score(here[key], 8), show.score(there[key], 8), show.signed(change, 8), change))
        return out


def _listed(terms: dict[str, float]) -> str:
    parts = [
        f"{name} ({show.signed(value, 4)})" for name, value in sorted(terms.items(), key=lambda item: -abs(item[1]))
    ]
    return " and ".join(parts)


def pair(title: str, one: Entry, other: Entry) -> Pair:
    """Two runs of one board, whichever is better first."""
    one, other = sorted((one, other), key=lambda entry: (entry.total, entry.id))
    mine, theirs = (dict(entry.data["recipe"]["params"]) for entry in (one, other))
    alike = one.run.family == other.run.family
    changed = tuple(
        (name, mine.get(name), theirs.get(name))
        for name in sorted({*mine, *theirs})
        if alike and mine.get(name) != theirs.get(name)
    )
    return Pair(title=title, one=one, other=other, delta=lineage.delta(one, other), changed=changed)


def pairs(board: Board | None) -> list[Pair]:
    """The pairs that a reader asks for first: the frontier against parent, families and baseline; no pair twice."""
    if board is None or board.frontier is None:
        return []
    best = board.frontier
    wanted: list[tuple[str, Entry | None, Entry | None]] = [
        ("The frontier against its parent", best, board.by_id.get(best.parent or "")),
        *((f"The frontier against the best of {entry.run.family}", best, entry) for entry in board.families[1:]),
        ("The frontier against the baseline", best, board.start),
        *(
            (f"The best of {entry.run.family} against its parent", entry, board.by_id.get(entry.parent or ""))
            for entry in board.families[1:]
        ),
    ]
    found: dict[frozenset[str], Pair] = {}
    for title, one, other in wanted:
        if one and other and one is not other:
            found.setdefault(frozenset((one.id, other.id)), pair(title, one, other))
    return list(found.values())


def files(boards: Sequence[Board]) -> dict[str, Content]:
    """The runs of the first board of a contract that have a page, as small as the script needs them."""
    if not boards:
        return {}
    board = boards[0]
    lines = [_line(entry) for entry in board.best_first if not entry.row]
    head = {"schema": "lab.runs/1", "contract": board.contract.name, "axis": board.axis}
    return {f"data/{board.contract.name}/runs.json": data.with_lines(head, "runs", "[]", lines)}


def _line(entry: Entry) -> str:
    if "against" not in entry.made:
        entry.made["against"] = data.one_line(
            {
                "id": entry.id,
                "name": entry.slug,
                "family": entry.run.family,
                "page": f"..{entry.url}",
                "grade": entry.run.grade,
                "verdict": entry.run.verdict,
                "changed": str(entry.data["recipe"]["changed"]),
                "parent": entry.parent,
                "bytes": entry.n_bytes,
                "segnet": entry.data["evaluation"]["segnet"],
                "posenet": entry.data["evaluation"]["posenet"],
                "score": entry.total,
                "terms": [entry.run.score.segnet_term, entry.run.score.posenet_term, entry.run.score.rate_term],
            }
        )
    line: str = entry.made["against"]
    return line
