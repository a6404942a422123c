"""Figures: one description gives the drawing for wide and for narrow screens, the caption and the table behind it.

A drawing works without JavaScript, in print and on a 320 px screen: marks are links, forms differ as well as colours,
and everything drawn stands in the table too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from lab.custody import sha256_bytes
from lab.site import svg
from lab.site.svg import Axis, Box, tag

WIDE = (960.0, 460.0)
NARROW = (380.0, 400.0)
TONES = ("tone-a", "tone-b", "tone-c", "tone-d", "tone-e")  # of lines that stand beside each other
ANCHOR = 80  # characters of an anchor, before a digest
TICK_CHARACTER, TICK_GAP = 7.4, 3.0  # px of a digit, px between two texts of an axis
STRONG = ("frontier-line", "main-line", "other-line")
Place = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One run in a chart. `kind`: promoted, rejected or open; `name` is printed beside it where there is room."""

    x: float
    y: float
    kind: str
    tip: str
    href: str = ""
    name: str = ""
    best: bool = False
    unranked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through values. `kind` is its class; `step` holds each value until the next one."""

    points: tuple[tuple[float, float], ...]
    kind: str
    step: bool = False
    filled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The area between two steps over the same places; `kind` is its class. Each point is (x, lower, upper)."""

    points: tuple[tuple[float, float, float], ...]
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the table behind a figure; `sort` is the value that a reader sorts by, `frame` one of the clip."""

    text: str
    href: str = ""
    frame: int | None = None
    sort: float | str | None = None

    @property
    def is_number(self) -> bool:
        """Is it aligned as a number?"""
        return isinstance(self.sort, (int, float))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What a plot shows, in values; `draw` turns it into pixels."""

    key: str
    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...] = ()
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()
    wide: tuple[float, float] = WIDE
    narrow: tuple[float, float] = NARROW
    x_ticks: tuple[tuple[float, str], ...] | None = None

    @property
    def name(self) -> str:
        """What its interactive view is called, and the file of its traces: an anchor of its title."""
        return anchor(self.title)


def anchor(text: str) -> str:
    """Text as a part of an id or of a file's name: short, lower case, dashes, and its digest where that says less."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (
        slug if text and slug == text and len(slug) <= ANCHOR else f"{slug[:ANCHOR]}-{sha256_bytes(text.encode())[:6]}"
    )


class Drawing(NamedTuple):
    """A chart drawn twice; without the chart where the drawing is no plot of values."""

    wide: Markup
    narrow: Markup
    chart: Chart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure as a template prints it. `more`: address and words of where the whole table stands, if not here."""

    key: str
    title: str
    finding: Markup
    drawings: tuple[Drawing, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    legend: tuple[tuple[str, str], ...] = field(default_factory=tuple)
    table_title: str = "The same as a table"
    more: tuple[str, str] | None = None


def both(chart: Chart) -> Drawing:
    """The drawing for wide and for narrow screens."""
    return Drawing(draw(chart, *chart.wide, narrow=False), draw(chart, *chart.narrow, narrow=True), chart)


def draw(chart: Chart, width: float, height: float, *, narrow: bool) -> Markup:
    """One inline SVG."""
    left, right, top, bottom = (46.0, 10.0, 26.0, 44.0) if narrow else (60.0, 18.0, 28.0, 48.0)
    plot = Box(x=left, y=top, width=width - left - right, height=height - top - bottom)

    def at(x: float, y: float) -> tuple[float, float]:
        return plot.x + chart.x.place(x) * plot.width, plot.y + (1.0 - chart.y.place(y)) * plot.height

    key = f"{chart.key}-{'narrow' if narrow else 'wide'}"
    body = [tag("title", chart.title, id=f"{key}-title"), _grid(chart, plot, at, narrow=narrow)]
    body += [_band(band, at) for band in chart.bands]
    body += [_line(line, chart, at, plot) for line in chart.lines]
    body.append(_marks(chart, plot, at, narrow=narrow))
    return tag(
        "svg",
        *body,
        class_=f"plot {'narrow' if narrow else 'wide'}",
        viewBox=f"0 0 {svg.number(width)} {svg.number(height)}",
        role="group",
        aria_labelledby=f"{key}-title",
    )


def _grid(chart: Chart, plot: Box, at: Place, *, narrow: bool) -> Markup:
    parts: list[Markup] = []
    for value, text in chart.y.ticks(max(4, int(plot.height / 52))):
        _, y = at(chart.x.lo, value)
        parts.append(tag("line", class_="grid", x1=plot.x, x2=plot.x + plot.width, y1=y, y2=y))
        parts.append(tag("text", text, class_="tick", x=plot.x - 8, y=y + 4.5, text_anchor="end"))
    parts.append(_below(chart.x, chart.x_ticks, plot, narrow=narrow))
    parts.append(tag("text", chart.y.label, class_="label", x=2.0, y=14.0))
    return tag("g", *parts, aria_hidden="true")


@lru_cache(maxsize=256)
def _below(axis: Axis, ticks: tuple[tuple[float, str], ...] | None, plot: Box, *, narrow: bool) -> Markup:
    """The horizontal axis, which many charts share."""
    parts: list[Markup] = []
    base, end = plot.y + plot.height, plot.x + plot.width
    free = -math.inf  # right end of the last text
    for value, text in axis.ticks(4 if narrow else 9) if ticks is None else ticks:
        x = plot.x + axis.place(value) * plot.width
        parts.append(tag("line", class_="tick", x1=x, x2=x, y1=base, y2=base + 5))
        half = len(text) * TICK_CHARACTER / 2
        if x - half > free:
            parts.append(tag("text", text, class_="tick", x=x, y=base + 19, text_anchor="middle"))
            free = x + half + TICK_GAP
    parts.append(tag("line", class_="axis", x1=plot.x, x2=end, y1=base, y2=base))
    if axis.label:
        parts.append(tag("text", axis.label, class_="label", x=end, y=base + 39, text_anchor="end"))
    return Markup("".join(parts))


def _points(line: Line, chart: Chart, at: Place) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for x, y in line.points:
        here = at(x, min(max(y, chart.y.lo), chart.y.hi))
        if line.step and points:
            points.append((here[0], points[-1][1]))
        points.append(here)
    return points


def _line(line: Line, chart: Chart, at: Place, plot: Box) -> Markup:
    points = _points(line, chart, at)
    if not points:
        return Markup("")
    if line.filled:
        base = plot.y + plot.height
        points = [(points[0][0], base), *points, (points[-1][0], base)]
    return tag("path", class_=f"line {line.kind}", d=svg.path(points, closed=line.filled), aria_hidden="true")


def _band(band: Band, at: Place) -> Markup:
    upper: list[tuple[float, float]] = []
    lower: list[tuple[float, float]] = []
    for (x, low, high), (end, _, _) in pairwise(band.points):
        upper += [at(x, high), at(end, high)]
        lower += [at(x, low), at(end, low)]
    return tag("path", class_=f"band {band.kind}", d=svg.path([*upper, *lower[::-1]], closed=True), aria_hidden="true")


def _along(line: Line, chart: Chart, at: Place) -> list[Box]:
    """Small boxes along a line, so that labels keep clear of it."""
    points = _points(line, chart, at)
    boxes = []
    for (x0, y0), (x1, y1) in pairwise(points):
        steps = max(1, int(math.hypot(x1 - x0, y1 - y0) / 8))
        boxes += [
            Box(x=x0 + (x1 - x0) * i / steps - 2, y=y0 + (y1 - y0) * i / steps - 2, width=4, height=4)
            for i in range(steps + 1)
        ]
    return boxes


def _marks(chart: Chart, plot: Box, at: Place, *, narrow: bool) -> Markup:
    spots: list[tuple[Mark, float, float, bool]] = []
    for mark in chart.marks:
        beyond = mark.y > chart.y.hi
        x, y = at(mark.x, min(mark.y, chart.y.hi))
        spots.append((mark, x, y, beyond))
    taken = [Box(x=x - 8, y=y - 7, width=16, height=20 if beyond else 14) for _, x, y, beyond in spots]
    taken += [box for line in chart.lines if line.kind in STRONG for box in _along(line, chart, at)]
    frame = Box(x=plot.x, y=plot.y - 14, width=plot.width, height=plot.height + 12)
    parts, labels = [], []
    for mark, x, y, beyond in sorted(spots, key=lambda spot: (spot[0].best, spot[0].kind == "promoted")):
        drawn = svg.arrow_up(x, y, mark.kind) if beyond else svg.shape(mark.kind, x, y)
        inner = [tag("title", mark.tip), tag("circle", class_="hit", cx=x, cy=y, r=12.0)]
        if mark.best:
            inner.append(tag("circle", class_="halo", cx=x, cy=y, r=12.5))
        classes = "point" + (" best" if mark.best else "") + (" unranked" if mark.unranked else "")
        inner.append(drawn)
        if mark.href:
            parts.append(tag("a", *inner, class_=classes, href=mark.href))
        else:
            parts.append(tag("g", *inner, class_=classes))
    for mark, x, y, _ in sorted(spots, key=lambda spot: not spot[0].best):
        name = mark.name if not narrow or len(mark.name) <= 26 else mark.name[:25] + "…"
        if name and (spot := svg.place_label(name, x, y, taken, frame, 7.0 if mark.best else 0.0)):
            weight = "name best" if mark.best else "name"
            labels.append(tag("text", name, class_=weight, x=spot[0], y=spot[1], text_anchor=spot[2]))
    return tag("g", tag("g", *labels, aria_hidden="true", paint_order="stroke"), *parts)


def bar(
    parts: Sequence[tuple[float, str, str]],
    total: float,
    *,
    label: str,
    height: float = 34.0,
    hrefs: Sequence[str] = (),
) -> Markup:
    """A stacked bar without text, to scale over `total`: (value, class, tip) from left to right.

    Args:
        hrefs: where each part leads, empty for nowhere; none by default.
    """
    at, inner = 0.0, [tag("title", label)]
    for (value, kind, tip), href in zip(parts, hrefs or [""] * len(parts), strict=True):
        width = 1000.0 * value / total
        thin = " hair" if width < 4.0 else ""  # an outline would hide it
        place: dict[str, str | float] = {"x": f"{at:.3f}", "y": "0", "width": f"{width:.3f}", "height": height}
        piece = tag(
            "rect",
            *([] if thin else [tag("title", tip)]),
            class_=kind + thin,
            vector_effect="non-scaling-stroke",
            **place,
        )
        inner.append(tag("a", piece, href=href, aria_label=tip) if href else piece)
        at += width
    return tag(
        "svg",
        *inner,
        class_="bar",
        viewBox=f"0 0 1000 {svg.number(height)}",
        preserveAspectRatio="none",
        role="group" if any(hrefs) else "img",
        aria_label=label,
    )
