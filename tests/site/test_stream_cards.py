"""Archives cut open: cards tile the archive, and what is printed of a stream is what the anatomy says."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT

from lab.errors import SiteError
from lab.site import intake, lineage, pages, streams

WORDS = streams.words(ROOT / "site_src" / "streams.toml")


def test_the_cards_of_an_archive_add_up_to_it(built: SimpleNamespace) -> None:
    for archive in streams.load(built.book.main.boards[0], WORDS, built.plan.files):
        assert sum(card.n_bytes for card in archive.cards) == archive.entry.n_bytes
        assert [card.n_bytes for card in archive.cards] == sorted((c.n_bytes for c in archive.cards), reverse=True)
        price = archive.entry.run.score.rate_term
        assert abs(sum(card.price for card in archive.cards) - price) < 1e-9


def test_a_piece_of_a_bar_leads_to_its_card(built: SimpleNamespace) -> None:
    html = built.tree["anatomy/index.html"].decode()
    asked = set(re.findall(r'<a href="#([^"]+)" aria-label', html))
    assert asked and asked <= set(re.findall(r'id="([^"]+)"', html))


def test_every_stream_of_the_committed_frontiers_is_explained() -> None:
    book = intake.load(ROOT / "site_src", ROOT / "ledgers")
    for archive in streams.load(book.main.boards[0], WORDS, {}):
        assert [card.name for card in archive.cards if not card.says] == [], archive.entry.id


def test_words_that_are_no_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "streams.toml").write_text("m = 'class maps'", encoding="utf-8")
    with pytest.raises(SiteError, match="words for streams"):
        streams.words(tmp_path / "streams.toml")


def test_lines_that_share_their_beginning_print_it_once(built: SimpleNamespace) -> None:
    board = built.book.main.boards[0]
    ways, lines = lineage.ways(board), lineage.lines(board)
    printed = [step.entry.id for way in ways for step in way.steps]
    assert len(printed) == len(set(printed))
    assert set(printed) == {step.entry.id for line in lines for step in line}
    for way, line in zip(ways, lines, strict=True):
        assert way.first + len(way.steps) - 1 == len(line)


def test_the_top_runs_name_a_recipe_once(built: SimpleNamespace) -> None:
    names = [entry.run.recipe for entry in pages._top(built.book.main.boards[0])]
    assert len(names) == len(set(names)) > 1
