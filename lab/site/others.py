"""What others measured: public facts with their sources, grade external, on a page of their own and never ranked.

The collections lie in `ledgers/external` (see `ledgers/README.md`). Only the fields named here reach the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lab.site import charts, facts, svg
from lab.site import format as show
from lab.site.charts import Cell, Chart, Figure, Mark
from lab.site.sanitize import inert

NAMED_ROWS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """One row of the public board, as printed; `pr` tells in which order rows were handed in."""

    title: str
    rank: int
    pr: int
    stated: float
    n_bytes: int | None
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the lab that others kept, as they recorded it, with its total recomputed."""

    title: str
    number: int
    verdict: str
    stated: str
    total: float | None
    n_bytes: int
    axis: str
    parent: str
    changed: str
    grade: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """An archive of somebody else as far as its streams are known; `rest` is what no source explains."""

    title: str
    n_bytes: int
    streams: tuple[tuple[str, int, str], ...]
    rest: int
    bar: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """Everything that the page shows."""

    rows: tuple[BoardRow, ...]
    anatomies: tuple[Anatomy, ...]
    findings: tuple[tuple[str, str, str], ...]
    runs: tuple[Run, ...]
    chart: Figure | None

    @property
    def is_empty(self) -> bool:
        """Is there nothing to show?"""
        return not (self.rows or self.anatomies or self.runs)

    def count(self, verdict: str) -> int:
        """How many of their runs have a verdict."""
        return sum(run.verdict == verdict for run in self.runs)


def load(folder: Path) -> Others:
    """The collections of a folder; empty where there are none.

    Raises:
        SiteError: a file is not a collection of external facts.
    """
    board = facts.records(folder / "leaderboard.json")
    rows = tuple(_row(item) for item in board if item.get("grade") == "external" and "stated" in item["claim"])
    known = [item for item in facts.records(folder / "archives.json") if item.get("kind") == "anatomy"]
    anatomies = tuple(found for item in known if (found := _anatomy(item)))
    findings = tuple(
        (facts.text(item, "trap"), facts.text(item, "says"), facts.source(item))
        for item in facts.records(folder / "findings.json", "findings")
    )
    runs = tuple(_run(item) for item in facts.records(folder / "comma-lab-runs.json") if item.get("kind") == "run")
    return Others(
        rows=tuple(sorted(rows, key=lambda row: row.rank)),
        anatomies=tuple(sorted(anatomies, key=lambda item: item.n_bytes)),
        findings=findings,
        runs=tuple(sorted(runs, key=lambda run: run.number)),
        chart=_chart(rows),
    )


def _row(item: Mapping[str, Any]) -> BoardRow:
    stated, n_bytes = item["facts"], item.get("archive_bytes")
    url = facts.text(stated, "url")
    return BoardRow(
        title=facts.text(item, "title"),
        rank=int(stated.get("rank") or 0),
        pr=int(item.get("pr") or 0),
        stated=float(item["claim"]["stated"]),
        n_bytes=int(n_bytes) if n_bytes else None,
        url=url if url.startswith("https://github.com/") else "",
    )


def _run(item: Mapping[str, Any]) -> Run:
    stated, claim = item["facts"], item["claim"]
    return Run(
        title=facts.text(item, "title"),
        number=int(stated.get("n") or 0),
        verdict=facts.text(stated, "verdict"),
        stated=f"{claim['stated']:.{claim.get('stated_places', 2)}f}",
        total=claim.get("recomputed"),
        n_bytes=int(item["archive_bytes"]),
        axis=facts.text(item, "axis"),
        parent=inert(str(stated.get("parent_run_id") or "")),
        changed=inert(", ".join(map(str, stated.get("changed_axis") or ()))),
        grade=facts.text(item, "grade"),
        source=facts.source(item),
    )


def _anatomy(item: Mapping[str, Any]) -> Anatomy | None:
    stated, n_bytes = item["facts"], item.get("archive_bytes")
    streams = tuple(
        (facts.text(part, "name"), int(part["bytes"]), facts.text(part, "encoding"))
        for part in stated.get("streams", ())
        if isinstance(part.get("bytes"), int)
    )
    rest = int(n_bytes or 0) - sum(size for _, size, _ in streams)
    if not n_bytes or len(streams) < 2 or not 0 <= rest <= n_bytes / 2:
        return None
    parts = [
        (float(size), f"tone tone-{index % 8}", f"{name}: {show.byte_count(size)} bytes")
        for index, (name, size, _) in enumerate(streams)
    ]
    parts += [(float(rest), "unread", f"not explained: {show.byte_count(rest)} bytes")] if rest else []
    title = facts.text(item, "title")
    bar = charts.bar(
        parts, float(n_bytes), label=f"{title}: {len(streams)} streams of {show.byte_count(n_bytes)} bytes"
    )
    return Anatomy(title=title, n_bytes=int(n_bytes), streams=streams, rest=rest, bar=bar)


def _chart(rows: tuple[BoardRow, ...]) -> Figure | None:
    known = [row for row in rows if row.n_bytes]
    if len(known) < 2:
        return None
    best = sorted(known, key=lambda row: row.stated)[:NAMED_ROWS]
    low, high = best[0], max(known, key=lambda row: row.stated)
    marks = tuple(
        Mark(
            x=float(row.n_bytes or 0),
            y=row.stated,
            kind="external",
            tip=f"{row.title}: stated {row.stated}, {show.byte_count(row.n_bytes or 0)} bytes, external",
            href=row.url,
            name=row.title if row in best or row is high else "",
        )
        for row in known
    )
    chart = Chart(
        key="public-board",
        title="The public board: stated score against archive bytes",
        x=svg.padded((float(row.n_bytes or 0) for row in known), "archive, bytes (log scale)", log=True),
        y=svg.padded((row.stated for row in known), "score as stated, another contract", log=True),
        marks=marks,
    )
    finding = Markup(
        "{} of {} rows of the public board have a known archive size. The lowest stated score is {} ({}), "
        'with {} bytes. <span class="signature">another contract, mixed axes, grade external: not comparable with '
        "any run of this lab</span>"
    ).format(len(known), len(rows), low.stated, low.title, show.byte_count(low.n_bytes or 0))
    return Figure(
        key=chart.key,
        title="The public board, as stated",
        finding=finding,
        drawings=(charts.both(chart),),
        columns=("rank", "entry", "score as stated", "bytes"),
        rows=tuple(
            (
                Cell(text=str(row.rank)),
                Cell(text=row.title, href=row.url),
                Cell(text=str(row.stated), sort=row.stated),
                Cell(text=show.byte_count(row.n_bytes) if row.n_bytes else "not stated"),
            )
            for row in rows
        ),
        legend=(("external", "row of the public board"),),
        table_title="All rows of the board",
    )
