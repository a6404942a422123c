"""The page of the site's own benchmark says what the file says: growth, who wins, who loses, what was not measured."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
import shelf
from conftest import build

from lab.errors import SiteError
from lab.site import growth


def size(runs: int, seconds: float, **further: Any) -> dict[str, Any]:
    return {
        "runs": runs,
        "turns": 3 if runs <= 10_000 else 1,
        "seconds": seconds,
        "least_s": seconds * 0.9,
        "most_s": seconds * 1.25,
        "loop_s": 0.6,
        "core_s": seconds * 1.5,
        "peak_bytes": 1_000_000 * runs,
        "files": runs + 200,
        "bytes": 20_000 * runs,
        "pages": runs + 30,
        "pageless": 0,
        "again_seconds": seconds / 4,
        "again_core_s": seconds / 3,
        "stay_seconds": seconds / 10,
        "stay_until_seconds": seconds / 10 + 1.5,
        "stay_least_s": seconds / 12,
        "stay_most_s": seconds / 9,
        "stay_changed": 80,
    } | further


def builder(runs: int, name: str, speed: float) -> dict[str, Any]:
    return {
        "runs": runs,
        "builder": name,
        "turns": 3,
        "pages": runs + 1,
        "seconds": runs / speed,
        "core_s": runs / speed / 2,
        "pages_per_s": speed,
        "pages_per_core_s": 2 * speed,
    }


TOLD: dict[str, Any] = {
    "schema": "lab.benchmark/1",
    "name": "site",
    "command": growth.COMMAND,
    "bars": {
        "400 runs: times the pages per second of the faster other": {"bar": 5.0, "found": 0.5, "reached": False},
        "10,000 runs: files": {"bar": 20_000, "found": 12_345, "reached": True},
    },
    "rows": [
        builder(400, "lab", 60.0),
        builder(400, "pelican", 110.0),
        builder(400, "mkdocs", 120.0),
        builder(10_000, "lab", 900.0),
        {"runs": 10_000, "builder": "pelican", "stopped": "ended after 120 s"},
        builder(10_000, "mkdocs", 300.0),
    ],
    "growth": [
        size(100, 2.0),
        size(10_000, 8.0),
        size(1_000, 4.0),
        size(100_000, 80.0, pageless=83_000),
    ],
    "sorting": {
        "runs": 10_000,
        "sorts": 22,
        "median_ms": 12.5,
        "least_ms": 7.0,
        "most_ms": 31.0,
        "nodes": 1_234,
        "browser": "Chromium 1.2",
    },
    "machine": {"cores": "2", "processor": "a processor", "system": "linux", "architecture": "x86_64"},
    "versions": {"pelican": "4.12.0"},
    "settings": {"turns": 3},
}


def written(ledgers: Path, told: dict[str, Any]) -> Path:
    path = ledgers / growth.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def words(page: bytes) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.decode())).split())


def test_the_page_states_growth_losses_and_the_sort_from_the_file(small: shelf.Made, tmp_path: Path) -> None:
    path = written(small.ledgers, TOLD)
    site = build(small.ledgers, tmp_path / "cache")
    said = words(site.tree["growth/index.html"])
    assert "From 100 to 100,000 runs, 1000 times as many, a build from nothing goes from 2.0 s to 1 min 20 s" in said
    assert "40.0 times as long" in said
    assert "to the power 1.00" in said
    assert "a builder that stays has the longest ledger again in 10.0 % of that, 8.0 s, and 80 of 100,200 files" in said
    assert "2.0 s (1.8 s to 2.5 s)" in said
    assert "0.2 s (0.2 s to 0.2 s)" in said
    assert "400 runs: 60 pages per second against 120 of MkDocs, the faster of the two others: 0.50 times" in said
    assert "(this lab loses)" in said
    assert "10,000 runs: 900 pages per second against 300 of MkDocs, the faster of the two others: 3.00 times" in said
    assert said.count("(this lab loses)") == 1
    assert "Pelican ended after 120 s" in said
    assert "83,000 of them have no page of their own" in said
    assert "12.5 ms, the median of 22 sorts (7.0 to 31.0 ms), in a page of 1,234 nodes" in said
    assert "0.5 no" in said and "12,345 yes" in said
    assert site.tree[f"data/{growth.FILE}"].read_bytes() == path.read_bytes()
    assert site.tree["growth/index.html"].count(b"<svg") >= 4
    assert "growth/" in site.tree["contents/index.html"].decode()


def test_every_size_is_optional_and_without_any_there_is_no_page(small: shelf.Made, tmp_path: Path) -> None:
    assert growth.load(small.ledgers) is None
    written(small.ledgers, TOLD | {"growth": [], "rows": [], "bars": {}, "sorting": None})
    assert growth.load(small.ledgers) is None
    assert "growth/index.html" not in build(small.ledgers, tmp_path / "cache").tree
    written(small.ledgers, TOLD | {"growth": TOLD["growth"][:1], "rows": [], "bars": {}, "sorting": None})
    page = build(small.ledgers, tmp_path / "cache").tree["growth/index.html"]
    assert "one size gives no growth" in words(page)
    assert "MkDocs</h2>" not in page.decode()
    refused = {"runs": 100_000, "seconds": 9.0, "core_s": 9.0, "peak_bytes": 9, "refused": "not published: too many"}
    written(small.ledgers, TOLD | {"growth": [*TOLD["growth"][:3], refused]})
    found = growth.load(small.ledgers)
    assert found is not None and found.refused == ((100_000, "not published: too many"),)
    assert [row["runs"] for row in found.sizes] == [100, 1_000, 10_000]


def test_builders_that_are_not_installed_are_said_to_be(tmp_path: Path) -> None:
    absent = [{"runs": 400, "builder": name, "stopped": "not installed"} for name in ("pelican", "mkdocs")]
    written(tmp_path, TOLD | {"rows": [builder(400, "lab", 60.0), *absent]})
    found = growth.load(tmp_path)
    assert found is not None
    assert found.beside[0].finding == "400 runs: no other builder was timed beside this lab."
    assert ("Pelican", "not installed", "", "", "") in found.beside[0].rows


@pytest.mark.parametrize("wrong", [{"growth": [size(100, -1.0)]}, {"rows": [builder(400, "hugo", 1.0)]}, {"bars": 3}])
def test_a_file_that_the_benchmark_did_not_write_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    written(tmp_path, TOLD | wrong)
    with pytest.raises(SiteError, match="bench-site"):
        growth.load(tmp_path)
