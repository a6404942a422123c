"""Dead lanes of this lab and of others stand in one table, each with its mechanism; an odd file stops the build."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import shelf
from conftest import ROOT

from lab.errors import SiteError
from lab.site import lanes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The committed lanes, to be changed by a test."""
    for name in ("negative", "external"):
        shutil.copytree(ROOT / "ledgers" / name, tmp_path / name)
    return tmp_path


def test_every_lane_has_a_mechanism_and_ours_come_first(folder: Path) -> None:
    found = lanes.load(folder)
    own = len(list((folder / "negative").glob("*.json")))
    stated = json.loads((folder / "external" / "dead-lanes.json").read_text(encoding="utf-8"))["n_records"]
    assert (found.ours, len(found.rows)) == (own, own + stated)
    assert all(lane.mechanism and lane.title and lane.basis for lane in found.rows)
    assert [lane.ours for lane in found.rows] == [True] * own + [False] * stated
    assert len(json.loads(found.files[lanes.FILE])) == len(found.rows)  # type: ignore[arg-type]


def test_nested_numbers_are_named_in_full(folder: Path) -> None:
    lane = next(lane for lane in lanes.load(folder).rows if "five times" in lane.title)
    assert "frozen: archive bytes 38,579" in lane.numbers


@pytest.mark.parametrize("broken", ["{", '{"schema": "lab.negative/9"}', "[]", '{"schema": "lab.negative/1"}'])
def test_a_file_that_is_no_lane_is_named(folder: Path, broken: str) -> None:
    (folder / "negative" / "odd.json").write_text(broken, encoding="utf-8")
    with pytest.raises(SiteError, match=r"negative/odd\.json"):
        lanes.load(folder)


def test_without_lanes_there_is_no_page(tmp_path: Path) -> None:
    assert lanes.load(tmp_path).rows == () and lanes.load(tmp_path).files == {}
    assert shelf.NAME  # the synthetic ledger has none either
