"""The front page before anybody touches it: few bytes, little script, nothing that jumps."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from served import Served

pytestmark = pytest.mark.browser
LIMIT_BYTES, LIMIT_SCRIPT_MS, LIMIT_SHIFT = 100_000, 50.0, 0.02
TEXTS = (".html", ".css", ".js", ".svg", "/")
WATCH = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value;
}).observe({type: 'layout-shift', buffered: true});
"""


def charged(site: Served, addresses: list[str]) -> dict[str, int]:
    """What a host that compresses text sends for each address, bytes."""
    found = {}
    for address in addresses:
        path = address.removeprefix(site.address).partition("?")[0]
        file = site.folder / (f"{path[1:]}index.html" if path.endswith("/") else path[1:])
        data = file.read_bytes()
        found[path] = len(gzip.compress(data, 6) if path.endswith(TEXTS) else data)
    return found


def test_the_front_page_is_small_before_anybody_touches_it(visit: Any, site: Served) -> None:
    page = visit("about:blank", viewport={"width": 412, "height": 823}, device_scale_factor=1.75).page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site.address}/", wait_until="networkidle")
    sizes = charged(site, [url for url in asked if url.startswith(site.address)])
    assert [url for url in asked if not url.startswith(site.address)] == []
    assert sum(sizes.values()) <= LIMIT_BYTES, sizes


def test_nothing_on_the_front_page_jumps(visit: Any, site: Served) -> None:
    page = visit(f"{site.address}/", viewport={"width": 412, "height": 823}, start=WATCH).page
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    assert page.evaluate("window.shift") <= LIMIT_SHIFT


def test_scripts_of_the_front_page_take_less_than_a_long_task(visit: Any, site: Served) -> None:
    """In processor time of the page's thread, which other work on the machine does not stretch."""
    page = visit("about:blank", viewport={"width": 412, "height": 823}).page
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(f"{site.address}/", wait_until="networkidle")
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    assert 1e3 * metrics["ScriptDuration"] <= LIMIT_SCRIPT_MS
