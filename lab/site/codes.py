"""How often every integer occurs in the coded streams of an archive: the histograms of its weights and latents."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass

from markupsafe import Markup

from lab.errors import SiteError
from lab.site import charts, svg
from lab.site import format as show
from lab.site.book import Entry
from lab.site.captions import signature
from lab.site.charts import TONES, Cell, Chart, Figure, Line

FILE = "codes.csv"
LIMIT_ROWS = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """One stream: how often each integer occurs, by integer."""

    stream: str
    counts: tuple[tuple[int, int], ...]

    @property
    def total(self) -> int:
        """How many integers it has."""
        return sum(count for _, count in self.counts)

    @property
    def zeros(self) -> float:
        """Share of the integers that are zero."""
        return sum(count for code, count in self.counts if code == 0) / self.total

    @property
    def bits(self) -> float:
        """Entropy of the histogram, bits per integer: what a coder that knows no context would pay."""
        return -sum(count / self.total * math.log2(count / self.total) for _, count in self.counts)


def load(entry: Entry) -> list[Histogram]:
    """The histograms of a run, in file order; none without its table.

    Raises:
        SiteError: not a table of streams, codes and counts.
    """
    path = next((item.path for item in entry.evidence if item.name == FILE), None)
    if path is None:
        return []
    found: dict[str, list[tuple[int, int]]] = {}
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        if rows[0] != ["stream", "code", "count"] or not 1 < len(rows) <= LIMIT_ROWS:
            raise ValueError(f"{len(rows)} rows under {rows[0]}")
        for stream, code, count in rows[1:]:
            if int(count) < 1:
                raise ValueError(f"count {count}")
            found.setdefault(stream, []).append((int(code), int(count)))
    except (ValueError, IndexError, OSError) as error:
        raise SiteError(f"{entry.id}, {FILE}", expected="rows of stream, code, count", found=str(error)[:200]) from None
    return [Histogram(stream=name, counts=tuple(sorted(counts))) for name, counts in found.items()]


def figure(entry: Entry) -> Figure | None:
    """The histograms as one figure, each as shares of its stream; None without its table."""
    found = load(entry)[: len(TONES)]
    if not found:
        return None
    low = min(one.counts[0][0] for one in found)
    high = max(one.counts[-1][0] for one in found)
    shares = [{code: 100.0 * count / one.total for code, count in one.counts} for one in found]
    least = 0.6 * min(min(share.values()) for share in shares)  # the foot of the logarithmic scale: none
    lines = tuple(
        Line(
            points=tuple((code - 0.5, share.get(code, least)) for code in range(low, high + 2)),
            kind=tone,
            step=True,
        )
        for tone, share in zip(TONES, shares, strict=False)
    )
    top = max(max(share.values()) for share in shares)
    chart = Chart(
        key=f"codes-{entry.id}",
        title=f"How often every integer occurs, {entry.id}",
        x=svg.Axis(label="integer, before its step", lo=low - 1.0, hi=high + 1.0),
        y=svg.Axis(label="share of its stream, % (log scale)", lo=least, hi=top * 1.4, log=True),
        lines=lines,
        wide=(960.0, 300.0),
        narrow=(380.0, 280.0),
    )
    text = Markup(" ").join(
        Markup("{}: {} of {} integers are zero, and {} bits each would do without any context.").format(
            one.stream, show.percent(one.zeros), show.byte_count(one.total), show.score(one.bits, 2)
        )
        for one in found
    )
    return Figure(
        key=chart.key,
        title="The integers inside",
        finding=text + Markup(" ") + signature(entry),
        drawings=(charts.both(chart),),
        columns=("stream", "integers", "lowest", "highest", "zero", "bits per integer, no context"),
        rows=tuple(
            (
                Cell(text=one.stream),
                Cell(text=show.byte_count(one.total), sort=float(one.total)),
                Cell(text=str(one.counts[0][0]), sort=float(one.counts[0][0])),
                Cell(text=str(one.counts[-1][0]), sort=float(one.counts[-1][0])),
                Cell(text=show.percent(one.zeros), sort=one.zeros),
                Cell(text=show.score(one.bits, 3), sort=one.bits),
            )
            for one in found
        ),
        legend=tuple((tone, one.stream) for tone, one in zip(TONES, found, strict=False)),
        table_title="Every stream",
    )
