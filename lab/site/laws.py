"""What a row of runs that differ in one number has in common: the logarithmic law of width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lab.site import charts, svg
from lab.site import format as show
from lab.site.book import Entry
from lab.site.captions import link, signature
from lab.site.charts import Cell, Chart, Figure, Line, Mark

_FEWEST, _STEPS = 3, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """y = level + slope * ln(x), by least squares; `share` of the variance is explained, 0-1."""

    level: float
    slope: float
    share: float

    def at(self, x: float) -> float:
        """The law's value."""
        return self.level + self.slope * math.log(x)


def logarithmic(points: Sequence[tuple[float, float]]) -> Law:
    """The law that fits points (x, y) best, x above zero.

    Raises:
        ValueError: fewer than two different x.
    """
    n = len(points)
    xs, ys = [math.log(x) for x, _ in points], [y for _, y in points]
    mean_x, mean_y = sum(xs) / max(n, 1), sum(ys) / max(n, 1)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if not spread:
        raise ValueError("a law needs two different values")
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    level = mean_y - slope * mean_x
    total = sum((y - mean_y) ** 2 for y in ys)
    left = sum((y - level - slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    return Law(level=level, slope=slope, share=1.0 - left / total if total else 1.0)


def width(*entries: Entry) -> Figure | None:
    """Score and distortion of runs against the width of their filter (`hidden`); None with fewer than three widths."""
    rows = sorted(
        (hidden, entry)
        for entry in entries
        if isinstance(hidden := entry.data["recipe"]["params"].get("hidden"), int) and hidden > 0
    )
    if len({hidden for hidden, _ in rows}) < _FEWEST:
        return None
    total = [(float(hidden), entry.total) for hidden, entry in rows]
    distortion = [(float(hidden), entry.total - entry.run.score.rate_term) for hidden, entry in rows]
    whole, part = logarithmic(total), logarithmic(distortion)
    x = svg.padded((hidden for hidden, _ in total), "width of the inner layers (log scale)", log=True)
    best = min((entry for _, entry in rows), key=lambda entry: (entry.total, entry.id))
    chart = Chart(
        key=f"width-{best.id}",
        title="Score against the width of the filter",
        x=x,
        y=svg.padded([y for _, y in total + distortion], "score, and its part without bytes"),
        lines=(_curve(whole, x, "main-line"), _curve(part, x, "side-branch")),
        marks=tuple(
            [Mark(x=h, y=y, kind="open", tip=f"width {h:g}: distortion {show.score(y)}") for h, y in distortion]
            + [
                Mark(
                    x=float(hidden),
                    y=entry.total,
                    kind=entry.run.verdict,
                    tip=f"{entry.slug}: score {show.score(entry.total)}",
                    href=entry.url,
                    name=entry.slug,
                    best=entry is best,
                )
                for hidden, entry in rows
            ]
        ),
        x_ticks=tuple((float(hidden), str(hidden)) for hidden in dict.fromkeys(hidden for hidden, _ in rows)),
        wide=(960.0, 340.0),
        narrow=(380.0, 340.0),
    )
    kinds = dict.fromkeys(entry.run.verdict for _, entry in rows)
    return Figure(
        key=chart.key,
        title="The law of width",
        finding=_finding(whole, part, best),
        drawings=(charts.both(chart),),
        columns=("width", "run", "bytes", "SegNet term", "PoseNet term", "rate term", "score", "score by the law"),
        rows=tuple(_row(hidden, entry, whole) for hidden, entry in rows),
        legend=(
            *((kind, f"score, {kind}") for kind in kinds if kind != "open"),
            ("main-line", "law of the score"),
            ("open", "distortion alone"),
            ("side-branch", "law of the distortion"),
        ),
    )


def _curve(law: Law, x: svg.Axis, kind: str) -> Line:
    places = [x.lo * (x.hi / x.lo) ** (index / _STEPS) for index in range(_STEPS + 1)]
    return Line(points=tuple((place, law.at(place)) for place in places), kind=kind)


def _row(hidden: int, entry: Entry, law: Law) -> tuple[Cell, ...]:
    score, predicted = entry.run.score, law.at(float(hidden))
    return (
        Cell(text=str(hidden), sort=float(hidden)),
        Cell(text=entry.slug, href=entry.url),
        Cell(text=show.byte_count(entry.n_bytes), sort=float(entry.n_bytes)),
        Cell(text=show.score(score.segnet_term, 4), sort=score.segnet_term),
        Cell(text=show.score(score.posenet_term, 4), sort=score.posenet_term),
        Cell(text=show.score(score.rate_term, 4), sort=score.rate_term),
        Cell(text=show.score(entry.total), sort=entry.total),
        Cell(text=show.score(predicted, 4), sort=predicted),
    )


def _finding(whole: Law, part: Law, best: Entry) -> Markup:
    doubled = math.log(2.0)
    return Markup(
        "Least squares over these runs: score = {} {} ln(width), which explains {} of its variance. A doubled width "
        "changes the distortion by {} and the rate by {}. The best score is that of {}. "
    ).format(
        show.score(whole.level, 3),
        f"{'+' if whole.slope >= 0 else show.MINUS} {show.score(abs(whole.slope), 3)}",
        show.percent(whole.share),
        show.signed(part.slope * doubled, 3),
        show.signed((whole.slope - part.slope) * doubled, 3),
        link(best),
    ) + signature(best)
