"""The ledger as one flat table: CSV, JSON and Parquet, and the JSON Schemas that say what stands in it.

Spreadsheets run what starts like a formula; texts of records are written so that they do not.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from lab import schema
from lab.errors import LedgerError
from lab.ledger import Run

FORMATS = ("csv", "json", "parquet")
SCHEMAS = ("run", "table")

# column -> (path in the record, JSON Schema type, what it holds)
COLUMNS: dict[str, tuple[str, str, str]] = {
    "contract": ("contract", "string", "contract under which it was measured"),
    "run": ("id", "string", "id of the run"),
    "recipe": ("recipe.name", "string", "family/slug"),
    "score": ("score.total", "number", "total; lower is better"),
    "segnet_term": ("score.segnet_term", "number", "segmentation term of the score"),
    "posenet_term": ("score.posenet_term", "number", "pose term of the score"),
    "rate_term": ("score.rate_term", "number", "rate term of the score"),
    "segnet": ("evaluation.segnet", "number", "share of pixels whose class differs"),
    "posenet": ("evaluation.posenet", "number", "mean squared error of the scored pose outputs"),
    "bytes": ("evaluation.archive_bytes", "integer", "size of the archive as charged"),
    "rule_faithful_bytes": ("rates.rule_faithful_bytes", "integer", "archive, decoder scripts and their weights"),
    "n_pairs": ("evaluation.n_pairs", "integer", "pairs that were measured"),
    "grade": ("grade", "string", "grade of the evidence"),
    "verdict": ("verdict", "string", "promoted, rejected or open"),
    "axis": ("evaluation.axis", "string", "axes are never mixed"),
    "parent": ("parents", "string", "ids of the runs that it departs from, space between"),
    "changed": ("recipe.changed", "string", "the one axis that differs from the parent"),
    "archive_sha256": ("custody.archive_sha256", "string", "digest of the archive"),
    "runtime_sha256": ("custody.runtime_sha256", "string", "digest of the decoder closure"),
    "raw_sha256": ("custody.raw_sha256", "string", "digest of the raw frames"),
    "recorded_at": ("recorded_at", "string", "UTC"),
    "supersedes": ("supersedes", "string", "id of the record that it replaces, or empty"),
}


def row(run: Run) -> dict[str, Any]:
    """One run as a flat row, every column of `COLUMNS`."""
    return {name: _cell(run.data, path) for name, (path, _, _) in COLUMNS.items()}


def table(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """All runs, contract by contract, best first."""
    return sorted(map(row, runs), key=lambda item: (item["contract"], item["axis"], item["score"], item["run"]))


def write(rows: Sequence[dict[str, Any]], form: str, path: Path | None = None) -> str | None:
    """Rows in a format of `FORMATS`.

    Args:
        path: file to write; without one, the text is given back.

    Raises:
        ValueError: no such format, or Parquet without a file.
        LedgerError: Parquet needs packages that are not installed.
    """
    if form not in FORMATS:
        raise ValueError(f"format must be one of {FORMATS}, got {form!r}")
    if form == "parquet":
        if path is None:
            raise ValueError("Parquet is no text: name a file to write")
        write_parquet([columns(rows)], path)
        return None
    text = _csv(rows) if form == "csv" else json.dumps(rows, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
    if path is None:
        return text
    path.write_text(text, encoding="utf-8")
    return None


def json_schema(which: str) -> dict[str, Any]:
    """The published JSON Schema of a run record (`run`) or of the exported table (`table`).

    Raises:
        ValueError: no such schema.
    """
    if which == "run":
        return schema.json_schema()
    if which != "table":
        raise ValueError(f"schema must be one of {SCHEMAS}, got {which!r}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "exported ledger",
        "type": "array",
        "items": {
            "type": "object",
            "properties": {name: {"type": kind, "description": doc} for name, (_, kind, doc) in COLUMNS.items()},
            "required": sorted(COLUMNS),
            "additionalProperties": False,
        },
    }


def inert_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe goes before what would start one."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r", "|", "%") else text


def printable(text: str) -> str:
    """A text in which controls, direction marks and halves of characters are shown by their code point."""
    return "".join(f"⟨U+{ord(sign):04X}⟩" if schema.unprintable(sign) else sign for sign in text)


def _cell(data: Any, path: str) -> Any:
    for part in path.split("."):
        data = data[part]
    if isinstance(data, list):
        return printable(" ".join(map(str, data)))
    return "" if data is None else printable(data) if isinstance(data, str) else data


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in rows:
        writer.writerow([inert_cell(value) if isinstance(value, str) else repr(value) for value in item.values()])
    return out.getvalue()


def columns(rows: Sequence[dict[str, Any]]) -> Any:
    """Rows by column, as Parquet takes them (a `pyarrow.RecordBatch`).

    Raises:
        LedgerError: the package is not installed.
    """
    arrow = _arrow()
    kinds = {"string": arrow.string(), "number": arrow.float64(), "integer": arrow.int64()}
    of = [(name, kinds[kind]) for name, (_, kind, _) in COLUMNS.items()]
    values = zip(*map(itemgetter(*COLUMNS), rows), strict=True) if rows else ([] for _ in COLUMNS)
    arrays = [_array(arrow, column, kind) for column, (_, kind) in zip(values, of, strict=True)]
    return arrow.RecordBatch.from_arrays(arrays, schema=arrow.schema(of))


def _array(arrow: Any, column: Sequence[Any], kind: Any) -> Any:
    """A column as Arrow holds it; `pyarrow.array` would load pandas to ask it whether the column is one of its own."""
    building = arrow.lib.StringBuilder()
    if kind == arrow.string():
        building.append_values(column)
        return building.finish()
    building.append_values([None if value is None else repr(value) for value in column])
    return building.finish().cast(kind)


def write_parquet(parts: Sequence[Any], path: Path) -> None:
    """What `columns` gave, in one file; at least one part.

    Raises:
        LedgerError: the package is not installed.
    """
    arrow = _arrow()
    arrow.parquet.write_table(arrow.Table.from_batches(parts), path)


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise LedgerError(
            "export", expected="the package pyarrow", found="none", fix="python -m pip install pyarrow"
        ) from None
    return pyarrow
