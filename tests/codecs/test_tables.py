"""The published field tables are those that the codecs read by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import codecs
from lab.bitstream import Field, Reader, Table
from lab.codecs import tables

FILE = Path(tables.__file__).with_name("formats.json")
PUBLISHED = json.loads(FILE.read_text(encoding="utf-8"))


def test_the_published_file_is_what_the_codecs_say() -> None:
    assert tables.published() == PUBLISHED, "lab formats --json > lab/codecs/formats.json"


@pytest.mark.parametrize("family", codecs.FAMILIES)
def test_every_family_and_every_section_of_its_card_is_published(family: str) -> None:
    table = PUBLISHED["families"][family]
    assert table["code"] == codecs.FAMILIES[family][0]
    sections = [section["name"] for section in table["sections"]]
    assert sections == [name for name, _ in codecs.get(family).spec.sections if name != "header"]
    assert all(section["holds"] for section in table["sections"])


@pytest.mark.parametrize("family", codecs.FAMILIES)
def test_a_header_written_by_the_published_table_is_read_by_the_codec(family: str) -> None:
    rows = PUBLISHED["families"][family]["header"]
    kinds = {row["name"]: tuple(row["kind"]) if isinstance(row["kind"], list) else row["kind"] for row in rows}
    values = {name: kind[-1] if isinstance(kind, tuple) else 7 for name, kind in kinds.items()}
    written = Table(family, tuple(Field(name, kind, "") for name, kind in kinds.items())).write(values)
    module = __import__(f"lab.codecs.{family}.format", fromlist=["format"])
    header = module.LAYOUT.header if hasattr(module, "LAYOUT") else module.HEADER
    reader = Reader(written, family)
    assert header.read(reader) == values
    reader.end()
