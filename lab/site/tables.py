"""The ledger as JSON and as one flat table, CSV and Parquet with the same columns; the JSON Schemas of both.

The columns are those of `lab ledger export`; their values come from the public part of each record.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def files(book: Book, parquet: bool = False) -> dict[str, Content]:
    """Every ledger as JSON and CSV, a long one in several files, and the schemas; as Parquet too where asked.

    Raises:
        LedgerError: the package that writes Parquet is not installed.
    """
    tree: dict[str, Content] = {
        f"data/{which}.schema.json": data.dump(export.json_schema(which)) for which in export.SCHEMAS
    }
    for shelf in book.shelves:
        folder, flat = f"data/{shelf.contract.name}", rows(shelf)
        tree |= {f"{folder}/{name}": content for name, content in data.ledger_json(shelf).items()}
        head, *lines = sanitize.csv_lines(export.COLUMNS, (row.values() for row in flat)).splitlines()
        for number, part in enumerate(data.portions(lines), 1):
            tree[data.portion_name(f"{folder}/ledger.csv", number)] = ("\n".join([head, *part]) + "\n").encode()
        if parquet and flat:
            tree[f"{folder}/{PARQUET}"] = as_parquet(flat)
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
