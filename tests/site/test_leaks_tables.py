"""A published Parquet table is read as a table: its texts count, what its packed bytes spell by chance does not."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest

from lab.site import unpack
from lab.site.leaks import Finding, Gate

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
PATH = "/".join(["", "home", "someone", "runs"])


def written(remarks: Mapping[str, str] | None = None, **columns: list[object]) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(dict(remarks or {})), out)
    return out.getvalue()


def scan(content: bytes) -> list[Finding]:
    return Gate().scan({"data/ledger.parquet": content})


def test_every_text_of_a_table_is_looked_at() -> None:
    assert scan(written(run=["a", "b"], bytes=[1, 2])) == []
    for planted in (
        written(run=["a", f"from {PATH}/x"], bytes=[1, 2]),
        written(**{f"from {PATH}": ["a"]}),
        written({"made on": f"{PATH}/x"}, run=["a"]),
        written(run=[["a", f"from {PATH}/x"]]),
        written(run=[f"from {PATH}/x".encode()]),
    ):
        assert scan(planted)


def test_what_packed_numbers_spell_is_no_token() -> None:
    spelt = f" made in {PATH}/of-somebody ".encode()
    numbers = [int.from_bytes(spelt[at : at + 8].ljust(8), "little") for at in range(0, len(spelt), 8)]
    out = io.BytesIO()
    parquet.write_table(pyarrow.table({"bytes": numbers}), out, use_dictionary=False, compression="none")
    assert list(Gate().lines(unpack._strings("x", out.getvalue()))) != []
    assert scan(out.getvalue()) == []


def test_a_table_that_cannot_be_read_within_its_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = written(run=["a" * 2_000, "b"])
    assert scan(made[:40] + made[60:])
    assert scan(b"PAR1 and PAR1")
    monkeypatch.setattr(unpack, "TABLE_LIMIT_BYTES", 1_000)
    assert scan(made)
