"""The ledger as one flat table: CSV and Parquet with the same columns, and the JSON Schemas of both forms of it.

The columns are those of `lab ledger export`; their values come from the public part of each record.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab import export
from lab.site import data, sanitize
from lab.site.book import Book, Shelf
from lab.site.data import Content

PARQUET = "ledger.parquet"


def rows(shelf: Shelf) -> list[dict[str, Any]]:
    """Every run, oldest first, every column of `lab.export.COLUMNS`; what was withheld is empty."""
    paths = [(name, path.split(".")) for name, (path, _, _) in export.COLUMNS.items()]
    return [{name: _cell(data.field(entry.data, path)) for name, path in paths} for entry in shelf.entries]


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def files(book: Book) -> dict[str, Content]:
    """The CSV of every ledger, a long one in several files, and the schemas."""
    tree: dict[str, Content] = {
        f"data/{which}.schema.json": data.dump(export.json_schema(which)) for which in export.SCHEMAS
    }
    for shelf in book.shelves:
        head, *lines = sanitize.csv_lines(export.COLUMNS, (row.values() for row in rows(shelf))).splitlines()
        for number, part in enumerate(data.portions(lines), 1):
            name = data.portion_name(f"data/{shelf.contract.name}/ledger.csv", number)
            tree[name] = ("\n".join([head, *part]) + "\n").encode()
    return tree


def parquet(book: Book) -> dict[str, Content]:
    """The same tables as Parquet. This loads arrays, which nothing that renders pages does.

    Raises:
        LedgerError: the package that writes Parquet is not installed.
    """
    tree: dict[str, Content] = {}
    for shelf in book.shelves:
        if shelf.entries:
            with TemporaryDirectory() as folder:
                path = Path(folder, PARQUET)
                export.write(rows(shelf), "parquet", path)
                tree[f"data/{shelf.contract.name}/{PARQUET}"] = path.read_bytes()
    return tree
