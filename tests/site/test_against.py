"""Two runs side by side: the difference is that of their records, and the script gets every run of one board."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import shelf

from lab.site import against


def test_every_pair_differs_as_its_records_do(built: SimpleNamespace) -> None:
    board = built.book.main.boards[0]
    pairs = against.pairs(board)
    assert len({frozenset((pair.one.id, pair.other.id)) for pair in pairs}) == len(pairs) >= 1
    for pair in pairs:
        assert pair.delta.total == pair.one.total - pair.other.total <= 0
        assert pair.delta.total == pytest.approx(sum(pair.delta.terms.values()))
        assert [name for name, *_ in pair.rows][:5] == ["score", "SegNet term", "PoseNet term", "rate term", "bytes"]


def test_the_file_for_the_script_has_every_run_that_may_be_compared(built: SimpleNamespace) -> None:
    board = built.book.main.boards[0]
    table = json.loads(built.tree[f"data/{shelf.NAME}/runs.json"])
    assert {row["id"] for row in table["runs"]} == board.by_id.keys()
    for row in table["runs"]:
        assert row["page"].removeprefix("../") + "index.html" in built.tree
        assert sum(row["terms"]) == pytest.approx(row["score"])


def test_the_page_stands_without_a_script(built: SimpleNamespace) -> None:
    html = built.tree["against/index.html"].decode()
    pairs = against.pairs(built.book.main.boards[0])
    assert html.count('<table class="deltas">') == len(pairs) + 1
    assert "gains in" in html
