"""What searches predicted, and what was then measured: one figure and one table for each search on record.

A journal of `ledgers/searches` holds every band as it was predicted before its run. What was measured is taken from
the run's own record, never from the journal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from lab.errors import SiteError
from lab.fields import ID
from lab.site import charts, sanitize, svg
from lab.site import format as show
from lab.site.book import Book, Entry
from lab.site.charts import Cell, Chart, Figure, Line, Mark
from lab.site.data import Content

SCHEMA, LIMIT_BYTES, ROWS = "lab.search/1", 8_000_000, 5_000
CAP_REACH = 0.22
WIDE, NARROW = (960.0, 360.0), (380.0, 360.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A predicted band and the run that followed it."""

    cycle: int
    entry: Entry
    low: float
    point: float
    high: float
    confidence: str

    @property
    def hit(self) -> bool:
        """Whether the run landed in its band."""
        return self.low <= self.entry.total <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search: its lane, where it began and ended, outcomes, refusals as (reason, count), and what it cost."""

    name: str
    lane: str
    before: Entry
    after: Entry
    cycles: int
    outcomes: tuple[Outcome, ...]
    refused: tuple[tuple[str, int], ...]
    ranked: int
    spent_s: float
    figure: Figure

    @property
    def hits(self) -> int:
        """Runs that landed in their band."""
        return sum(outcome.hit for outcome in self.outcomes)

    @property
    def miss(self) -> float:
        """Root mean square of measured minus predicted score."""
        return math.sqrt(sum((o.entry.total - o.point) ** 2 for o in self.outcomes) / len(self.outcomes))


def load(book: Book) -> tuple[list[Search], dict[str, Content]]:
    """Every search that has outcomes, and its journal as a file for machines.

    Raises:
        SiteError: a journal that cannot be read, or that names a run which is not on record.
    """
    found: list[Search] = []
    files: dict[str, Content] = {}
    for path in sorted((book.ledgers / "searches").glob("*.json")):
        where = f"searches/{sanitize.inert(path.name)}"
        try:
            if path.stat().st_size > LIMIT_BYTES:
                raise SiteError(where, expected=f"at most {LIMIT_BYTES:,} bytes", found="more")
            table = json.loads(path.read_text(encoding="utf-8"))
            search = _search(table, book, where, path.stem)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SiteError(where, expected="the journal of a search", found=str(error)[:200]) from None
        if search:
            found.append(search)
            files[f"data/searches/{path.stem}.json"] = path.read_bytes()
    return found, files


def _search(table: Mapping[str, Any], book: Book, where: str, name: str) -> Search | None:
    if table["schema"] != SCHEMA:
        raise SiteError(where, expected=f"schema {SCHEMA}", found=repr(table["schema"])[:60])
    shelf = next((shelf for shelf in book.shelves if shelf.contract.name == table["contract"]), None)
    rows = [(int(cycle["number"]), row) for cycle in table["cycles"] for row in cycle["rows"]]
    measured = [(number, row) for number, row in rows if "run" in row and "low" in row]
    if not ID.match(name) or len(rows) > ROWS:
        raise SiteError(
            where, expected=f"a name of a-z, 0-9, dot and dash, and at most {ROWS} rows", found=f"{len(rows)} rows"
        )
    if shelf is None or not measured:
        return None
    ends = [str(table["cycles"][0]["best_before"]), str(table["cycles"][-1]["best_after"])]
    missing = [name for name in (*ends, *(str(row["run"]) for _, row in measured)) if name not in shelf.by_id]
    if missing:
        raise SiteError(where, expected="runs that are on record", found=sanitize.inert(missing[0])[:80])
    outcomes = tuple(
        Outcome(
            cycle=number,
            entry=shelf.by_id[str(row["run"])],
            low=float(row["low"]),
            point=float(row["point"]),
            high=float(row["high"]),
            confidence=sanitize.inert(str(row["confidence"])),
        )
        for number, row in measured
    )
    reasons: dict[str, int] = {}
    for _, row in rows:
        if "refused" in row:
            reason = sanitize.inert(str(row["refused"]))
            reasons[reason] = reasons.get(reason, 0) + 1
    before, after = (shelf.by_id[end] for end in ends)
    return Search(
        name=name,
        lane=sanitize.inert(str(table["lane"])),
        before=before,
        after=after,
        cycles=len(table["cycles"]),
        outcomes=outcomes,
        refused=tuple(sorted(reasons.items())),
        ranked=len(rows),
        spent_s=sum(float(cycle["spent_s"]) for cycle in table["cycles"]),
        figure=_figure(name, outcomes, after),
    )


def _figure(name: str, outcomes: tuple[Outcome, ...], best: Entry) -> Figure:
    lines, marks, reached = [], [], []
    for place, outcome in enumerate(outcomes, 1):
        x = float(place)
        lines.append(Line(points=((x, outcome.low), (x, outcome.high)), kind="interval"))
        lines += [
            Line(points=((x - CAP_REACH, at), (x + CAP_REACH, at)), kind="interval")
            for at in (outcome.low, outcome.high)
        ]
        reached += [outcome.low, outcome.high, outcome.entry.total]
        marks.append(
            Mark(
                x=x,
                y=outcome.entry.total,
                kind=outcome.entry.run.verdict,
                tip=f"{outcome.entry.slug}: predicted {show.score(outcome.low)} to {show.score(outcome.high)}, "
                f"measured {show.score(outcome.entry.total)}",
                href=outcome.entry.url,
                best=outcome.entry is best,
                name=outcome.entry.slug if outcome.entry is best else "",
            )
        )
    numbers = [outcome.cycle for outcome in outcomes]
    starts = [place for place, number in enumerate(numbers, 1) if numbers.index(number) == place - 1]
    chart = Chart(
        key=f"calibration-{name}",
        title=f"Predicted bands and measured scores of {name}, in the order of asking",
        x=svg.Axis(label="", lo=0.4, hi=len(outcomes) + 0.6),
        y=svg.padded(reached, "score, lower is better"),
        marks=tuple(marks),
        lines=tuple(lines),
        wide=WIDE,
        narrow=NARROW,
        x_ticks=tuple((float(place), f"cycle {outcomes[place - 1].cycle}") for place in starts),
    )
    hits = sum(outcome.hit for outcome in outcomes)
    below = sum(outcome.entry.total < outcome.point for outcome in outcomes)
    said = "{} of {} runs landed in the band that was predicted before; {} of them below its middle. "
    signed = '<span class="signature"><a href="{}">{}</a>, grade {}, {}</span>'
    finding = Markup(said).format(hits, len(outcomes), below) + Markup(signed).format(
        best.url, best.id, best.run.grade, best.run.axis
    )
    return Figure(
        key=chart.key,
        title=f"{name}: band and outcome",
        finding=finding,
        drawings=(charts.both(chart),),
        columns=("cycle", "run", "changed", "predicted", "measured", "off by", "in the band", "confidence"),
        rows=tuple(_row(outcome) for outcome in outcomes),
        legend=(("interval", "predicted band"), ("promoted", "promoted"), ("rejected", "rejected")),
    )


def _row(outcome: Outcome) -> tuple[Cell, ...]:
    entry = outcome.entry
    return (
        Cell(text=str(outcome.cycle), sort=outcome.cycle),
        Cell(text=entry.slug, href=entry.url),
        Cell(text=str(entry.data["recipe"]["changed"])),
        Cell(text=f"{show.score(outcome.low)} to {show.score(outcome.high)}", sort=outcome.point),
        Cell(text=show.score(entry.total), sort=entry.total),
        Cell(text=show.signed(entry.total - outcome.point, 4), sort=entry.total - outcome.point),
        Cell(text="yes" if outcome.hit else "no"),
        Cell(text=outcome.confidence.replace("_", " ")),
    )
