"""A ledger with more runs than a host takes files: the site fits, every run is listed, links lead where pages are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import bulk
import pytest
import shelf
from conftest import SOURCE, TEMPLATES, in_memory

import build as builder
from lab.errors import SiteError
from lab.site import data, intake, leaks, plan, render, room

N_RUNS, LIMIT, RESERVED = 300, 260, 140
NAME = f"ledger/{shelf.NAME}/"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> intake.Book:
    """Three hundred runs, every 25th of them promoted."""
    return intake.load(SOURCE, bulk.make(tmp_path_factory.mktemp("room"), N_RUNS).ledgers)


@pytest.fixture(scope="module")
def site(book: intake.Book) -> Iterator[SimpleNamespace]:
    """Its site where a host takes few files."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(data, "PORTION_BYTES", 100_000)
        patched.setattr(data, "PART_BYTES", 100_000)
        space = room.Room(limit=LIMIT, reserved=RESERVED)
        planned = plan.make(book, {}, partial(render.figure_makers, TEMPLATES), space=space)
    tree, checked = in_memory(render.render(planned, TEMPLATES), leaks.Gate())
    yield SimpleNamespace(plan=planned, tree=tree, checked=checked)


def pages(tree: dict[str, data.Content]) -> set[str]:
    return {name.split("/")[2] for name in tree if name.startswith("runs/")}


def test_the_site_stays_below_the_limit_and_uses_the_room(site: SimpleNamespace) -> None:
    assert LIMIT - RESERVED < len(site.tree) <= LIMIT
    assert 40 < len(pages(site.tree)) < N_RUNS


def test_pages_go_to_leaders_then_promoted_runs_then_the_best_scores(site: SimpleNamespace) -> None:
    main = site.plan.book.main
    shown = pages(site.tree)
    leaders = {entry.id for board in main.boards for entry in room.leaders(board)}
    promoted = {entry.id for entry in main.entries if entry.run.verdict == "promoted"}
    assert leaders | promoted <= shown
    rest = sorted((e for e in main.entries if e.id not in leaders | promoted), key=lambda entry: entry.total)
    wanted = [entry.id for entry in rest[: len(shown) - len(leaders | promoted)]]
    assert shown - leaders - promoted == set(wanted)


def test_equal_scores_give_the_page_to_the_newest(book: intake.Book) -> None: ...


def test_every_run_is_in_the_table_the_lists_and_the_files(site: SimpleNamespace, book: intake.Book) -> None:
    every = {entry.id for entry in book.main.entries}
    rows = json.loads(site.tree[f"data/{shelf.NAME}/index.json"])
    at = rows["columns"].index("page")
    assert {row[0] for row in rows["rows"]} == every
    assert {row[0] for row in rows["rows"] if row[at]} == pages(site.tree)
    lists = b"".join(content for name, content in site.tree.items() if re.match(rf"{NAME}\d+/", name)).decode()
    linked = set(re.findall(r'href="[./]*runs/[^/]+/([^/"]+)/"', lists))
    named = set(re.findall(r'<tr id="([^"]+)">', lists))
    assert linked == pages(site.tree)
    assert named == every - linked
    files = [name for name in site.tree if re.fullmatch(rf"data/{shelf.NAME}/ledger(-\d+)?\.json", name)]
    first = json.loads(site.tree[f"data/{shelf.NAME}/ledger.json"])
    assert sorted(files) == sorted(f"data/{shelf.NAME}/{name}" for name in ("ledger.json", *first["continued"]))
    assert len(files) > 1
    recorded = [
        run["id"] for name in sorted(files, key=lambda n: (len(n), n)) for run in json.loads(site.tree[name])["runs"]
    ]
    assert recorded == [entry.id for entry in book.main.entries]
    tables = [name for name in site.tree if re.fullmatch(rf"data/{shelf.NAME}/ledger(-\d+)?\.csv", name)]
    assert sum(site.tree[name].count(b"\n") - 1 for name in tables) == N_RUNS


def test_the_ledger_page_and_the_report_say_how_many_have_no_page(
    site: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    without = N_RUNS - len(pages(site.tree))
    assert f"{without} of {N_RUNS} runs have no page of their own" in site.tree[f"{NAME}index.html"].decode()
    builder.report(site.checked, site.plan, 1.0)
    said = capsys.readouterr().out
    assert f"{without} of {N_RUNS} runs of {shelf.NAME} have no page of their own" in said
    assert f"data/{shelf.NAME}/ledger.json" in said


def test_where_all_fit_nothing_changes(book: intake.Book) -> None:
    assert room.fit(book, frozenset(), 100, room.HOST) is book


def test_a_limit_that_other_files_fill_is_refused_before_anything_is_rendered(book: intake.Book) -> None:
    with pytest.raises(SiteError, match="other files"):
        plan.make(book, {}, partial(render.figure_makers, TEMPLATES), space=room.Room(limit=150, reserved=160))
