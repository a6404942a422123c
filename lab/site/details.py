"""The figures of a run or a contract: distortion of pairs, course of training, bytes of an archive, pixels read."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from lab.contract import Contract
from lab.site import charts, svg
from lab.site import format as show
from lab.site.book import Entry
from lab.site.captions import signature
from lab.site.charts import TONES, Cell, Chart, Drawing, Figure, Line, Mark
from lab.site.svg import tag
from lab.site.training import Candidate, Curve

WORST = 10
SHOWN_PIXELS = 9


def pairs(entry: Entry, shown_frames: int = 0) -> Figure | None:
    """Distortion of every pair in display order; None where it was not kept.

    Args:
        shown_frames: how many frames the comparison clip on the same page has; pairs among them link to it.
    """
    if not entry.pairs:
        return None
    count = len(entry.pairs)
    x = svg.Axis(label="pair (two frames)", lo=0.0, hi=float(count))
    drawings = []
    for column, (kind, name, unit) in enumerate(
        (("segnet", "SegNet", "pixels that change class, %"), ("posenet", "PoseNet", "squared error of the pose"))
    ):
        values = [pair[column] * (100.0 if kind == "segnet" else 1.0) for pair in entry.pairs]
        points = tuple((float(i), value) for i, value in enumerate(values)) + ((float(count), values[-1]),)
        y = svg.Axis(label=f"{name}: {unit}", lo=0.0, hi=(max(values) or 1.0) * 1.06)
        chart = Chart(
            key=f"pairs-{kind}-{entry.id}",
            title=f"{name} distortion of every pair, {entry.id}",
            x=x,
            y=y,
            lines=(Line(points=points, kind=f"area {kind}", step=True, filled=True),),
            wide=(960.0, 210.0),
            narrow=(380.0, 200.0),
        )
        drawings.append(charts.both(chart))
    order = sorted(range(count), key=lambda i: (-entry.pairs[i][1], i))[:WORST]
    return Figure(
        key=f"pairs-{entry.id}",
        title="Distortion of every pair",
        finding=_pairs_finding(entry),
        drawings=tuple(drawings),
        columns=("pair", "frames", "SegNet", "PoseNet"),
        rows=tuple(
            (
                Cell(text=str(i), sort=float(i)),
                Cell(text=f"{2 * i}, {2 * i + 1}", frame=2 * i + 1 if 2 * i + 1 < shown_frames else None),
                Cell(text=show.percent(entry.pairs[i][0], 3), sort=entry.pairs[i][0]),
                Cell(text=show.scientific(entry.pairs[i][1]), sort=entry.pairs[i][1]),
            )
            for i in order
        ),
        table_title=f"The {len(order)} pairs of the largest PoseNet distortion",
    )


def training(*entries: Entry) -> Figure | None:
    """The validated score of runs over their training; a single one with its running score. None without a log."""
    drawn = [(entry, entry.curve) for entry in entries if entry.curve is not None]
    if not drawn:
        return None
    alone = len(drawn) == 1
    lines: list[Line] = []
    marks: list[Mark] = []
    scores: list[float] = []
    tones = TONES if len(drawn) <= len(TONES) else ("other-line",) * len(drawn)
    for tone, (entry, curve) in zip(tones, drawn, strict=False):
        scores += [one.score for one in curve.candidates]
        if alone:
            lines.append(Line(points=tuple((float(s), score) for s, score in curve.running), kind="side-branch"))
            marks += [
                Mark(x=float(one.step), y=one.score, kind="open", tip=_candidate(one))
                for one in curve.candidates
                if one is not curve.best
            ]
        kind = "other-line" if alone else tone
        lines.append(Line(points=tuple((float(one.step), one.score) for one in curve.candidates), kind=kind))
        best = curve.best
        tip = f"{entry.slug}: {_candidate(best)}"
        href = "" if alone else entry.url
        name = "packed" if alone else entry.slug
        marks.append(Mark(x=float(best.step), y=best.score, kind="promoted", tip=tip, href=href, name=name))
    chart = Chart(
        key=f"training-{drawn[0][0].id}",
        title="Score over training, " + ", ".join(entry.slug for entry, _ in drawn),
        x=svg.Axis(label="steps", lo=0.0, hi=1.04 * max(curve.n_steps for _, curve in drawn) or 1.0),
        y=svg.padded(scores, _score_label([curve for _, curve in drawn])),
        lines=tuple(lines),
        marks=tuple(marks),
        wide=(960.0, 300.0),
        narrow=(380.0, 300.0),
    )
    legend = [("promoted", "the best one: what was packed")]
    if not alone and len(drawn) <= len(TONES):
        legend += [(tone, entry.slug) for tone, (entry, _) in zip(TONES, drawn, strict=False)]
    else:
        legend.insert(0, ("other-line", "candidates, decoded"))
    if alone:
        legend += [("open", "another candidate"), ("side-branch", "running estimate over the batches")]
    return Figure(
        key=chart.key,
        title="Score over training",
        finding=_training_finding(drawn),
        drawings=(charts.both(chart),),
        columns=("run", "steps", "candidate", "score"),
        rows=tuple(
            (
                Cell(text=entry.slug, href=entry.url),
                Cell(text=show.byte_count(one.step), sort=float(one.step)),
                Cell(text=one.name),
                Cell(text=show.score(one.score), sort=one.score),
            )
            for entry, curve in drawn
            for one in (curve.candidates if alone else (curve.best,))
        ),
        legend=tuple(legend),
    )


def _score_label(curves: Sequence[Curve]) -> str:
    without = sum(not curve.posed for curve in curves)
    if not without:
        return "score of the payload, lower is better"
    return "score without PoseNet's term" + ("" if without == len(curves) else " where training left it out")


def _candidate(one: Candidate) -> str:
    return f"{one.name} after {show.byte_count(one.step)} steps, score {show.score(one.score)}"


def _training_finding(drawn: Sequence[tuple[Entry, Curve]]) -> Markup:
    text = Markup("")
    if len(drawn) == 1:
        ((entry, curve),) = drawn
        first, best = curve.candidates[0], curve.best
        text += Markup("From {} at the first candidate to {} after {} of {} steps, in {} stages. ").format(
            show.score(first.score, 4),
            show.score(best.score, 4),
            show.byte_count(best.step),
            show.byte_count(curve.n_steps),
            len(curve.stages),
        )
        if best.step < 0.8 * curve.n_steps:
            text += Markup("Steps after the best candidate bought nothing. ")
        return text + signature(entry)
    order = sorted(drawn, key=lambda item: (item[1].best.score, item[0].id))
    text = Markup(
        "At the end of training {} stands lowest with {}, {} highest with {}; a payload's score leaves out the "
        "container around it. "
    )
    return text.format(
        order[0][0].slug,
        show.score(order[0][1].best.score, 4),
        order[-1][0].slug,
        show.score(order[-1][1].best.score, 4),
    ) + signature(order[0][0])


def units(entry: Entry) -> Figure | None:
    """Bytes of every unit of the section that has the most, in file order; None where a table has room for them."""
    crowd = entry.anatomy.crowd() if entry.anatomy else None
    if crowd is None:
        return None
    sizes = [float(part.n_bytes) for part in crowd.children]
    chart = Chart(
        key=f"units-{entry.id}",
        title=f"Bytes of every unit of {crowd.name}, {entry.id}",
        x=svg.Axis(label="unit, in file order", lo=0.0, hi=float(len(sizes))),
        y=svg.Axis(label="bytes", lo=0.0, hi=max(sizes) * 1.06),
        lines=(
            Line(
                points=(*((float(i), size) for i, size in enumerate(sizes)), (float(len(sizes)), sizes[-1])),
                kind="area bytes",
                step=True,
                filled=True,
            ),
        ),
        wide=(960.0, 210.0),
        narrow=(380.0, 200.0),
    )
    ordered = sorted(crowd.children, key=lambda part: (-part.n_bytes, part.offset))
    tenth = ordered[: max(1, round(len(ordered) / 10))]
    finding = Markup("The largest {} of {} units take {} of the bytes of {}. ").format(
        len(tenth), len(ordered), show.percent(sum(p.n_bytes for p in tenth) / crowd.n_bytes), crowd.name
    )
    return Figure(
        key=chart.key,
        title=f"Bytes of every unit of the {crowd.name} section",
        finding=finding + signature(entry),
        drawings=(charts.both(chart),),
        columns=("unit", "offset", "bytes"),
        rows=tuple(
            (
                Cell(text=part.name),
                Cell(text=show.byte_count(part.offset), sort=float(part.offset)),
                Cell(text=show.byte_count(part.n_bytes), sort=float(part.n_bytes)),
            )
            for part in ordered[:WORST]
        ),
        table_title=f"The {min(WORST, len(ordered))} largest units",
    )


def archive_bar(entry: Entry) -> Markup:
    """The bytes of an archive to scale, one piece per section."""
    assert entry.anatomy is not None
    parts = [
        (
            float(row.section.n_bytes),
            f"tone tone-{row.tone}",
            f"{row.section.name}: {show.byte_count(row.section.n_bytes)} bytes, {show.percent(row.share)}",
        )
        for row in entry.anatomy.leaves
    ]
    label = f"{show.byte_count(entry.anatomy.n_bytes)} bytes in {len(parts)} sections; the table below names them"
    return charts.bar(parts, float(entry.anatomy.n_bytes), label=label, height=54.0)


def taps(length: int, model: int) -> list[tuple[int, int]]:
    """The two camera pixels that each model pixel is interpolated from, along one side, without antialiasing."""
    scale = length / model
    first = [max(0, math.floor((i + 0.5) * scale - 0.5)) for i in range(model)]
    return [(at, min(at + 1, length - 1)) for at in first]


def receiver_grid(contract: Contract) -> Figure:
    """Which camera pixels the networks read: a strip of one row, drawn from the sizes of a contract."""
    (height, width), (model_height, model_width) = contract.frame_size, contract.model_size
    rows = {pixel for pair in taps(height, model_height) for pixel in pair}
    columns = {pixel for pair in taps(width, model_width) for pixel in pair}
    share = len(rows) * len(columns) / (height * width)
    read = taps(width, model_width)[:SHOWN_PIXELS]
    drawing = Drawing(_strip(read, 44.0, wide=True), _strip(read[:5], 38.0, wide=False))
    finding = Markup(
        "The networks' resize reads {} of {} rows and {} of {} columns, {} of the pixels of a frame. An aligned "
        "up-sampler writes each model pixel onto the camera pixels that are read for it; the empty ones are read by "
        "nobody and may hold anything. "
    ).format(len(rows), height, len(columns), width, show.percent(share))
    return Figure(
        key=f"receiver-grid-{contract.name}",
        title="What the networks read of a camera row",
        finding=finding + Markup('<span class="signature">from the sizes in contract {}</span>').format(contract.name),
        drawings=(drawing,),
        columns=("model pixel", "camera pixels read"),
        rows=tuple((Cell(text=str(i)), Cell(text=f"{a}, {b}")) for i, (a, b) in enumerate(read)),
    )


def _strip(read: list[tuple[int, int]], side: float, *, wide: bool) -> Markup:
    """Model pixels above, camera pixels below, lines from each to the two that it is read from."""
    count = read[-1][1] + 2
    owner = {pixel: index for index, pair in enumerate(read) for pixel in pair}
    width, top, low = count * side + 2, 26.0, 26.0 + 2.6 * side
    step = count / len(read)
    parts: list[Markup] = [
        tag("text", "model grid, what the networks see", class_="label", x=1.0, y=16.0),
        tag("text", "camera row, what a decoder writes", class_="label", x=1.0, y=low + side + 20),
    ]
    for pixel in range(count):
        tone = f"tone tone-{owner[pixel] % 8}" if pixel in owner else "unread"
        parts.append(tag("rect", class_=tone, x=1 + pixel * side, y=low, width=side - 2, height=side - 2))
    for index, pair in enumerate(read):
        left = 1 + (index + 0.5) * step * side - side / 2
        for pixel in pair:
            x = 1 + pixel * side + side / 2
            parts.append(tag("line", class_="thread", x1=left + side / 2, y1=top + side - 2, x2=x, y2=low))
        parts.append(tag("rect", class_=f"tone tone-{index % 8}", x=left, y=top, width=side - 2, height=side - 2))
    return tag(
        "svg",
        tag("title", "Each model pixel is interpolated from two neighbouring camera pixels; some are read by none"),
        *parts,
        class_=f"plot strip {'wide' if wide else 'narrow'}",
        viewBox=f"0 0 {svg.number(width)} {svg.number(low + side + 26)}",
        role="img",
    )


def _pairs_finding(entry: Entry) -> Markup:
    count = max(1, round(len(entry.pairs) / 10))
    text = Markup("")
    for column, name in enumerate(("SegNet", "PoseNet")):
        values = sorted((pair[column] for pair in entry.pairs), reverse=True)
        total = math.fsum(values)
        share = math.fsum(values[:count]) / total if total else 0.0
        worst = max(range(len(entry.pairs)), key=lambda i: (entry.pairs[i][column], -i))
        text += Markup("The worst {} of {} pairs carry {} of the {} distortion; the worst of all is pair {}. ").format(
            count, len(entry.pairs), show.percent(share), name, worst
        )
    return text + signature(entry)
