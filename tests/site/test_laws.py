"""Laws fitted to rows of runs."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.site import laws
from lab.site.book import Entry


@given(st.floats(-5, 5), st.floats(-2, 2))
def test_a_law_that_holds_is_found(level: float, slope: float) -> None:
    found = laws.logarithmic([(x, level + slope * math.log(x)) for x in (8, 16, 32, 64)])
    assert found.level == pytest.approx(level, abs=1e-9)
    assert found.slope == pytest.approx(slope, abs=1e-9)
    assert found.at(24.0) == pytest.approx(level + slope * math.log(24), abs=1e-9)


def test_no_other_line_lies_nearer() -> None:
    points = [(8.0, 3.1), (16.0, 2.7), (32.0, 2.9), (64.0, 2.4)]
    best = laws.logarithmic(points)

    def off(law: laws.Law) -> float:
        return sum((y - law.at(x)) ** 2 for x, y in points)

    for change in ({"level": best.level + 0.01}, {"level": best.level - 0.01}, {"slope": best.slope + 0.01}):
        assert off(best) < off(replace(best, **change))
    assert 0.0 < best.share < 1.0


def test_one_width_is_no_law() -> None:
    with pytest.raises(ValueError, match="two different values"):
        laws.logarithmic([(8.0, 1.0), (8.0, 2.0)])


def widened(entries: list[Entry], widths: list[int]) -> list[Entry]:
    """Runs as if they had a filter of these widths."""
    out = []
    for entry, hidden in zip(entries, widths, strict=True):
        recipe = {**entry.data["recipe"], "params": {"hidden": hidden}}
        out.append(replace(entry, run=replace(entry.run, data={**entry.data, "recipe": recipe})))
    return out


def test_the_figure_lists_every_width_and_needs_three(built: SimpleNamespace) -> None:
    entries = list(built.book.main.entries)[:4]
    made = laws.width(*widened(entries, [64, 8, 32, 16]))
    assert made is not None
    assert [row[0].text for row in made.rows] == ["8", "16", "32", "64"]
    assert "ln(width)" in made.finding
    for drawing in made.drawings[0][:2]:
        assert drawing.count("<a ") == 4
    assert laws.width(*widened(entries[:2], [8, 16])) is None
    assert laws.width(*entries) is None
