"""What a run shows of what it sends: class maps, latents, poses, tails, and how it inflates."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from lab.errors import SiteError
from lab.site import charts, data, svg, training
from lab.site import format as show
from lab.site.book import Entry
from lab.site.captions import signature
from lab.site.charts import Cell, Chart, Figure, Line
from lab.site.data import Content

PICTURES = (
    ("class-maps.png", "Decoded class maps", "48 maps evenly spaced over the clip, in the palette of the classes"),
    (
        "triptych.png",
        "Original, class map, inflated",
        "the last frames of three pairs: source, decoded class map, decode",
    ),
    ("latents.png", "Latents", "one column per pair, one row per number; grey is zero, each row to a scale of its own"),
)
_POSE_LIMIT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One cell of the timeline of inflating: what happens, and the bytes that it reads (0: none)."""

    title: str
    text: str
    n_bytes: int = 0


def pictures(entry: Entry, files: Mapping[str, Content]) -> list[tuple[str, str, str, int, int]]:
    """(title, what it shows, address, width, height) of the pictures of its content that are published."""
    there = {item.name: item.path for item in entry.evidence if data.evidence_url(entry, item.name)[1:] in files}
    return [
        (title, what, data.evidence_url(entry, name), *training.picture_size(there[name].read_bytes()))
        for name, title, what in PICTURES
        if name in there
    ]


def poses(entry: Entry) -> Figure | None:
    """The first number of stream p over all frames; None without its table."""
    rows = _table(entry, "poses.csv")
    if not rows or not rows[0][1:]:
        return None
    values = [float(row[1]) for row in rows[1:]]
    if not values or len(values) > _POSE_LIMIT or not all(map(math.isfinite, values)):
        raise SiteError(f"{entry.id}, poses.csv", expected="finite numbers of every pair", found="others")
    points = tuple((float(pair), value) for pair, value in enumerate(values))
    chart = Chart(
        key=f"poses-{entry.id}",
        title=f"Dimension 0 of the pose stream, {entry.id}",
        x=svg.Axis(label="pair of frames", lo=0.0, hi=float(max(len(values) - 1, 1))),
        y=svg.padded(values, "standard deviations of the source's pose"),
        lines=(Line(points=points, kind="other-line"),),
        wide=(960.0, 260.0),
        narrow=(380.0, 240.0),
    )
    return Figure(
        key=chart.key,
        title="The pose stream, dimension 0",
        finding=Markup(
            "One of {} numbers per pair, as decoded: from {} in pair {} to {} in pair {}, and {} from one pair to the "
            "next in the root mean square. The renderer draws the first frame for them. "
        ).format(
            len(rows[0]) - 1,
            show.signed(min(values), 2),
            values.index(min(values)),
            show.signed(max(values), 2),
            values.index(max(values)),
            show.score(_roughness(values), 2),
        )
        + signature(entry),
        drawings=(charts.both(chart),),
        columns=("frames", "dimension 0"),
        rows=tuple(
            (
                Cell(text=f"{2 * pair}, {2 * pair + 1}", sort=float(pair)),
                Cell(text=show.score(value), sort=value),
            )
            for pair, value in enumerate(values)
        ),
        table_title="Every pair",
    )


def _roughness(values: Sequence[float]) -> float:
    """Root mean square of the steps from one value to the next."""
    steps = [(b - a) ** 2 for a, b in pairwise(values)]
    return math.sqrt(math.fsum(steps) / len(steps)) if steps else 0.0


def tails(entry: Entry) -> list[tuple[str, str, int, float, bool]]:
    """(tail, pairs acted on, bytes, measured change of the score with these bytes, admitted) of every tail tried."""
    rows = _table(entry, "tails.csv")
    try:
        return [(row[0], row[1], int(row[2]), float(row[5]), row[6] == "yes") for row in rows[1:]]
    except (ValueError, IndexError):
        raise SiteError(f"{entry.id}, tails.csv", expected="the rows of a search", found="others") from None


def timeline(entry: Entry) -> list[Step]:
    """How a payload of four streams inflates, in eight cells; empty for any other."""
    if entry.data["recipe"]["family"] != "semantic":
        return []
    sizes: dict[str, int] = {}
    for section in entry.anatomy.sections if entry.anatomy else ():
        sizes |= {inner.name: inner.n_bytes for inner in section.walk()}
    return [
        Step(title="unzip", text="one stored member", n_bytes=entry.n_bytes),
        Step(title="header", text="twelve bytes address four streams", n_bytes=12),
        Step(title="m", text="range decoder and mixing model: class maps, exact", n_bytes=sizes.get("m", 0)),
        Step(title="w", text="codes times steps: the renderer", n_bytes=sizes.get("w", 0)),
        Step(title="p, r", text="poses and actions", n_bytes=sizes.get("p", 0) + sizes.get("r", 0)),
        Step(title="last frames", text="drawn from the class map alone"),
        Step(title="first frames", text="drawn for their pose, then the actions"),
        Step(title="enlarge", text="aligned up-sampling to the camera's grid, raw frames out"),
    ]


def _table(entry: Entry, name: str) -> list[list[str]]:
    path = next((item.path for item in entry.evidence if item.name == name), None)
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8", errors="replace")))) if path else []
