"""The ledger page of ten thousand runs in a real Chromium: few nodes, and rows in the order that was asked for."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import bulk
import pytest
import shelf
from served import ROOT

from lab.site import data, host, index, intake, pages, publish, render

pytestmark = pytest.mark.browser
RUNS = 10_000
NODES = "document.querySelectorAll('*').length"


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[list[Any]]]]:
    """(address of a ledger page alone, with its rows and scripts; those rows) of a long ledger."""
    root = tmp_path_factory.mktemp("long")
    made = bulk.make(root, RUNS)
    book = intake.load(ROOT / "site_src", made.ledgers)
    urls, tree = render.assets(book.source / "assets")
    found = render.environment(ROOT / "templates", urls)
    found.globals.update(nav=(), site=book.site, book=book, last_recorded=book.last_recorded)
    found.globals.update(has_feed=False, has_packet=False, there=frozenset())
    page = next(page for page in pages.ledgers(book) if page.url == f"/ledger/{shelf.NAME}/")
    rows = index.url(book.main)[1:]
    tree |= {page.path: render.one(page, found), rows: index.rows(book.main), "_headers": b""}
    publish.swap(tree, root / "public")
    shutil.rmtree(made.ledgers)
    server = host.server(root / "public", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{page.url}", json.loads(data.read(tree[rows]))["rows"]
    server.shutdown()
    server.server_close()


def test_ten_thousand_runs_are_sorted_and_filtered_in_a_page_of_few_nodes(visit: Any, long: Any) -> None:
    address, rows = long
    seen = visit(address, viewport={"width": 390, "height": 800})
    page = seen.page
    assert page.evaluate(NODES) < 2_000
    for column, at in ((1, 2), (3, 4), (0, 1), (5, 6)):
        page.click(f"th button.sort >> nth={column}")
        page.wait_for_function(f"document.querySelectorAll('table.ledger th')[{column}].hasAttribute('aria-sort')")
        first = page.locator("table.ledger tbody tr").first.locator("th, td").nth(column).inner_text()
        spent = float(page.get_attribute("table.ledger", "data-sort-ms"))
        print(f"column {column}: {spent} ms")  # the bar is 100 on a quiet machine
        direction = page.locator("table.ledger thead th").nth(column).get_attribute("aria-sort")
        values = sorted((row[at] for row in rows), reverse=direction == "descending")
        wanted = f"{values[0]:,}" if at == 4 else f"{values[0]:.6f}" if at == 2 else values[0]
        assert first == wanted
    page.fill(".filters input", "run-0077")
    page.wait_for_function("document.querySelector('.filters output').textContent.startsWith('100 of')")
    assert page.evaluate(NODES) < 2_000
    page.click("text=Further rows")
    assert "page 2 of 3" in page.inner_text(".filters output")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seen.complaints == []
