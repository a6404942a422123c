"""Long ledgers: rows for a page that shows some at a time, and plain lists of all runs for readers without scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lab.site import lineage
from lab.site.book import Entry, Shelf

LONG = 600  # standing runs above which a page does not carry them all
SHOWN = 40
PART = 200
COLUMNS = ("id", "slug", "score", "delta", "bytes", "verdict", "changed", "segnet", "posenet", "grade", "axis", "date")


def is_long(shelf: Shelf) -> bool:
    """Has a ledger more standing runs than one page can carry?"""
    return len(shelf.current) > LONG


def url(shelf: Shelf) -> str:
    """Address of its rows."""
    return f"/data/{shelf.contract.name}/index.json"


def part_url(shelf: Shelf, number: int) -> str:
    """Address of a list of a part of its runs; parts count from 1."""
    return f"{shelf.url}{number}/"


def parts(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    """The runs in parts of `PART`, in the order given."""
    return [entries[at : at + PART] for at in range(0, len(entries), PART)]


def deltas(shelf: Shelf) -> dict[str, lineage.Delta | None]:
    """The delta of every run against its true parent, by run id; runs of different boards do not meet."""
    return {entry.id: lineage.from_parent(entry, board) for board in shelf.boards for entry in board.entries}


def rows(shelf: Shelf) -> bytes:
    """Every standing run as a row of `COLUMNS`, best score first; flagged ones by id besides."""
    changes = deltas(shelf)
    lines = []
    for entry in sorted(shelf.current, key=lambda entry: (entry.total, entry.id)):
        delta, measured = changes.get(entry.id), entry.data["evaluation"]
        row = (
            *(entry.id, entry.slug, entry.total, delta.total if delta else None, entry.n_bytes, entry.run.verdict),
            *(entry.data["recipe"]["changed"] or "the start", measured["segnet"], measured["posenet"]),
            *(entry.run.grade, entry.run.axis, str(entry.data["recorded_at"])[:10]),
        )
        lines.append(json.dumps(row, allow_nan=False))
    head = {"schema": "lab.index/1", "columns": COLUMNS, "flagged": [e.id for e in shelf.current if e.flags]}
    return (json.dumps(head)[:-1] + ', "rows": [\n' + ",\n".join(lines) + "\n]}\n").encode()
