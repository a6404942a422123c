"""The figure *who reads what*: the frames of a pair, the two networks, and how each answer is charged."""

from __future__ import annotations

from markupsafe import Markup

from lab.site import format as show
from lab.site import svg
from lab.site.book import Board
from lab.site.captions import signature
from lab.site.charts import Cell, Drawing, Figure
from lab.site.svg import tag

FRAMES = ("first frame", "last frame")
NETWORKS = (("PoseNet", "posenet", (0, 1)), ("SegNet", "segnet", (1,)))  # name, tone, frames that it reads
READS = (
    ("PoseNet", "both frames of a pair"),
    ("SegNet", "the last frame of a pair"),
    ("the archive", "all that the decoder is given"),
)
PITCH, BOX = 92.0, 46.0  # px from one row of boxes to the next, height of a box


def who_reads_what(board: Board) -> Figure | None:
    """Frames, networks and charges, with the terms of the frontier; None where a board has none."""
    best = board.frontier
    if best is None:
        return None
    formula, terms = board.contract.formula, best.run.score
    charges = (
        f"√({show.plain(formula.posenet)} × squared error)",
        f"{show.plain(formula.segnet)} × share of pixels",
        f"{show.plain(formula.rate)} × share of bytes",
    )
    finding = Markup(
        "PoseNet reads both frames of a pair, SegNet the last one alone. So a last frame has to carry the classes, and "
        "a first frame may look as it likes, as long as the two together move rightly. At the frontier the terms are "
        "{} for PoseNet, {} for SegNet and {} for the bytes. "
    ).format(*(show.score(term, 4) for term in (terms.posenet_term, terms.segnet_term, terms.rate_term)))
    return Figure(
        key="who-reads-what",
        title="Who reads what",
        finding=finding + signature(best),
        drawings=(Drawing(_drawing(charges, 760.0, wide=True), _drawing(charges, 380.0, wide=False)),),
        columns=("what", "reads", "charged as"),
        rows=tuple(
            (Cell(text=what), Cell(text=reads), Cell(text=charge))
            for (what, reads), charge in zip(READS, charges, strict=True)
        ),
    )


def _drawing(charges: tuple[str, ...], width: float, *, wide: bool) -> Markup:
    """Boxes in three columns, lines from what is read to who reads it and on to what it costs."""
    side = 150.0 if wide else 96.0
    middle, right = width * 0.36, width - (270.0 if wide else 150.0)
    at = [4.0 + PITCH * row for row in range(3)]
    parts: list[Markup] = []
    for row, (_, tone, reads) in enumerate(NETWORKS):
        for frame in reads:
            ends = [(side, at[frame] + BOX / 2), (middle, at[row] + BOX / 2)]
            parts.append(tag("path", class_=f"edge {tone}", d=svg.path(ends)))
        ends = [(middle + side * 0.66, at[row] + BOX / 2), (right, at[row] + BOX / 2)]
        parts.append(tag("path", class_=f"edge {tone}", d=svg.path(ends)))
    parts.append(tag("path", class_="edge rate", d=svg.path([(side, at[2] + BOX / 2), (right, at[2] + BOX / 2)])))
    for text, y in zip((*FRAMES, "archive"), at, strict=True):
        parts += _box(text, 1.0, y, side, "box")
    for (name, tone, _), y in zip(NETWORKS, at, strict=False):
        parts += _box(name, middle, y, side * 0.66, f"box {tone}")
    for text, y in zip(charges, at, strict=True):
        head, _, tail = text.partition(" × ") if not wide else (text, "", "")
        lines = [head + " ×", tail] if tail else [head]
        for line, words in enumerate(lines):
            low = y + BOX / 2 + 5 + (line - (len(lines) - 1) / 2) * 18
            parts.append(tag("text", words, class_="words", x=right + 8, y=low))
    return tag(
        "svg",
        tag("title", "PoseNet reads both frames of a pair, SegNet the last one; the archive is charged by its bytes"),
        *parts,
        class_=f"plot {'wide' if wide else 'narrow'}",
        viewBox=f"0 0 {svg.number(width)} {svg.number(at[2] + BOX + 4)}",
        role="img",
    )


def _box(text: str, x: float, y: float, width: float, kind: str) -> list[Markup]:
    words = tag("text", text, class_="words", x=x + width / 2, y=y + BOX / 2 + 5, text_anchor="middle")
    return [tag("rect", class_=kind, x=x, y=y, width=width, height=BOX, rx=3.0), words]
