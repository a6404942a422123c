"""Histograms of integers are read from evidence, drawn as shares, and refused where the table is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from lab.errors import SiteError
from lab.site import codes, intake
from lab.site.book import Entry, EvidenceFile


@pytest.fixture(scope="module")
def entry() -> Entry:
    book = intake.load(ROOT / "site_src", ROOT / "ledgers")
    return next(entry for entry in book.main.entries if codes.load(entry))


def beside(entry: Entry, path: Path, text: str) -> Entry:
    path.write_text(text, encoding="utf-8")
    return replace(entry, evidence=(EvidenceFile(name=codes.FILE, path=path, n_bytes=len(text), sha256="0" * 64),))


def test_two_codes_in_equal_parts_need_one_bit(entry: Entry, tmp_path: Path) -> None:
    (found,) = codes.load(beside(entry, tmp_path / "c", "stream,code,count\nw,0,8\nw,-3,8\n"))
    assert (found.total, found.zeros, found.bits) == (16, 0.5, 1.0)
    assert found.counts == ((-3, 8), (0, 8))


def test_the_caption_says_what_the_table_says(entry: Entry) -> None:
    figure = codes.figure(entry)
    assert figure is not None
    for one, row in zip(codes.load(entry), figure.rows, strict=True):
        assert row[0].text == one.stream and f"{one.stream}:" in figure.finding
        assert row[1].sort == one.total
    assert entry.id in figure.finding


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stream,code\n",
        "stream,code,count\n",
        "stream,code,count\nw,x,1\n",
        "stream,code,count\nw,1,0\n",
        "a,b\n1,2\n",
    ],
)
def test_another_table_is_refused(entry: Entry, tmp_path: Path, text: str) -> None:
    with pytest.raises(SiteError, match=codes.FILE):
        codes.load(beside(entry, tmp_path / "c", text))
