"""The exported ledger: one table in three formats, as its published schema says, inert in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper import NAME, a_contract, edit, enter
from test_schema import fits

from lab import cli, export
from lab.contract import Contract
from lab.ledger import Ledger

HOSTILE = [
    '=HYPERLINK("https://x","y")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "|cmd",
    "%0A",
    "<script>alert(1)</script>",
    'a,b\n"c"',
    "\x1b[2J\x07",
    "safe\u202egpj.exe",
    "half \ud800",
]


@pytest.fixture
def made(tmp_path: Path) -> Contract:
    """The paper contract."""
    return a_contract(tmp_path)


@pytest.fixture
def ledger(made: Contract, tmp_path: Path) -> Ledger:
    """Three runs."""
    ledger = Ledger(tmp_path)
    first = enter(ledger, made)
    enter(ledger, made, "second", seed=1, segnet=0.005, parents=(first.id,))
    enter(ledger, made, "third", seed=2, verdict="rejected", supersedes=first.id)
    return ledger


def test_three_formats_hold_one_table(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    rows = export.table(ledger.runs(made))
    assert [row["score"] for row in rows] == sorted(row["score"] for row in rows)
    assert fits(rows, export.json_schema("table"))
    assert json.loads(export.write(rows, "json") or "") == rows
    read = list(csv.DictReader(io.StringIO(export.write(rows, "csv") or "")))
    assert [{**row, **{k: type(rows[0][k])(row[k]) for k in row}} for row in read] == rows
    export.write(rows, "parquet", tmp_path / "runs.parquet")
    frame = pandas.read_parquet(tmp_path / "runs.parquet")
    assert frame.to_dict("records") == rows
    assert str(frame.dtypes["score"]) == "float64" and str(frame.dtypes["bytes"]) == "int64"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_inert_in_every_format(text: str, made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    run = ledger.runs(made)[0]
    path = ledger.record_path(NAME, run.id)
    data = json.loads(path.read_text())
    data["recipe"]["changed"] = text
    path.write_text(json.dumps(data))
    rows = export.table(ledger.runs(made))
    changed = next(row["changed"] for row in rows if row["run"] == run.id)
    assert not any(export.schema.unprintable(sign) for sign in changed)
    cell = next(
        row["changed"] for row in csv.DictReader(io.StringIO(export.write(rows, "csv") or "")) if row["run"] == run.id
    )
    assert cell[:1] not in "=+-@\t\r|%"
    export.write(rows, "csv", tmp_path / "runs.csv")
    export.write(rows, "parquet", tmp_path / "runs.parquet")
    assert json.loads(export.write(rows, "json") or "")[0]


@given(st.text())
def test_no_text_starts_a_formula(text: str) -> None:
    cell = export.inert_cell(export.printable(text))
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "|", "%")
    cell.encode()


def test_an_empty_ledger_is_an_empty_table(tmp_path: Path) -> None:
    assert export.write([], "csv") == ",".join(export.COLUMNS) + "\n"
    assert json.loads(export.write([], "json") or "") == []
    export.write([], "parquet", tmp_path / "x.parquet")
    assert list(pandas.read_parquet(tmp_path / "x.parquet").columns) == list(export.COLUMNS)


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="format"):
        export.write([], "xlsx")
    with pytest.raises(ValueError, match="file"):
        export.write([], "parquet")
    with pytest.raises(ValueError, match="schema"):
        export.json_schema("other")


def test_the_verbs_verify_show_and_export(
    made: Contract, ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--ledgers", str(tmp_path), "ledger"]
    assert cli.main([*base, "verify"]) == 0
    assert "3 records (2 A, 1 A-negative): all hold together" in capsys.readouterr().out
    for form in export.FORMATS:
        assert cli.main([*base, "export", "--format", form, "-o", str(tmp_path / f"out.{form}")]) == 0
        assert (tmp_path / f"out.{form}").stat().st_size > 100
    assert cli.main([*base, "export", "--format", "parquet"]) == 1
    assert cli.main([*base, "schema", "run"]) == 0
    capsys.readouterr()
    run = ledger.runs(made)[0]
    edit(ledger.record_path(NAME, run.id), notes=["\x1b[2J<script>\u202e"])
    assert cli.main([*base, "show", run.id]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\u202e" not in out
    assert cli.main([*base, "list"]) == 0
    edit(ledger.record_path(NAME, run.id), score__total=0.5)
    assert cli.main([*base, "verify", "--json"]) == 1
    found = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert found["records"] == 3 and len(found["findings"]) >= 1
