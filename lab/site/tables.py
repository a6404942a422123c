"""The ledger as JSON and as one flat table, CSV and Parquet with the same columns; the JSON Schemas of both.

The columns are those of `lab ledger export`; their values come from the public part of each record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import is_
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from lab import export
from lab.site import data, sanitize
from lab.site.book import Book, Entry, Shelf
from lab.site.data import Content

PARQUET = "ledger.parquet"
PART = 512  # runs whose columns are kept together


Task = Callable[[], dict[str, Content]]


class Line(NamedTuple):
    """A run as a line of each text."""

    csv: str
    json: str


def lines(shelf: Shelf) -> list[Line]:
    """The line of every run, oldest first, made once for as long as a run lives."""
    return [_line(entry) for entry in shelf.entries]


def _line(entry: Entry) -> Line:
    if "line" not in entry.made:
        entry.made["line"] = Line(sanitize.csv_line(row(entry).values()), data.one_line(entry.data))
    line: Line = entry.made["line"]
    return line


def row(entry: Entry) -> dict[str, Any]:
    """A run by the columns of `lab.export.COLUMNS`, made once; what was withheld is empty."""
    if "row" not in entry.made:
        entry.made["row"] = {name: _cell(entry.data, path) for name, path in _PATHS}
    made: dict[str, Any] = entry.made["row"]
    return made


_PATHS = [(name, path.split(".")) for name, (path, _, _) in export.COLUMNS.items()]


def _cell(record: Mapping[str, Any], path: Sequence[str]) -> Any:
    """A value by the keys that lead to it, a list as words; None where it was withheld."""
    value: Any = record
    for key in path:
        value = value.get(key) if type(value) is dict else data.field(value, (key,))
    return " ".join(map(str, value)) if type(value) is list else value


def together(*tasks: Task) -> Task:
    """What gives the files of several tasks, some perhaps begun elsewhere before they are asked for."""
    return lambda: {name: content for task in tasks for name, content in task().items()}


def files(book: Book) -> dict[str, Content]:
    """Every ledger as JSON and CSV, a long one in several files, and the schemas."""
    tree: dict[str, Content] = {
        f"data/{which}.schema.json": data.dump(export.json_schema(which)) for which in export.SCHEMAS
    }
    for shelf in book.shelves:
        folder, found = f"data/{shelf.contract.name}", lines(shelf)
        made = data.ledger_json(shelf, [line.json for line in found])
        tree |= {f"{folder}/{name}": content for name, content in made.items()}
        head = sanitize.csv_line(export.COLUMNS)
        for number, part in enumerate(data.portions(line.csv for line in found), 1):
            tree[data.portion_name(f"{folder}/ledger.csv", number)] = ("\n".join([head, *part]) + "\n").encode()
    return tree


def parquets(book: Book) -> dict[str, Content]:
    """Every ledger as Parquet. This loads arrays, which nothing that renders pages does.

    Raises:
        LedgerError: the package that writes Parquet is not installed.
    """
    return {
        f"data/{shelf.contract.name}/{PARQUET}": as_parquet(shelf.entries) for shelf in book.shelves if shelf.entries
    }


def as_parquet(entries: Sequence[Entry]) -> bytes:
    """Runs as Parquet.

    Raises:
        LedgerError: the package that writes Parquet is not installed.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, PARQUET)
        export.write_parquet([_columns(entries[at : at + PART]) for at in range(0, len(entries), PART)], path)
        return path.read_bytes()


def _columns(part: Sequence[Entry]) -> Any:
    """Some runs by column, made once for as long as they are the same ones and follow each other."""
    before, made = part[0].made.get("columns", ((), None))
    if len(before) != len(part) or not all(map(is_, before, part)):
        made = export.columns([row(entry) for entry in part])
        part[0].made["columns"] = part, made
    return made
