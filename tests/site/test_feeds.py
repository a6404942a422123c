"""Feeds, dataset and tables for other programs: well formed, dated by records, and the same numbers as the ledger."""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
import shelf
from conftest import SOURCE, build

from lab import export
from lab.site import data, feeds, host, search, tables

ATOM = "{http://www.w3.org/2005/Atom}"


def test_both_feeds_tell_of_every_new_frontier_with_the_time_of_its_record(built: SimpleNamespace) -> None:
    board = built.book.main.boards[0]
    feed = ElementTree.fromstring(built.tree[feeds.ATOM])
    found = {entry.findtext(f"{ATOM}title"): entry.findtext(f"{ATOM}updated") for entry in feed.iter(f"{ATOM}entry")}
    best = board.frontier
    assert found[f"New frontier: {best.slug}, {best.total:.4f}"] == best.data["recorded_at"]
    told = json.loads(built.tree[feeds.JSON])
    assert [item["title"] for item in told["items"]] == list(found)
    assert len({item["id"] for item in told["items"]}) == len(found)
    assert feed.findtext(f"{ATOM}updated") == max(found.values())


def test_links_of_a_feed_lead_somewhere_and_are_absolute_once_there_is_an_address(built: SimpleNamespace) -> None:
    for item in json.loads(built.tree[feeds.JSON])["items"]:
        assert f"{item['url']}index.html" in built.tree
    book = replace(built.book, site=replace(built.book.site, url="https://lab.example/"))
    told = json.loads(feeds.json_feed(book, feeds.items(book.main.boards[0], [])))
    assert all(item["url"].startswith("https://lab.example/runs/") for item in told["items"])


def test_a_declared_address_gives_a_sitemap_of_every_page_and_without_one_the_site_says_that_it_has_none(
    small: shelf.Made, tmp_path: Path
) -> None:
    source = tmp_path / "site_src"
    shutil.copytree(SOURCE, source)
    settings = (source / "site.toml").read_text()
    (source / "site.toml").write_text(settings.replace('url = ""', 'url = "https://lab.example/book"'))
    tree = build(small.ledgers, tmp_path / "cache", source).tree
    spaces = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
    listed = [loc.text for loc in ElementTree.fromstring(tree["sitemap.xml"]).iterfind("s:url/s:loc", spaces)]
    pages = {name.removesuffix("index.html") for name in tree if name.endswith("index.html")}
    assert sorted(listed) == sorted(f"https://lab.example/book/{page}" for page in pages)
    assert b"Sitemap: https://lab.example/book/sitemap.xml" in tree["robots.txt"]
    assert b'<link rel="canonical" href="https://lab.example/book/glossary/">' in tree["glossary/index.html"]
    bare = build(small.ledgers, tmp_path / "cache").tree
    assert "sitemap.xml" not in bare and b"Sitemap" not in bare["robots.txt"]
    assert b"There is no sitemap yet" in bare["data/index.html"] and b"sitemap.xml" in tree["data/index.html"]


def test_the_dataset_names_files_that_exist_and_cannot_end_its_block(built: SimpleNamespace) -> None:
    table = feeds.dataset(built.book)
    urls = [part["contentUrl"] for part in table["distribution"]]
    assert {url for url in urls if not url.endswith("parquet")} <= built.tree.keys()
    assert "</script" not in feeds.as_markup(table | {"name": "</script><script>alert(1)</script>"})


def test_csv_and_parquet_have_the_columns_of_the_schema_and_the_values_of_the_records(built: SimpleNamespace) -> None:
    rows = list(csv.DictReader(io.StringIO(built.tree[f"data/{shelf.NAME}/ledger.csv"].decode())))
    entries = built.book.main.entries
    assert [float(row["score"]) for row in rows] == [entry.total for entry in entries]
    schema = json.loads(built.tree["data/table.schema.json"])
    assert set(rows[0]) == set(export.COLUMNS) == set(schema["items"]["properties"])
    parquet = pytest.importorskip("pyarrow.parquet")
    made = built.tree[f"data/{shelf.NAME}/{tables.PARQUET}"]
    table = parquet.read_table(io.BytesIO(made))
    assert table.column("run").to_pylist() == [row["run"] for row in rows]
    assert table.column("posenet").to_pylist() == [entry.data["evaluation"]["posenet"] for entry in entries]
    assert tables.as_parquet(built.book.main.entries) == made


def test_a_further_run_changes_the_last_part_of_a_long_ledger_only(
    built: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "PART_BYTES", 8_000)
    whole = built.book.main
    shelves = [replace(whole, entries=whole.entries[:count]) for count in range(1, len(whole.entries) + 1)]
    made = [data.ledger_json(shelf, [line.json for line in tables.lines(shelf)]) for shelf in shelves]
    assert len(made[-1]) > 2
    for before, after in itertools.pairwise(made):
        changed = {name for name, content in after.items() if before.get(name) is not content}
        last = list(after)[-1]
        assert changed == ({last} if len(after) == len(before) else {last, "ledger.json"})
    parts = [json.loads(content) for content in made[-1].values()]
    assert parts[0]["continued"] == list(made[-1])[1:]
    assert [run["id"] for part in parts for run in part["runs"]] == [entry.id for entry in whole.entries]


def test_the_index_covers_prose_and_not_runs(built: SimpleNamespace, tmp_path: Path) -> None:
    if not search.available():
        pytest.skip("pagefind is not installed")
    marked = {name for name, html in built.tree.items() if name.endswith(".html") and search.MARK in data.read(html)}
    assert {"glossary/index.html", "reading/index.html"} <= marked
    assert not any(name.startswith("runs/") for name in marked)
    made = search.index(built.tree, tmp_path / "one")
    assert json.loads(data.read(made["pagefind/pagefind-entry.json"]))["languages"]["en"]["page_count"] == len(marked)
    again = search.index(dict(reversed(built.tree.items())), tmp_path / "two")
    assert {name: data.digest_of(made[name]) for name in made} == {name: data.digest_of(again[name]) for name in again}


def test_drawings_and_tables_of_runs_are_not_indexed(tmp_path: Path) -> None:
    if not search.available():
        pytest.skip("pagefind is not installed")
    page = b'<html lang="en"><title>t</title><main data-pagefind-body><p>words in prose</p>%s</main></html>'
    drawn = b'<svg class="plot"><title>drawn</title></svg><table data-pagefind-ignore><tr><td>slug</td></tr></table>'
    told = b"<table><tr><td>meaning</td></tr></table>"
    made = [search.index({"a.html": page % text}, tmp_path / "cache") for text in (told, told + drawn, drawn)]
    digests = [{name: data.digest_of(content) for name, content in one.items()} for one in made]
    assert digests[0] == digests[1] != digests[2]


def test_webassembly_is_allowed_for_search_only() -> None:
    blocks = host.headers_file().decode().split("\n\n")
    allowed = [block for block in blocks if "wasm-unsafe-eval" in block]
    assert [block.partition("\n")[0] for block in allowed] == ["/search/*", "/pagefind/*"]
    assert all("\n  ! Content-Security-Policy\n" in block for block in allowed)
