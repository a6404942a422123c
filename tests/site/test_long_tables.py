"""A table of thousands of rows keeps a window of them in the page; sorting and filtering still see every row.

Needs Debian's chromium and playwright; skips with a reason where they are absent.
"""

from __future__ import annotations

import shutil

import pytest
from conftest import SOURCE

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
ROWS = 10_000


def page_of(rows: int) -> str:
    body = "".join(
        f'<tr><th scope="row">run-{i}</th><td data-value="{(i * 7919) % rows}">{(i * 7919) % rows}</td></tr>'
        for i in range(rows)
    )
    return (
        '<div class="scroll"><table data-sortable data-noun="runs"><thead><tr><th scope="col">run</th>'
        f'<th scope="col" class="number">score</th></tr></thead><tbody>{body}</tbody></table></div>'
    )


def test_ten_thousand_rows_are_sorted_and_filtered_whole_while_a_window_of_them_is_in_the_page() -> None:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    assets = SOURCE / "assets"
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.route("**/*", lambda route: route.fulfill(body=page_of(ROWS), content_type="text/html"))
        page.route("**/*.js", lambda route: route.fulfill(path=assets / route.request.url.rpartition("/")[2]))
        page.goto("http://table.test/")
        page.add_script_tag(url="table.js", type="module")
        page.wait_for_selector(".filters output")
        assert page.inner_text(".filters output") == f"{ROWS} of {ROWS} runs"
        assert page.locator("tbody tr:not(.spacer)").count() < 300
        page.locator("button.sort").nth(1).click()
        page.wait_for_function("() => performance.getEntriesByName('sort').length === 1")
        shown = page.locator("tbody tr:not(.spacer) td").all_inner_texts()
        assert shown == [str(i) for i in range(len(shown))] != []
        page.evaluate("() => scrollTo(0, document.body.scrollHeight / 2)")
        page.wait_for_function("() => Number(document.querySelector('tbody tr:not(.spacer) td').textContent) > 3000")
        page.fill("input[type=search]", "run-77")
        assert page.inner_text(".filters output") == f"111 of {ROWS} runs"
        assert page.locator("tbody tr:not(.spacer)").count() == 111
        browser.close()
