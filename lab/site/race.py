"""The *Race* page: own best against the public best, and the families of this lab against each other.

The public board stands under another contract, so scores are never put side by side: each line is a share of the
baseline of its own contract, over the number of entries that its side had handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from markupsafe import Markup

from lab.site import charts, svg
from lab.site import format as show
from lab.site.book import Board, Entry
from lab.site.captions import link, signature
from lab.site.charts import TONES, Band, Cell, Chart, Figure, Line, Mark
from lab.site.others import BoardRow

BASELINE, NOTHING_DONE = "baseline_fast", "no_compress"
_OWN, _PUBLIC = "own", "public"
_LEADS = (
    (_OWN, "band own-lead", "this lab ahead"),
    (_PUBLIC, "band public-lead", "the public board ahead"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """The figures of the page; `against` is None where no public board is on record."""

    against: Figure | None
    families: Figure


def load(board: Board | None, rows: Sequence[BoardRow]) -> Race | None:
    """The race of a board against the public rows; None where the board has no two ranked runs."""
    ranked = list(board.ranked) if board else []
    if board is None or board.start is None or len(ranked) < 2:
        return None
    return Race(against=_against(board, board.start, ranked, rows), families=_families(board, ranked))


def _against(board: Board, start: Entry, ranked: list[Entry], rows: Sequence[BoardRow]) -> Figure | None:
    base = next((row for row in rows if row.title == BASELINE), None)
    handed_in = sorted((row for row in rows if row.pr and row is not base and row.title != NOTHING_DONE), key=_order)
    if base is None or not handed_in:
        return None
    own = list(accumulate((entry.total / start.total for entry in ranked), min))
    public = list(accumulate((row.stated / base.stated for row in [base, *handed_in]), min))
    last = max(len(own), len(public))
    own += [own[-1]] * (last - len(own))
    public += [public[-1]] * (last - len(public))
    best = min(ranked, key=lambda entry: (entry.total, entry.id))
    leader = min(handed_in, key=lambda row: row.stated)
    sides = _leaders(own, public)
    marks = [
        Mark(
            x=float(index),
            y=entry.total / start.total,
            kind="promoted",
            tip=f"{entry.slug}: {show.percent(entry.total / start.total)} of its baseline, entry {index}",
            href=entry.url,
            name=entry.slug if entry is best else "",
            best=entry is best,
        )
        for index, entry in enumerate(ranked, 1)
        if index == 1 or entry.total / start.total < own[index - 2]
    ]
    marks += [
        Mark(
            x=float(index),
            y=row.stated / base.stated,
            kind="external",
            tip=f"{row.title}: {show.percent(row.stated / base.stated)} of its baseline, entry {index}, external",
            href=row.url,
            name=row.title if row is leader else "",
        )
        for index, row in enumerate([base, *handed_in], 1)
        if index == 1 or row.stated / base.stated < public[index - 2]
    ]
    chart = Chart(
        key="race-public",
        title="Own best and public best, each as a share of its own baseline",
        x=svg.Axis(label="entries handed in so far", lo=1.0, hi=last + 1.0),
        y=svg.padded([*own, *public], "share of the baseline's score (log scale), lower is better", log=True),
        lines=(
            Line(points=tuple((float(i), value) for i, value in enumerate(public, 1)), kind="public-line", step=True),
            Line(points=tuple((float(i), value) for i, value in enumerate(own, 1)), kind="main-line", step=True),
        ),
        bands=tuple(_leads(sides, own, public)),
        marks=tuple(marks),
    )
    both = min(len(ranked), len(handed_in) + 1)
    finding = Markup(
        "After {} entries each, this lab stood at {} of its baseline and the public board at {}. {} stands at {} "
        "now, after {}. {} Two contracts: ratios say how far each side came; scores are not compared. "
    ).format(
        both,
        show.percent(own[both - 1]),
        show.percent(public[both - 1]),
        link(best),
        show.percent(own[-1]),
        len(ranked),
        _lead_words(sides),
    )
    return Figure(
        key=chart.key,
        title="Own best against the public best",
        finding=finding + signature(best) + Markup('<span class="signature">; public rows: grade external</span>'),
        drawings=(charts.both(chart),),
        columns=("entry", "side", "who", "share of its baseline"),
        rows=tuple(_step(side, item) for item in marks for side in (_PUBLIC if item.kind == "external" else _OWN,)),
        legend=(
            ("main-line", "best of this lab"),
            ("public-line", "best of the public board, as stated"),
            *((kind, words) for side, kind, words in _LEADS if side in sides),
            ("promoted", "a new best of this lab"),
            ("external", "a new best of the public board"),
        ),
        table_title="Every new best",
    )


def _leaders(own: list[float], public: list[float]) -> list[str]:
    """Who is ahead after each entry; a tie stays with who was, and before anybody was, with who will be."""
    ahead = [_OWN if a < b else _PUBLIC if b < a else "" for a, b in zip(own, public, strict=True)]
    holder = next((side for side in ahead if side), _PUBLIC)
    return [holder := side or holder for side in ahead]


def _lead_words(sides: list[str]) -> str:
    changes = sum(1 for _ in groupby(sides)) - 1
    ahead = "This lab" if sides[-1] == _OWN else "The public board"
    return f"{ahead} led throughout." if changes == 0 else f"The lead changed {changes} times; {ahead.lower()} has it."


def _order(row: BoardRow) -> int:
    return row.pr


def _step(side: str, mark: Mark) -> tuple[Cell, ...]:
    name, _, _ = mark.tip.partition(":")
    return (
        Cell(text=show.byte_count(mark.x), sort=mark.x),
        Cell(text="this lab" if side == _OWN else "public board"),
        Cell(text=name, href=mark.href),
        Cell(text=show.percent(mark.y, 2), sort=mark.y),
    )


def _leads(sides: list[str], own: list[float], public: list[float]) -> list[Band]:
    """The areas between the lines, one for each stretch with one leader."""
    bands, at = [], 0
    for side, run in groupby(sides):
        count = len(list(run))
        points = [
            (float(i + 1), min(own[i], public[i]), max(own[i], public[i]))
            for i in range(at, min(at + count + 1, len(sides)))
        ]
        if len(points) == 1 or at + count == len(sides):
            points.append((points[-1][0] + 1.0, *points[-1][1:]))
        bands.append(Band(points=tuple(points), kind="own-lead" if side == _OWN else "public-lead"))
        at += count
    return bands


def _families(board: Board, ranked: list[Entry]) -> Figure:
    order = [best.run.family for best in board.families]
    places = {entry.id: index for index, entry in enumerate(ranked, 1)}
    lines, marks, leads, lows = [], [], [], []
    holder: Entry | None = None
    lowest: dict[str, Entry] = {}
    steps: dict[str, list[tuple[float, float]]] = {family: [] for family in order}
    for entry in ranked:
        family = entry.run.family
        if family not in lowest or entry.total < lowest[family].total:
            lowest[family] = entry
            lows.append(entry)
            steps[family].append((float(places[entry.id]), entry.total))
            first = holder is None or entry.total < holder.total
            if first and (holder is None or holder.run.family != family):
                leads.append(entry)
            holder = entry if first else holder
            marks.append(
                Mark(
                    x=float(places[entry.id]),
                    y=entry.total,
                    kind="promoted" if first else "open",
                    tip=f"{entry.slug}: {family}, score {show.score(entry.total)}, run {places[entry.id]}",
                    href=entry.url,
                    name=f"{family}: {entry.slug}" if entry in board.families else "",
                    best=entry is board.frontier,
                )
            )
    end = float(len(ranked) + 1)
    for tone, family in zip(TONES * 2, order, strict=False):
        points = (*steps[family], (end, steps[family][-1][1]))
        lines.append(Line(points=points, kind=tone, step=True))
    chart = Chart(
        key=f"race-families-{charts.anchor(board.axis)}",
        title=f"Best of each codec family so far, {board.contract.name}, {board.axis}",
        x=svg.Axis(label="ranked runs recorded so far", lo=0.0, hi=end),
        y=svg.padded([entry.total for entry in lowest.values()] + [y for s in steps.values() for _, y in s],
                     "score (log scale), lower is better", log=True),
        lines=tuple(lines),
        marks=tuple(marks),
    )  # fmt: skip
    finding = Markup("The lead passed through {} families: {}. ").format(
        len({entry.run.family for entry in leads}),
        Markup(", then ").join(
            Markup("{} with {} ({})").format(entry.run.family, link(entry), show.score(entry.total, 4))
            for entry in leads
        ),
    )
    best = board.families[0]
    return Figure(
        key=chart.key,
        title="Which family led, and when",
        finding=finding + signature(best),
        drawings=(charts.both(chart),),
        columns=("run no.", "run", "family", "score", "took the lead"),
        rows=tuple(
            (
                Cell(text=str(places[entry.id]), sort=float(places[entry.id])),
                Cell(text=entry.slug, href=entry.url),
                Cell(text=entry.run.family),
                Cell(text=show.score(entry.total), sort=entry.total),
                Cell(text="yes" if entry in leads else ""),
            )
            for entry in lows
        ),
        legend=(
            *((tone, family) for tone, family in zip(TONES * 2, order, strict=False)),
            ("promoted", "a new best of all"),
            ("open", "a new best of its family only"),
        ),
        table_title="Every new best of a family",
    )
