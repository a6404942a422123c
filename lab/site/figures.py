"""The figures of a board, each described from its runs: score against bytes, trajectory, the three terms.

Captions are in `captions`.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from lab.site import captions, charts, lineage, svg
from lab.site import format as show
from lab.site.book import Board, Entry
from lab.site.charts import Cell, Chart, Figure, Line, Mark
from lab.site.index import LONG

VERDICTS = {"promoted": "promoted", "rejected": "rejected", "open": "open"}
TERMS = (("segnet", "SegNet"), ("posenet", "PoseNet"), ("rate", "rate"))
LINES = {
    "frontier-line": "best of this size or smaller",
    "floor": "rate term alone: the floor",
    "main-line": "line of the frontier",
    "other-line": "lines of the other families",
    "side-branch": "tried and left",
}
OFF_SCALE = 2.5
MARK_LIMIT, LONG_MARK_LIMIT = 400, 50
BRANCH_LIMIT = 24
BRANCH_SPACING = 0.17


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """One stacked bar with its label."""

    entry: Entry
    role: str
    drawing: Markup
    values: tuple[tuple[str, str, float, float], ...]


def tip(entry: Entry) -> str:
    """What a chart says of a run: slug, verdict, score and bytes."""
    return f"{entry.slug}: {entry.run.verdict}, score {show.score(entry.total)}, {show.byte_count(entry.n_bytes)} bytes"


def score_vs_bytes(board: Board, *, focus: bool = False) -> Figure | None:
    """Every run of a board, bytes against score, and the line of the best; None without runs. It is drawn once.

    Args:
        focus: only the better half, on scales of its own.
    """
    key = "focus" if focus else "score-vs-bytes"
    if key not in board.drawn:
        board.drawn[key] = _score_vs_bytes(board, focus)
    figure: Figure | None = board.drawn[key]
    return figure


def _score_vs_bytes(board: Board, focus: bool) -> Figure | None:
    entries = _drawn(_better_half(board) if focus else board.entries, board)
    best, start = board.frontier, board.start
    if not entries or best is None:
        return None
    limit = OFF_SCALE * sorted(entry.total for entry in entries)[len(entries) // 2]
    shown = [entry for entry in entries if entry.total <= limit]
    x = svg.padded((entry.n_bytes for entry in entries), "archive, bytes (log scale)", log=True)
    y = svg.padded((entry.total for entry in shown), "score, lower is better", floor=None if focus else 0.0)
    beyond = sorted((e for e in entries if e.total > y.hi), key=lambda e: (-e.total, e.id))
    named = {best.id, *([start.id] if start and not focus else []), *(entry.id for entry in beyond)}
    named |= {entry.id for entry in board.families}
    if focus:
        named |= {entry.id for entry in board.pareto}
    price = board.contract.formula.byte_price(board.contract.source.bytes)
    lines = [_rate_floor(x, y, price), Line(points=_staircase(board, x, y), kind="frontier-line", step=True)]
    chart = Chart(
        key=f"{'focus' if focus else 'score-vs-bytes'}-{charts.anchor(board.axis)}",
        title=f"Score against archive bytes{', the better half' if focus else ''}, {board.contract.name}, {board.axis}",
        x=x,
        y=y,
        marks=tuple(_mark(entry, best, entry.n_bytes, named) for entry in entries),
        lines=tuple(line for line in lines if line.points),
    )
    return Figure(
        key=chart.key,
        title="The better half, closer" if focus else "Score against archive bytes",
        finding=captions.focus(board, entries, best)
        if focus
        else captions.every_run(board, best, start, beyond, price),
        drawings=(charts.both(chart),),
        columns=("run", "verdict", "bytes", "score", "SegNet term", "PoseNet term", "rate term", "grade"),
        rows=tuple(_row(entry) for entry in sorted(entries, key=lambda e: (e.total, e.id))),
        legend=_legend(entries, [(line.kind, LINES[line.kind]) for line in chart.lines]),
    )


def trajectory(board: Board) -> Figure | None:
    """How each codec family came to its best run, and what was tried; None without a frontier. It is drawn once."""
    if "trajectory" not in board.drawn:
        board.drawn["trajectory"] = _trajectory(board)
    figure: Figure | None = board.drawn["trajectory"]
    return figure


def _trajectory(board: Board) -> Figure | None:
    chains = lineage.lines(board)
    if not chains or board.frontier is None:
        return None
    best = board.frontier
    depth = {step.entry.id: index for chain in chains for index, step in enumerate(chain)}
    steps = {step.entry.id: step for chain in chains for step in chain}
    many = sum(min(BRANCH_LIMIT, len(step.branches)) for step in steps.values()) > MARK_LIMIT
    room = max(1, 2 * LONG_MARK_LIMIT // len(steps)) if many else BRANCH_LIMIT
    near = {key: _nearest(step.branches, room) for key, step in steps.items()}
    places, end = _places(depth, near)
    around = sorted(entry.total for step in steps.values() for entry in (step.entry, *step.branches))
    limit = max(max(step.entry.total for step in steps.values()), OFF_SCALE * around[len(around) // 2])
    kinds = ["main-line", *["other-line"] * (len(chains) - 1)]
    drawn = [
        Line(points=tuple((places[i], step.entry.total) for i, step in enumerate(chain)), kind=kind)
        for chain, kind in zip(chains, kinds, strict=True)
        if len(chain) > 1
    ]
    named = {chain[-1].entry.id for chain in chains} | {chain[0].entry.id for chain in chains}
    marks: list[Mark] = []
    for key, step in steps.items():
        at = places[depth[key]]
        for index, branch in enumerate(near[key], 1):
            across = at + BRANCH_SPACING * index + 0.1
            drawn.append(Line(points=((at, step.entry.total), (across, branch.total)), kind="side-branch"))
            marks.append(_mark(branch, best, across, set()))
        marks.append(_mark(step.entry, best, at, named))
    y = svg.padded([total for total in around if total <= limit], "score, lower is better")
    beyond = [mark for mark in marks if mark.y > y.hi]
    marks = [replace(mark, name=mark.tip.partition(":")[0]) if mark in beyond else mark for mark in marks]
    chart = Chart(
        key=f"trajectory-{charts.anchor(board.axis)}",
        title=f"Lines of descent and side branches, {board.contract.name}, {board.axis}",
        x=svg.Axis(label="step on the line", lo=places[0] - 0.45, hi=end + 0.45),
        y=y,
        marks=tuple(marks),
        lines=tuple(drawn),
        x_ticks=tuple((at, str(i)) for i, at in enumerate(places, 1)),
    )
    everything = [entry for step in steps.values() for entry in (step.entry, *step.branches)]
    return Figure(
        key=chart.key,
        title="Trajectory and branch points",
        finding=captions.trajectory(chains, steps, best, y.hi),
        drawings=(charts.both(chart),),
        columns=("step", "run", "family", "changed axis", "score", "bytes", "verdict"),
        rows=tuple(
            _step_row(step, depth[key] + 1, entry)
            for key, step in steps.items()
            for entry in (step.entry, *step.branches)
        ),
        legend=_legend(everything, [(kind, LINES[kind]) for kind in dict.fromkeys(line.kind for line in drawn)]),
    )


def _step_row(step: lineage.Step, number: int, entry: Entry) -> tuple[Cell, ...]:
    return (
        Cell(text=str(number) if entry is step.entry else f"tried from {number}"),
        Cell(text=entry.slug, href=entry.url),
        Cell(text=entry.run.family),
        Cell(text=str(entry.data["recipe"]["changed"]) or "the start"),
        Cell(text=show.score(entry.total), sort=entry.total),
        Cell(text=show.byte_count(entry.n_bytes), sort=float(entry.n_bytes)),
        Cell(text=entry.run.verdict),
    )


def _places(depth: dict[str, int], near: dict[str, list[Entry]]) -> tuple[list[float], float]:
    """Where each step stands, with room behind it for what was tried from it, and where the last room ends."""
    room = [0] * (max(depth.values()) + 1)
    for key, branches in near.items():
        room[depth[key]] = max(room[depth[key]], len(branches))
    places, at = [], 1.0
    for count in room:
        places.append(at)
        at += max(1.0, BRANCH_SPACING * (count + 1) + 0.3)
    return places, places[-1] + (BRANCH_SPACING * room[-1] + 0.1 if room[-1] else 0.0)


def _nearest(branches: Sequence[Entry], room: int) -> list[Entry]:
    """The branches that are drawn, worst first; the table has all of them."""
    return sorted(branches, key=lambda entry: (entry.total, entry.id))[:room][::-1]


def _drawn(entries: Sequence[Entry], board: Board) -> list[Entry]:
    """At most `MARK_LIMIT` of the runs: the line of the best, the promoted ones, then the best of the others.

    A page of a long ledger has fewer marks yet, since each is an element that a browser must carry.
    """
    if len(entries) <= MARK_LIMIT:
        return list(entries)
    limit = LONG_MARK_LIMIT if len(board.entries) > LONG else MARK_LIMIT
    line = {entry.id for entry in board.pareto}
    return heapq.nsmallest(limit, entries, key=lambda e: (e.id not in line, e.run.verdict != "promoted", e.total, e.id))


def terms(entries: Sequence[Entry], roles: Sequence[str] = ()) -> list[BarRow]:
    """The three terms of each run as a stacked bar; all bars share one scale."""
    widest = max((entry.total for entry in entries), default=1.0)
    rows = []
    for index, entry in enumerate(entries):
        score = entry.run.score
        values = tuple(
            (kind, name, value, value / score.total if score.total else 0.0)
            for (kind, name), value in zip(TERMS, (score.segnet_term, score.posenet_term, score.rate_term), strict=True)
        )
        parts = [(value, f"term {kind}", f"{name} {show.score(value)}") for kind, name, value, _ in values]
        words = ", ".join(f"{name} {show.score(value)} ({show.percent(share)})" for _, name, value, share in values)
        drawing = charts.bar(parts, widest, label=f"{entry.slug}, score {show.score(entry.total)}: {words}")
        rows.append(
            BarRow(entry=entry, role=roles[index] if index < len(roles) else "", drawing=drawing, values=values)
        )
    return rows


def _better_half(board: Board) -> list[Entry]:
    ordered = list(board.ranked_first)
    return ordered[: max(4, (len(ordered) + 1) // 2)] if len(ordered) >= 6 else []


def _mark(entry: Entry, best: Entry, x: float, named: set[str]) -> Mark:
    return Mark(
        x=float(x),
        y=entry.total,
        kind=VERDICTS[entry.run.verdict],
        tip=tip(entry),
        href=entry.url,
        name=entry.slug if entry.id in named else "",
        best=entry is best,
        unranked=not entry.ranked,
    )


def _rate_floor(x: svg.Axis, y: svg.Axis, price: float) -> Line:
    samples = [x.lo * (x.hi / x.lo) ** (i / 48) for i in range(49)]
    return Line(points=tuple((n, n * price) for n in samples if y.holds(n * price)), kind="floor")


def _staircase(board: Board, x: svg.Axis, y: svg.Axis) -> tuple[tuple[float, float], ...]:
    line = [(float(e.n_bytes), e.total) for e in board.pareto if x.holds(e.n_bytes) and y.holds(e.total)]
    return (*line, (x.hi, line[-1][1])) if line else ()


def _legend(entries: Sequence[Entry], lines: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    counts = [(kind, sum(entry.run.verdict == kind for entry in entries)) for kind in VERDICTS]
    return (*((kind, f"{kind} ({count})") for kind, count in counts if count), *lines)


def _row(entry: Entry) -> tuple[Cell, ...]:
    score = entry.run.score
    return (
        Cell(text=entry.slug, href=entry.url),
        Cell(text=entry.run.verdict),
        Cell(text=show.byte_count(entry.n_bytes), sort=float(entry.n_bytes)),
        *(
            Cell(text=show.score(value), sort=value)
            for value in (score.total, score.segnet_term, score.posenet_term, score.rate_term)
        ),
        Cell(text=entry.run.grade),
    )
