"""The table of an archive's sections stays short and still sums to the file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import SiteError
from lab.site import anatomy

SHA = "ab" * 32


def parsed(sizes: list[int], **changes: Any) -> anatomy.Anatomy:
    """An archive of one header and one video whose units have these sizes."""
    at, units = 10, []
    for number, size in enumerate(sizes):
        units.append({"name": f"picture {number}", "kind": "picture", "offset": at, "n_bytes": size})
        at += size
    video = {"name": "video", "kind": "av1", "offset": 10, "n_bytes": at - 10, "children": units}
    header = {"name": "header", "kind": "field table", "offset": 0, "n_bytes": 10}
    raw = {"archive": {"n_bytes": at, "sha256": SHA}, "sections": [header, video], **changes}
    return anatomy.parse(json.dumps(raw), "x, anatomy.json", archive_bytes=at, archive_sha256=SHA)


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=400))
def test_rows_and_leaves_both_sum_to_the_file(sizes: list[int]) -> None:
    found = parsed(sizes)
    assert sum(row.section.n_bytes for row in found.leaves) == found.n_bytes
    assert sum(row.section.n_bytes for row in found.rows if row.tone is not None) == found.n_bytes
    assert len(found.rows) <= anatomy.CROWD + 2


def test_many_alike_become_one_row_that_says_how_many() -> None:
    found = parsed([7, 9, *([5] * 298)])
    row = found.rows[-1]
    assert (row.count, row.section.n_bytes, row.section.name) == (300, 16 + 5 * 298, "picture")
    assert row.section.note == "300 of them, 5 to 9 bytes"
    assert found.crowd() is not None
    assert parsed([5] * 3).crowd() is None


@pytest.mark.parametrize(
    "broken",
    [
        {"sections": []},
        {"sections": [{"name": "a", "kind": "b", "offset": 0, "n_bytes": 12.5}]},
        {"sections": [{"name": "a", "kind": "b", "offset": 0}]},
        {"sections": [{"name": "a", "kind": "b", "offset": 0, "n_bytes": 15, "ideal_bits": float("inf")}]},
        {"sections": "all of it"},
        {"archive": {"n_bytes": 16, "sha256": SHA}},
        {"archive": {"n_bytes": 15, "sha256": "cd" * 32}},
    ],
)
def test_an_anatomy_that_does_not_hold_together_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(SiteError):
        parsed([5], **broken)


def test_an_anatomy_nested_without_end_is_refused() -> None:
    inner: dict[str, Any] = {"name": "x", "kind": "y", "offset": 0, "n_bytes": 15}
    for _ in range(200):
        inner = {"name": "x", "kind": "y", "offset": 0, "n_bytes": 15, "children": [inner]}
    with pytest.raises(SiteError, match="nested"):
        parsed([5], sections=[inner])
