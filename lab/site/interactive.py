"""The interactive view of every figure: the same description as its drawing, as traces that Plotly reads.

Plotly's own script comes out of the installed package, byte for byte, and lies on the site's origin. One page loads it,
and only when somebody asks there for a figure; every other page is complete without it. Colours are left to the
stylesheet: a trace names the class that its lines or marks have in the drawing.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from itertools import pairwise
from pathlib import Path
from typing import Any

from lab import custody
from lab.errors import SiteError
from lab.site import data
from lab.site.charts import Band, Chart, Figure, Line, Mark
from lab.site.data import Content
from lab.site.sheets import Page
from lab.site.svg import Axis

FOLDER, URL = "figures/", "/interactive/"
SYMBOLS = {"promoted": "circle", "rejected": "diamond-open", "open": "square-open", "external": "triangle-up-open"}
SCRIPT = "plotly/package_data/plotly.min.js"
_DEPTH = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One drawing of a figure, and the page on which it stands."""

    chart: Chart
    figure: Figure
    page: Page

    @property
    def name(self) -> str:
        """Its anchor on the page of views."""
        return self.chart.name

    @property
    def file(self) -> str:
        """Where its traces lie."""
        return f"{FOLDER}{self.name}.json"


def script() -> dict[str, Content]:
    """Plotly's script by its address, with a digest in its name; empty where the package is not installed.

    Raises:
        SiteError: the file is not the one that the package's own record names.
    """
    try:
        package = distribution("plotly")
    except PackageNotFoundError:
        return {}
    found = next((part for part in package.files or () if part.as_posix() == SCRIPT), None)
    if found is None:
        return {}
    path = Path(str(found.locate()))
    raw = path.read_bytes()
    said = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
    if found.hash is None or found.hash.value != said:
        raise SiteError("plotly.min.js", expected="the script as its package shipped it", found="other bytes")
    return {f"assets/plotly.{custody.sha256_bytes(raw)[:10]}.js": path}


def views(pages: Iterable[Page], drawn: Sequence[Figure]) -> list[View]:
    """Every figure of pages that are planned in full, once; pages of single runs have none.

    Args:
        drawn: figures that stand in prose, whose pages hold them as text.

    Raises:
        SiteError: two different drawings have one name.
    """
    found: dict[str, View] = {}
    for page in pages:
        if callable(page.context):
            continue
        text = str(getattr(page.context.get("text"), "html", ""))
        inside = [*_figures(page.context), *(figure for figure in drawn if f'id="{figure.key}"' in text)]
        for figure in inside:
            for chart in (drawing.chart for drawing in figure.drawings if drawing.chart):
                known = found.setdefault(chart.name, View(chart=chart, figure=figure, page=page))
                if known.chart != chart:
                    raise SiteError(chart.title, expected="a name of its own for every drawing", found="two drawings")
    return list(found.values())


def _figures(value: Any, depth: int = _DEPTH) -> Iterator[Figure]:
    """Every figure inside a value that a template is given."""
    if isinstance(value, Figure):
        yield value
    elif depth and isinstance(value, Mapping):
        for part in value.values():
            yield from _figures(part, depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for part in value:
            if not _is_barren(part.__class__):
                yield from _figures(part, depth - 1)
    elif depth:
        for name in _leads(value.__class__):
            yield from _figures(getattr(value, name, None), depth - 1)


@cache
def _leads(kind: Any) -> tuple[str, ...]:
    """The names under which a value of ours may hold figures."""
    if not kind.__module__.startswith("lab.site"):
        return ()
    typed = [part.name for part in fields(kind) if "Figure" in str(part.type)] if is_dataclass(kind) else []
    return tuple(name for name in dict.fromkeys((*typed, "figure", "figures")) if name in typed or hasattr(kind, name))


@cache
def _is_barren(kind: Any) -> bool:
    """Can no value of this type hold a figure?"""
    return not issubclass(kind, (Figure, Mapping, list, tuple)) and not _leads(kind)


def files(found: Sequence[View]) -> dict[str, Content]:
    """The traces of every view, by path."""
    return {view.file: data.dump(traces(view.chart)) for view in found}


def traces(chart: Chart) -> dict[str, Any]:
    """A drawing as Plotly's `data` and `layout`; `class` of a trace names what the stylesheet colours."""
    found: list[dict[str, Any]] = [
        {
            "class": f"band {band.kind}",
            "mode": "lines",
            "fill": "toself",
            **_outline(band),
        }
        for band in chart.bands
    ]
    found += [_line(line) for line in chart.lines]
    groups: dict[tuple[str, bool], list[Mark]] = {}
    for mark in chart.marks:
        groups.setdefault((mark.kind, mark.unranked), []).append(mark)
    found += [_marks(kind, marks) for (kind, _), marks in groups.items()]
    return {
        "data": found,
        "layout": {
            "title": chart.title,
            "xaxis": _axis(chart.x, chart.x_ticks),
            "yaxis": _axis(chart.y, None),
        },
    }


def _outline(band: Band) -> dict[str, list[float]]:
    """The corners of a band: along its upper steps, and back along the lower ones."""
    steps = [(x, low, high, end) for (x, low, high), (end, _, _) in pairwise(band.points)]
    there = [(at, high) for x, _, high, end in steps for at in (x, end)]
    back = [(at, low) for x, low, _, end in reversed(steps) for at in (end, x)]
    return {"x": [x for x, _ in there + back], "y": [y for _, y in there + back]}


def _line(line: Line) -> dict[str, Any]:
    return {
        "class": f"line {line.kind}",
        "mode": "lines",
        "shape": "hv" if line.step else "linear",
        **({"fill": "tozeroy"} if line.filled else {}),
        "x": [x for x, _ in line.points],
        "y": [y for _, y in line.points],
    }


def _marks(kind: str, marks: Sequence[Mark]) -> dict[str, Any]:
    return {
        "class": f"mark {kind}",
        "mode": "markers",
        "symbol": SYMBOLS.get(kind, "diamond-open"),
        "x": [mark.x for mark in marks],
        "y": [mark.y for mark in marks],
        "tips": [mark.tip for mark in marks],
        "urls": [mark.href for mark in marks],
    }


def _axis(axis: Axis, ticks: Sequence[tuple[float, str]] | None) -> dict[str, Any]:
    ends = (axis.lo, axis.hi)
    return {
        "title": axis.label,
        "type": "log" if axis.log else "linear",
        "range": [math.log10(end) for end in ends] if axis.log else list(ends),
        **({"tickvals": [at for at, _ in ticks], "ticktext": [text for _, text in ticks]} if ticks else {}),
    }
