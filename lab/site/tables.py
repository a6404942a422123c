"""The ledger as JSON and as one flat table, CSV and Parquet with the same columns; the JSON Schemas of both.

The columns are those of `lab ledger export`; their values come from the public part of each record.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab import export
from lab.site import data, sanitize
from lab.site.book import Book, Entry, Shelf
from lab.site.data import Content

PARQUET = "ledger.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A run in the tables: its values by the columns of `lab.export.COLUMNS`, and its line of each text.

    What was withheld is empty.
    """

    entry: Entry
    row: dict[str, Any]
    csv: str
    json: str


class Lines:
    """The line of every run, made once for as long as the run is the same object."""

    def __init__(self) -> None:
        self._known: dict[int, Line] = {}

    def of(self, shelf: Shelf) -> list[Line]:
        """Those of a shelf, oldest run first."""
        for entry in shelf.entries:
            if id(entry) not in self._known:  # a known one holds its run, so that no other has its number
                row = _row(entry)
                text = json.dumps(entry.data, sort_keys=True, allow_nan=False)
                self._known[id(entry)] = Line(entry=entry, row=row, csv=sanitize.csv_line(row.values()), json=text)
        return [self._known[id(entry)] for entry in shelf.entries]

    def forget(self, book: Book) -> None:
        """Keep those of the runs of a book, and no other."""
        here = {id(entry) for shelf in book.shelves for entry in shelf.entries}
        self._known = {key: line for key, line in self._known.items() if key in here}


_PATHS = [(name, path.split(".")) for name, (path, _, _) in export.COLUMNS.items()]


def _row(entry: Entry) -> dict[str, Any]:
    return {name: _cell(data.field(entry.data, path)) for name, path in _PATHS}


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def files(book: Book, parquet: bool = False, kept: Lines | None = None) -> dict[str, Content]:
    """Every ledger as JSON and CSV, a long one in several files, and the schemas; as Parquet too where asked.

    Args:
        kept: lines of former builds, which has those of this one afterwards.

    Raises:
        LedgerError: the package that writes Parquet is not installed.
    """
    lines = kept or Lines()
    tree: dict[str, Content] = {
        f"data/{which}.schema.json": data.dump(export.json_schema(which)) for which in export.SCHEMAS
    }
    for shelf in book.shelves:
        folder, found = f"data/{shelf.contract.name}", lines.of(shelf)
        made = data.ledger_json(shelf, [line.json for line in found])
        tree |= {f"{folder}/{name}": content for name, content in made.items()}
        head = sanitize.csv_line(export.COLUMNS)
        for number, part in enumerate(data.portions(line.csv for line in found), 1):
            tree[data.portion_name(f"{folder}/ledger.csv", number)] = ("\n".join([head, *part]) + "\n").encode()
        if parquet and found:
            tree[f"{folder}/{PARQUET}"] = as_parquet([line.row for line in found])
    lines.forget(book)
    return tree


def as_parquet(flat: Sequence[dict[str, Any]]) -> bytes:
    """Rows as Parquet. This loads arrays, which nothing that renders pages does.

    Raises:
        LedgerError: the package that writes Parquet is not installed.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, PARQUET)
        export.write(flat, "parquet", path)
        return path.read_bytes()
