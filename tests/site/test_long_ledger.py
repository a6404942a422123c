"""A long ledger: small pages, rows that can be paged through, and every run reachable without scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import bulk
import html5lib
import pytest
import shelf
from conftest import build

from lab import shares
from lab.site import index, intake, publish
from lab.site.book import Shelf

N_RUNS = 700


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A ledger that counts as a long one in every respect."""
    root = tmp_path_factory.mktemp("long")
    made = bulk.make(root, N_RUNS)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(intake, "EVIDENCE_RUN_LIMIT", 500)
        patched.setattr(shares, "processes", lambda: 2)
        built = build(made.ledgers, root / "cache")
    yield built


def nodes(html: bytes) -> int:
    return sum(1 for _ in html5lib.parse(html.decode(), namespaceHTMLElements=False).iter())


def test_every_page_of_the_ledger_stays_below_two_thousand_nodes(long: SimpleNamespace) -> None:
    names = [name for name in long.tree if name.startswith(f"ledger/{shelf.NAME}/")]
    assert len(names) == 1 + len(index.parts(long.book.main))
    assert {name: nodes(long.tree[name]) for name in names if nodes(long.tree[name]) >= 2000} == {}


def test_one_run_more_changes_the_part_that_it_comes_into_and_at_most_the_next(long: SimpleNamespace) -> None:
    whole, entries = long.book.main, long.book.main.entries
    parts = [tuple(entry.id for entry in part) for part in index.parts(whole)]
    assert [name for part in parts for name in part] == [entry.id for entry in whole.boards[0].best_first]
    assert all(index.LEAST <= len(part) <= index.MOST for part in parts[:-1])
    changed = []
    for left in range(5, N_RUNS, 97):
        board = replace(whole.boards[0], entries=(*entries[:left], *entries[left + 1 :]))
        fewer = index.parts(Shelf(contract=whole.contract, entries=board.entries, boards=(board,)))
        changed.append(len({tuple(entry.id for entry in part) for part in fewer} - set(parts)))
    assert max(changed) <= 2
    assert sum(changed) <= len(changed) + 2


def test_the_rows_hold_every_standing_run_best_first(long: SimpleNamespace) -> None:
    data = json.loads(long.tree[f"data/{shelf.NAME}/index.json"])
    scores = [row[data["columns"].index("score")] for row in data["rows"]]
    assert len(scores) == N_RUNS
    assert scores == sorted(scores)
    assert all(len(row) == len(data["columns"]) for row in data["rows"])


def test_every_run_is_linked_from_a_plain_list(long: SimpleNamespace) -> None:
    lists = b"".join(c for name, c in long.tree.items() if re.match(rf"ledger/{shelf.NAME}/\d+/", name))
    linked = set(re.findall(rb'href="\.\./\.\./\.\./runs/[^/]+/([^/"]+)/"', lists))
    assert linked == {entry.id.encode() for entry in long.book.main.entries}


def test_runs_that_were_not_promoted_keep_their_evidence_in_the_ledger(long: SimpleNamespace) -> None:
    entries, names = long.book.main.entries, sorted(long.tree)
    plain = {entry.id for entry in entries if entry.plain}
    rejected = {entry.id for entry in entries if entry.run.verdict != "promoted"}
    assert plain == rejected
    carried = {name.split("/")[2] for name in names if name.startswith("data/") and name.count("/") > 2}
    assert carried.isdisjoint(plain)
    omitted = json.loads(long.tree["data/bundle.json"])["omissions"]["evidence_of_runs"]
    assert set(omitted) == plain


def test_one_process_and_two_build_the_same_bytes(
    long: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "EVIDENCE_RUN_LIMIT", 500)
    monkeypatch.setattr(shares, "processes", lambda: 1)
    alone = build(long.book.ledgers, tmp_path)
    assert list(alone.tree) == list(long.tree)
    assert [name for name in alone.tree if publish.read(alone.tree[name]) != publish.read(long.tree[name])] == []
