"""Long ledgers: rows for a page that shows some at a time, and plain lists of all runs for readers without scripts."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from lab.site import lineage
from lab.site.book import Entry, Shelf

LONG = 600  # standing runs above which a page does not carry them all
SHOWN = 40
LEAST, MOST, ONE_IN = 120, 280, 64  # runs of a part: see `parts`
_LINE = json.JSONEncoder(allow_nan=False)
COLUMNS = (
    *("id", "slug", "score", "delta", "bytes", "verdict", "changed", "segnet", "posenet", "grade", "axis", "date"),
    "page",  # 1: the run has a page of its own
)


def is_long(shelf: Shelf) -> bool:
    """Has a ledger more standing runs than one page can carry, or runs that are nowhere but in its lists?"""
    return len(shelf.current) > LONG or shelf.pageless > 0


def url(shelf: Shelf) -> str:
    """Address of its rows."""
    return f"/data/{shelf.contract.name}/index.json"


def part_url(shelf: Shelf, number: int) -> str:
    """Address of a list of a part of its runs; parts count from 1."""
    return f"{shelf.url}{number}/"


def ordered(shelf: Shelf) -> list[Entry]:
    """The standing runs, best score first."""
    if len(shelf.boards) == 1:
        return list(shelf.boards[0].best_first)
    return sorted(shelf.current, key=lambda entry: (entry.total, entry.id))


def parts(shelf: Shelf) -> list[list[Entry]]:
    """Every run in parts of `LEAST` to `MOST`: those that stand, best first, then the former ones, newest first.

    A part ends after a run whose id says so, as one in `ONE_IN` does. So a further run changes the part that it comes
    into, and not every part behind it.
    """
    found: list[list[Entry]] = [[]]
    for entry in (*ordered(shelf), *reversed(shelf.history)):
        part = found[-1]
        part.append(entry)
        if len(part) == MOST or (len(part) >= LEAST and zlib.crc32(entry.id.encode()) % ONE_IN == 0):
            found.append([])
    return [part for part in found if part]


def places(shelf: Shelf) -> dict[str, str]:
    """Address of the line of every run in the parts, by its id."""
    return {entry.id: f"{part_url(shelf, n)}#{entry.id}" for n, part in enumerate(parts(shelf), 1) for entry in part}


def deltas(shelf: Shelf, entries: Sequence[Entry]) -> dict[str, lineage.Delta | None]:
    """The delta of runs against their true parents, by run id; runs of different boards do not meet."""
    homes = {name: board for board in shelf.boards for name in board.by_id}
    return {entry.id: lineage.from_parent(entry, homes[entry.id]) for entry in entries if entry.id in homes}


def rows(shelf: Shelf) -> bytes:
    """Every standing run as a row of `COLUMNS`, best score first; flagged ones by id besides."""
    lines = []
    homes = {name: board for board in shelf.boards for name in board.by_id}
    for entry in ordered(shelf):
        board, made = homes.get(entry.id), entry.made
        parent = board.by_id.get(entry.parent) if board and entry.parent else None
        before, line = made.get("index", (None, ""))
        if not line or before is not parent:
            delta = lineage.from_parent(entry, board) if board else None
            line = _LINE.encode(_row(entry, delta.total if delta else None))
            made["index"] = parent, line
        lines.append(line)
    head = {"schema": "lab.index/1", "columns": COLUMNS, "flagged": [e.id for e in shelf.current if e.flags]}
    return (json.dumps(head)[:-1] + ', "rows": [\n' + ",\n".join(lines) + "\n]}\n").encode()


def _row(entry: Entry, change: float | None) -> tuple[Any, ...]:
    measured = entry.data["evaluation"]
    return (
        *(entry.id, entry.slug, entry.total, change, entry.n_bytes, entry.run.verdict),
        *(entry.data["recipe"]["changed"] or "the start", measured["segnet"], measured["posenet"]),
        *(entry.run.grade, entry.run.axis, str(entry.data["recorded_at"])[:10], int(not entry.row)),
    )
