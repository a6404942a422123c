"""The ledger page of ten thousand runs in a real Chromium: every sort gives the order that Python gives, in few nodes.

Nothing is timed here: `make bench-site` does that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bulk
import pytest
from served import running

from lab.site import index

pytestmark = pytest.mark.browser
RUNS = 10_000
FEW = 2_000
NODES = "document.querySelectorAll('*').length"
SORTS = "performance.getEntriesByName('sort').length"
CELLS = """() => [...document.querySelectorAll('table.ledger tbody tr')].map(
  (row) => [...row.cells].map((cell) => cell.textContent))"""
SHOWN = 40


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(address of the ledger page, its rows by column) of a long ledger; the page alone, with rows and scripts."""
    root = tmp_path_factory.mktemp("long")
    url, rows = bulk.ledger_page(root, RUNS)
    with running(root / "public") as address:
        yield address + url, [dict(zip(index.COLUMNS, row, strict=True)) for row in rows]


def in_order(rows: list[dict[str, Any]], column: str, direction: str) -> list[dict[str, Any]]:
    """Rows by a column, equal ones as they came, nothing last."""
    there = [row for row in rows if row[column] is not None]
    nothing = [row for row in rows if row[column] is None]
    return sorted(there, key=lambda row: row[column], reverse=direction == "descending") + nothing


def pressed(page: Any, column: int, how: str = "click") -> str:
    """Sort by a column; once a further sort came to its end, the direction that the heading states."""
    before = page.evaluate(SORTS)
    button = page.locator("table.ledger th button.sort").nth(column)
    if how == "click":
        button.click()
    else:
        button.focus()
        page.keyboard.press(how)
    page.wait_for_function(f"() => {SORTS} > {before}")
    stated = page.eval_on_selector_all(
        "table.ledger thead th", "all => all.map((one) => one.getAttribute('aria-sort'))"
    )
    assert [at for at, value in enumerate(stated) if value] == [column]
    return str(stated[column])


def test_every_column_sorts_up_and_down_as_python_sorts(visit: Any, long: Any) -> None:
    address, rows = long
    seen = visit(address)
    for column in range(len(index.COLUMNS) - 2):  # the id and whether there is a page are no columns of their own
        name = index.COLUMNS[column + 1]
        directions = [pressed(seen.page, column), pressed(seen.page, column)]
        assert sorted(directions) == ["ascending", "descending"], name
        for direction in reversed(directions):
            wanted = in_order(rows, name, direction)[:SHOWN]
            cells = seen.page.evaluate(CELLS)
            assert [row[0] for row in cells] == [row["slug"] for row in wanted], f"{name}, {direction}"
            assert [row[3] for row in cells] == [f"{row['bytes']:,}" for row in wanted]
            assert [row[1] for row in cells] == [f"{row['score']:.6f}" for row in wanted]
            if direction is directions[-1]:
                pressed(seen.page, column)
        assert seen.page.evaluate(NODES) < FEW
    assert seen.complaints == []


def test_a_ledger_of_ten_thousand_runs_is_worked_by_key_within_few_nodes(visit: Any, long: Any) -> None:
    address, rows = long
    page = visit(address).page
    assert page.evaluate(NODES) < FEW
    assert pressed(page, 3, "Enter") == "ascending"
    assert pressed(page, 3, "Space") == "descending"
    assert page.evaluate("document.activeElement.className") == "sort"
    wanted = in_order(rows, "bytes", "descending")
    assert [row[0] for row in page.evaluate(CELLS)] == [row["slug"] for row in wanted[:SHOWN]]
    page.keyboard.press("Shift+Tab")
    while "Further rows" not in page.evaluate("document.activeElement.textContent"):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.filters output').textContent.includes('page 2 of 250')")
    assert [row[0] for row in page.evaluate(CELLS)] == [row["slug"] for row in wanted[SHOWN : 2 * SHOWN]]
    assert page.evaluate(NODES) < FEW


def test_a_filter_keeps_the_order_and_looks_at_every_row(visit: Any, long: Any) -> None:
    address, rows = long
    page = visit(address, viewport={"width": 390, "height": 800}).page
    pressed(page, 0)
    pressed(page, 0)
    page.fill(".filters input", "run-0077")
    page.wait_for_function("() => document.querySelector('.filters output').textContent.startsWith('100 of 10,000')")
    wanted = [row["slug"] for row in in_order(rows, "slug", "descending") if "run-0077" in row["slug"]]
    assert [row[0] for row in page.evaluate(CELLS)] == wanted[:SHOWN]
    page.select_option(".filters select", "promoted")
    page.wait_for_function("() => document.querySelector('.filters output').textContent.startsWith('4 of 10,000')")
    assert page.evaluate(NODES) < FEW
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
