"""What a figure of a board says in words: computed from its runs, ending with the run and its grade."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from lab.site import format as show
from lab.site import lineage
from lab.site.book import Board, Entry


def link(entry: Entry) -> Markup:
    """A link to a run by its recipe's slug."""
    return Markup('<a href="{}">{}</a>').format(entry.url, entry.slug)


def signature(entry: Entry) -> Markup:
    """Run id, grade and axis: how every caption ends."""
    return Markup('<span class="signature"><a href="{}">{}</a>, grade {}, {}</span>').format(
        entry.url, entry.id, entry.run.grade, entry.run.axis
    )


def every_run(board: Board, best: Entry, start: Entry | None, beyond: list[Entry], price: float) -> Markup:
    """Who holds the frontier, by how much, what share of its score bytes are, and what lies off the scale.

    Args:
        start: what results are quoted against.
        beyond: runs that the drawing shows at its edge.
        price: what one archive byte costs in score.
    """
    text = Markup("{} holds the frontier with {} at {} bytes. ").format(
        link(best), show.score(best.total, 4), show.byte_count(best.n_bytes)
    )
    if start and start.id != best.id:
        less = 1.0 - best.n_bytes / start.n_bytes
        text += Markup(
            "The baseline, {}, needed {} bytes for {}: the frontier takes {} {} bytes and scores {} lower. "
        ).format(
            link(start),
            show.byte_count(start.n_bytes),
            show.score(start.total, 4),
            show.percent(abs(less)),
            "fewer" if less > 0 else "more",
            show.score(start.total - best.total, 4),
        )
    share = best.n_bytes * price / best.total
    text += Markup(
        "Bytes alone make {} of its score, the height of the dotted floor; the rest is distortion. "
        "No archive above {} bytes can beat it, however good. "
    ).format(show.percent(share), show.byte_count(best.total / price))
    text += _beyond(beyond)
    unranked = len(board.entries) - len(board.ranked)
    if unranked:
        text += Markup("Marks with a broken outline ({}) have no ranking grade. ").format(unranked)
    return text + signature(best)


def terms(entries: Sequence[Entry]) -> Markup:
    """Which of some runs is best and which worst, by which term they differ most."""
    best = min(entries, key=lambda entry: (entry.total, entry.id))
    worst = max(entries, key=lambda entry: (entry.total, entry.id))
    if best is worst:
        return signature(best)
    moved = lineage.delta(best, worst)
    return Markup("{} is lowest with {}, {} less than {}, most of it in the {} term. ").format(
        link(best), show.score(best.total, 4), show.score(-moved.total, 4), link(worst), moved.driver
    ) + signature(best)


def _beyond(entries: Sequence[Entry]) -> Markup:
    """Names and scores of what a drawing shows at its edge, the furthest first; empty without any."""
    if not entries:
        return Markup("")
    names = Markup(", ").join(Markup("{} ({})").format(link(e), show.score(e.total, 4)) for e in entries[:6])
    rest = f" and {len(entries) - 6} more" if len(entries) > 6 else ""
    return Markup("Beyond the upper edge: {}{}. ").format(names, rest)


def focus(board: Board, entries: list[Entry], best: Entry) -> Markup:
    """How close the drawn runs lie, and what a byte buys along the line of the best."""
    line = [entry for entry in board.pareto if entry in entries]
    worst = max(entry.total for entry in entries)
    text = Markup("{} runs lie within {} of the frontier. ").format(len(entries), show.score(worst - best.total, 4))
    if len(line) > 1:
        small, price = line[0], (line[0].total - line[-1].total) / (line[-1].n_bytes - line[0].n_bytes)
        text += Markup("Along the line, from {} to {}, each further thousand bytes buys {} of score. ").format(
            link(small), link(line[-1]), show.score(1000 * price, 4)
        )
    else:
        text += Markup("None of them is smaller than {}: it wins on bytes and on score. ").format(link(best))
    return text + signature(best)


def trajectory(
    chains: list[tuple[lineage.Step, ...]], steps: dict[str, lineage.Step], best: Entry, edge: float
) -> Markup:
    """How long the way to the frontier was, what was tried on it, and its largest step.

    Args:
        chains: the line to the best run of each family, the frontier's first.
        steps: every step of every line, by run id.
        edge: the highest score that is drawn where it lies.
    """
    tried = sum(len(step.branches) for step in steps.values())
    count = len(chains[0])
    way = "The frontier starts a line of its own. " if count == 1 else f"A line of {count} runs leads to the frontier. "
    text = Markup(way)
    if len(chains) > 1:
        text += Markup("The best runs of {} families stand at the ends of their lines. ").format(len(chains))
    if tried:
        text += Markup("{} other runs were tried on the way. ").format(tried)
    moved = [step for step in steps.values() if step.delta is not None]
    if moved:
        turn = min(moved, key=lambda step: step.delta.total if step.delta else math.inf)
        assert turn.delta is not None
        text += Markup("The largest step is {} ({}): {} in score, most of it in the {} term. ").format(
            link(turn.entry), turn.entry.data["recipe"]["changed"], show.signed(turn.delta.total, 4), turn.delta.driver
        )
    drawn = {entry.id: entry for step in steps.values() for entry in (step.entry, *step.branches)}
    far = sorted((e for e in drawn.values() if e.total > edge), key=lambda e: (-e.total, e.id))
    return text + _beyond(far) + signature(best)
