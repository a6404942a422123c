"""The figures of a board, each described from its runs: score against bytes, trajectory, the three terms.

A caption states what the data says, computed from it, and ends with the run and its grade.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lab.site import charts, lineage, svg
from lab.site import format as show
from lab.site.book import Board, Entry
from lab.site.charts import Cell, Chart, Figure, Line, Mark

VERDICTS = {"promoted": "promoted", "rejected": "rejected", "open": "open"}
TERMS = (("segnet", "SegNet"), ("posenet", "PoseNet"), ("rate", "rate"))
LINES = {
    "frontier-line": "best of this size or smaller",
    "floor": "rate term alone: the floor",
    "main-line": "main line",
    "side-branch": "tried and left",
}
OFF_SCALE = 2.5
MARK_LIMIT = 400
BRANCH_LIMIT = 24
BRANCH_SPACING = 0.17


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """One stacked bar with its label."""

    entry: Entry
    role: str
    drawing: Markup
    values: tuple[tuple[str, str, float, float], ...]


def link(entry: Entry) -> Markup:
    """A link to a run by its recipe's slug."""
    return Markup('<a href="{}">{}</a>').format(entry.url, entry.slug)


def signature(entry: Entry) -> Markup:
    """Run id, grade and axis: how every caption ends."""
    return Markup('<span class="signature"><a href="{}">{}</a>, grade {}, {}</span>').format(
        entry.url, entry.id, entry.run.grade, entry.run.axis
    )


def tip(entry: Entry) -> str:
    """What a chart says of a run: slug, verdict, score and bytes."""
    return f"{entry.slug}: {entry.run.verdict}, score {show.score(entry.total)}, {show.byte_count(entry.n_bytes)} bytes"


def score_vs_bytes(board: Board, *, focus: bool = False) -> Figure | None:
    """Every run of a board, bytes against score, and the line of the best; None without runs.

    Args:
        focus: only the better half, on scales of its own.
    """
    entries = _drawn(_better_half(board) if focus else board.entries, board)
    best, start = board.frontier, board.start
    if not entries or best is None:
        return None
    limit = OFF_SCALE * sorted(entry.total for entry in entries)[len(entries) // 2]
    shown = [entry for entry in entries if entry.total <= limit]
    beyond = [entry for entry in entries if entry.total > limit]
    x = svg.padded((entry.n_bytes for entry in entries), "archive, bytes (log scale)", log=True)
    y = svg.padded((entry.total for entry in shown), "score, lower is better", floor=None if focus else 0.0)
    named = {best.id, *([start.id] if start and not focus else []), *(entry.id for entry in beyond)}
    if focus:
        named |= {entry.id for entry in lineage.pareto(board)}
    price = board.contract.formula.byte_price(board.contract.source.bytes)
    lines = [_rate_floor(x, y, price), Line(points=_staircase(board, x, y), kind="frontier-line", step=True)]
    chart = Chart(
        key=f"{'focus' if focus else 'score-vs-bytes'}-{board.axis}",
        title=f"Score against archive bytes, {board.contract.name}, {board.axis}",
        x=x,
        y=y,
        marks=tuple(_mark(entry, best, entry.n_bytes, named) for entry in entries),
        lines=tuple(line for line in lines if line.points),
    )
    return Figure(
        key=chart.key,
        title="The better half, closer" if focus else "Score against archive bytes",
        finding=_focus_finding(board, entries, best) if focus else _finding(board, best, start, beyond, price),
        drawings=(charts.both(chart),),
        columns=("run", "verdict", "bytes", "score", "SegNet term", "PoseNet term", "rate term", "grade"),
        rows=tuple(_row(entry) for entry in sorted(entries, key=lambda e: (e.total, e.id))),
        legend=_legend(entries, [(line.kind, LINES[line.kind]) for line in chart.lines]),
    )


def trajectory(board: Board) -> Figure | None:
    """The frontier's ancestors in order, and what was tried from each of them; None without a frontier."""
    steps = lineage.main_line(board)
    if not steps or board.frontier is None:
        return None
    best = board.frontier
    totals = [step.entry.total for step in steps]
    around = sorted(totals + [branch.total for step in steps for branch in step.branches])
    limit = max(max(totals), OFF_SCALE * around[len(around) // 2])
    y = svg.padded([total for total in around if total <= limit], "score, lower is better")
    places, end = _places(steps)
    x = svg.Axis(label="step on the main line", lo=places[0] - 0.45, hi=end + 0.45)
    marks, lines = [], [Line(points=tuple(zip(places, totals, strict=True)), kind="main-line")]
    for at, step in zip(places, steps, strict=True):
        for index, branch in enumerate(_nearest(step.branches), 1):
            across = at + BRANCH_SPACING * index + 0.1
            lines.append(Line(points=((at, step.entry.total), (across, branch.total)), kind="side-branch"))
            marks.append(_mark(branch, best, across, set()))
    ends = {best.id, steps[0].entry.id}
    marks += [_mark(step.entry, best, at, ends) for at, step in zip(places, steps, strict=True)]
    chart = Chart(
        key=f"trajectory-{board.axis}",
        title=f"Main line and side branches, {board.contract.name}, {board.axis}",
        x=x,
        y=y,
        marks=tuple(marks),
        lines=tuple(lines),
        x_ticks=tuple((at, str(i)) for i, at in enumerate(places, 1)),
    )
    everything = [entry for step in steps for entry in (step.entry, *step.branches)]
    return Figure(
        key=chart.key,
        title="Trajectory and branch points",
        finding=_trajectory_finding(steps, best),
        drawings=(charts.both(chart),),
        columns=("step", "run", "changed axis", "score", "bytes", "verdict"),
        rows=tuple(
            (
                Cell(text=str(i) if entry is step.entry else f"tried from {i}", sort=None),
                Cell(text=entry.slug, href=entry.url),
                Cell(text=str(entry.data["recipe"]["changed"]) or "the start"),
                Cell(text=show.score(entry.total), sort=entry.total),
                Cell(text=show.byte_count(entry.n_bytes), sort=float(entry.n_bytes)),
                Cell(text=entry.run.verdict),
            )
            for i, step in enumerate(steps, 1)
            for entry in (step.entry, *step.branches)
        ),
        legend=_legend(everything, [(kind, LINES[kind]) for kind in dict.fromkeys(line.kind for line in lines)]),
    )


def _places(steps: tuple[lineage.Step, ...]) -> tuple[list[float], float]:
    """Where each step stands, with room behind it for what was tried from it, and where the last room ends."""
    places, at = [], 1.0
    for step in steps:
        places.append(at)
        at += max(1.0, BRANCH_SPACING * (len(_nearest(step.branches)) + 1) + 0.3)
    return places, max(places[-1], at - 1.0)


def _nearest(branches: Sequence[Entry]) -> list[Entry]:
    """The branches that are drawn, worst first; the table has all of them."""
    return sorted(branches, key=lambda entry: (entry.total, entry.id))[:BRANCH_LIMIT][::-1]


def _drawn(entries: Sequence[Entry], board: Board) -> list[Entry]:
    """At most `MARK_LIMIT` of the runs: the line of the best, the promoted ones, then the best of the others."""
    if len(entries) <= MARK_LIMIT:
        return list(entries)
    line = {entry.id for entry in lineage.pareto(board)}
    first = sorted(entries, key=lambda e: (e.id not in line, e.run.verdict != "promoted", e.total, e.id))
    return first[:MARK_LIMIT]


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
    ordered = sorted((entry for entry in board.entries if entry.ranked), key=lambda e: (e.total, e.id))
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
    line = [(float(e.n_bytes), e.total) for e in lineage.pareto(board) if x.holds(e.n_bytes) and y.holds(e.total)]
    return (*line, (x.hi, line[-1][1])) if line else ()


def _legend(entries: Sequence[Entry], lines: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    counts = [(kind, sum(entry.run.verdict == kind for entry in entries)) for kind in VERDICTS]
    return (*((kind, f"{kind} ({count})") for kind, count in counts if count), *lines)


def _finding(board: Board, best: Entry, start: Entry | None, beyond: list[Entry], price: float) -> Markup:
    text = Markup("{} holds the frontier with {} at {} bytes. ").format(
        link(best), show.score(best.total), show.byte_count(best.n_bytes)
    )
    if start and start.id != best.id:
        less = 1.0 - best.n_bytes / start.n_bytes
        text += Markup(
            "The first run on record, {}, needed {} bytes for {}: the frontier takes {} {} bytes and scores {} lower. "
        ).format(
            link(start),
            show.byte_count(start.n_bytes),
            show.score(start.total),
            show.percent(abs(less)),
            "fewer" if less > 0 else "more",
            show.score(start.total - best.total),
        )
    share = best.n_bytes * price / best.total
    text += Markup(
        "Bytes alone make {} of its score, the height of the dotted floor; the rest is distortion. "
        "No archive above {} bytes can beat it, however good. "
    ).format(show.percent(share), show.byte_count(best.total / price))
    if beyond:
        names = Markup(", ").join(Markup("{} ({})").format(link(e), show.score(e.total)) for e in beyond[:6])
        text += Markup("Beyond the upper edge: {}. ").format(names)
    unranked = sum(not entry.ranked for entry in board.entries)
    if unranked:
        text += Markup("Marks with a broken outline ({}) have no ranking grade. ").format(unranked)
    return text + signature(best)


def _focus_finding(board: Board, entries: list[Entry], best: Entry) -> Markup:
    line = [entry for entry in lineage.pareto(board) if entry in entries]
    worst = max(entry.total for entry in entries)
    text = Markup("{} runs lie within {} of the frontier. ").format(len(entries), show.score(worst - best.total))
    if len(line) > 1:
        small, price = line[0], (line[0].total - line[-1].total) / (line[-1].n_bytes - line[0].n_bytes)
        text += Markup("Along the line, from {} to {}, each further thousand bytes buys {} of score. ").format(
            link(small), link(line[-1]), show.score(1000 * price)
        )
    else:
        text += Markup("None of them is smaller than {}: it wins on bytes and on score. ").format(link(best))
    return text + signature(best)


def _trajectory_finding(steps: tuple[lineage.Step, ...], best: Entry) -> Markup:
    tried = sum(len(step.branches) for step in steps)
    text = Markup("{} steps lead to the frontier, {} other runs were tried from them. ").format(len(steps), tried)
    moved = [step for step in steps if step.delta is not None]
    if moved:
        turn = min(moved, key=lambda step: step.delta.total if step.delta else math.inf)
        assert turn.delta is not None
        text += Markup("The largest step is {} ({}): {} in score, most of it in the {} term. ").format(
            link(turn.entry), turn.entry.data["recipe"]["changed"], show.signed(turn.delta.total), turn.delta.driver
        )
    return text + signature(best)


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
