"""Where a run comes from: deltas against its true parent, the main line to the frontier, side branches, neighbours."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple, cast

from lab.site.book import Board, Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What changed from one run to another; negative is better."""

    total: float
    segnet_term: float
    posenet_term: float
    rate_term: float
    n_bytes: int

    @property
    def terms(self) -> dict[str, float]:
        """The three terms by name."""
        return {"SegNet": self.segnet_term, "PoseNet": self.posenet_term, "rate": self.rate_term}

    @property
    def driver(self) -> str:
        """The term that moved most."""
        return max(self.terms, key=lambda name: abs(self.terms[name]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One run on the main line, and the runs tried from it that are not on the line."""

    entry: Entry
    delta: Delta | None
    branches: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The line of a family, without the steps that it shares with one before it: those lead up to `fork`."""

    family: str
    steps: tuple[Step, ...]
    first: int
    fork: Entry | None
    shared: str


class Neighbour(NamedTuple):
    """A run near another one, with its delta against its own parent."""

    entry: Entry
    relation: str
    delta: Delta | None


def delta(entry: Entry, other: Entry) -> Delta:
    """`entry` minus `other`, term by term.

    Raises:
        ValueError: the two were measured under different contracts or axes.
    """
    same = entry.contract is other.contract or entry.contract.digest == other.contract.digest
    if not same or entry.run.axis != other.run.axis:
        raise ValueError(f"{entry.id} and {other.id} must not be compared: contract or axis differ")
    mine, theirs = entry.run.score, other.run.score
    return Delta(
        total=mine.total - theirs.total,
        segnet_term=mine.segnet_term - theirs.segnet_term,
        posenet_term=mine.posenet_term - theirs.posenet_term,
        rate_term=mine.rate_term - theirs.rate_term,
        n_bytes=entry.n_bytes - other.n_bytes,
    )


def from_parent(entry: Entry, board: Board) -> Delta | None:
    """The delta against the parent that the record names, None where the parent is not on the board."""
    parent = board.by_id.get(entry.parent or "")
    if parent is None:
        return None
    known, found = cast("tuple[Entry | None, Delta | None]", entry.made.get("delta", (None, None)))
    if known is not parent:
        found = delta(entry, parent)
        entry.made["delta"] = parent, found
    return found


def ancestors(entry: Entry, board: Board) -> list[Entry]:
    """The chain of parents, oldest first, ending with the run itself; a circle is cut."""
    chain, seen = [entry], {entry.id}
    while (parent := board.by_id.get(chain[-1].parent or "")) and parent.id not in seen:
        chain.append(parent)
        seen.add(parent.id)
    return chain[::-1]


def lines(board: Board) -> list[tuple[Step, ...]]:
    """The ancestors of the best run of each codec family, oldest first, the frontier's line before the others.

    Each step has what else was tried from it: the runs that lie on none of the lines.
    """
    chains = [ancestors(best, board) for best in board.families]
    on_line = {entry.id for chain in chains for entry in chain}
    return [
        tuple(
            Step(
                entry=entry,
                delta=from_parent(entry, board),
                branches=tuple(child for child in board.children.get(entry.id, ()) if child.id not in on_line),
            )
            for entry in chain
        )
        for chain in chains
    ]


def ways(board: Board) -> list[Way]:
    """Every line of `lines` once, the frontier's first: a later one begins where it leaves an earlier one."""
    found: list[Way] = []
    homes: dict[str, str] = {}
    for steps in lines(board):
        family = steps[-1].entry.run.family
        own = next((at for at, step in enumerate(steps) if step.entry.id not in homes), len(steps))
        fork = steps[own - 1].entry if own else None
        shared = homes[fork.id] if fork else ""
        found.append(Way(family=family, steps=steps[own:], first=own + 1, fork=fork, shared=shared))
        for step in steps[own:]:
            homes.setdefault(step.entry.id, family)
    return found


def neighbourhood(entry: Entry, board: Board, limit: int) -> list[Neighbour]:
    """Parent, siblings and children of a run, each with the delta against its own true parent."""
    parent = board.by_id.get(entry.parent or "")
    near = [(parent, "parent")] if parent else []
    near.append((entry, "this run"))
    for relation, key in (("sibling", entry.parent or ""), ("child", entry.id)):
        near += [(one, relation) for one in _closest(entry, board, key, limit - len(near))]
    return [Neighbour(one, relation, from_parent(one, board)) for one, relation in near[:limit]]


def _closest(entry: Entry, board: Board, parent: str, count: int) -> list[Entry]:
    """Of the other runs that were tried from a parent those whose score is closest, the closest first."""
    if count <= 0 or parent not in board.by_score:
        return []
    totals, group = board.by_score[parent]
    at, own = bisect_left(totals, entry.total), entry.total
    first, end = max(at - count, 0), min(at + count + 1, len(group))
    while first and abs(totals[first - 1] - own) == abs(totals[first] - own):  # of those as close, ids decide
        first -= 1
    while end < len(group) and abs(totals[end] - own) == abs(totals[end - 1] - own):
        end += 1
    others = [one for one in group[first:end] if one is not entry]
    return sorted(others, key=lambda one: (abs(one.total - own), one.id))[:count]


def turning_points(board: Board) -> list[tuple[Entry, Entry | None, Delta | None]]:
    """(run, the frontier before it, what changed) of every ranked run that was the best when it was recorded."""
    found: list[tuple[Entry, Entry | None, Delta | None]] = []
    best: Entry | None = None
    for entry in board.ranked:
        if best is None or entry.total < best.total:
            found.append((entry, best, delta(entry, best) if best else None))
            best = entry
    return found
