"""The interactive view of a figure: nothing before it is asked for, then every mark, from our own origin."""

from __future__ import annotations

import json
from typing import Any

import pytest
from served import Served, needs

pytestmark = pytest.mark.browser


def test_a_figure_is_fetched_when_it_is_chosen_and_has_every_mark_of_its_drawing(visit: Any, site: Served) -> None:
    needs("plotly", any((site.folder / "assets").glob("plotly.*.js")))
    seen = visit(f"{site.address}/interactive/")
    asked = "performance.getEntriesByType('resource').map((one) => one.name)"
    assert not [name for name in seen.page.evaluate(asked) if "plotly" in name or "figures/" in name]
    seen.page.goto(f"{site.address}/")
    seen.page.click(".explore a >> nth=0")
    seen.page.wait_for_selector(".js-plotly-plot .main-svg")
    name = seen.page.evaluate("location.hash.slice(1)")
    told = json.loads((site.folder / "figures" / f"{name}.json").read_text())
    marks = sum(len(trace["x"]) for trace in told["data"] if trace["mode"] == "markers")
    seen.page.click("[data-all]")
    seen.page.wait_for_function(f"() => document.querySelectorAll('.js-plotly-plot .point').length >= {marks}")
    assert all(address.startswith(site.address) for address in seen.page.evaluate(asked))
    assert seen.complaints == []
