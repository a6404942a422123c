"""Every claim names its falsifier, and every file behind it carries the digest that the tree has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import SOURCE
from markupsafe import Markup

from lab.errors import SiteError
from lab.site import claims, data, prose
from lab.site.prose import Rendered


def test_files_of_a_claim_have_the_digests_of_the_tree(built: SimpleNamespace) -> None:
    board = built.book.main.boards[0]
    (found,) = claims.of_families(board, built.tree)
    assert found.runs == (board.frontier,) and found.status == "stands"
    assert {item.name for item in found.items} >= {"archive.zip", "anatomy.json", "pairs.csv", "report.txt"}
    for item in found.items:
        assert item.url and data.digest_of(built.tree[item.url[1:]]) == item.sha256
        assert data.size_of(built.tree[item.url[1:]]) == item.n_bytes


def test_a_claim_without_a_falsifier_stops_the_build(tmp_path: Path) -> None:
    path = tmp_path / "claims" / "bold.md"
    path.parent.mkdir()
    path.write_text('+++\ntitle = "Bold"\n+++\nIt is so.\n', encoding="utf-8")
    text = Rendered(document=prose.read(path, tmp_path), html=Markup("<p>It is so.</p>"))
    with pytest.raises(SiteError, match="falsifier"):
        claims.written([text], {})


def test_every_written_claim_names_what_would_refute_it() -> None:
    documents = prose.read_folder(SOURCE / "claims", SOURCE)
    assert documents and all(len(document.falsifier) > 40 for document in documents)


def test_a_claim_waits_for_its_runs(built: SimpleNamespace) -> None:
    html = built.tree["evidence/index.html"].decode()
    assert "waits for a run" in html  # the synthetic ledger has one family only
    assert "What would refute it" in html
