"""SVG by hand: scales, ticks, shapes and label placement. No colours here: classes, so that one stylesheet decides.

Coordinates are rounded to a tenth of a pixel, so two builds give the same bytes. No `style` attributes: the pages run
under a content policy that forbids them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from markupsafe import Markup

from lab.site.forms import marked, shown

CHARACTER_PX = 6.7  # mean advance of the 13 px label face, measured on digits and lower case
LABEL_PX = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis: what it shows, from where to where, linear or logarithmic."""

    label: str
    lo: float
    hi: float
    log: bool = False
    digits: int | None = None

    def place(self, value: float) -> float:
        """Where a value lies, 0 at `lo` and 1 at `hi`."""
        if self.log:
            return math.log(value / self.lo) / math.log(self.hi / self.lo)
        return (value - self.lo) / (self.hi - self.lo)

    def holds(self, value: float) -> bool:
        """Is a value inside?"""
        return self.lo <= value <= self.hi

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At most `most` round values inside, with their texts."""
        values = _log_ticks(self.lo, self.hi, most) if self.log else _linear_ticks(self.lo, self.hi, most)
        return [(value, short_number(value)) for value in values]


def padded(values: Iterable[float], label: str, *, log: bool = False, floor: float | None = None) -> Axis:
    """An axis that holds all values with some air around; `floor` pins its lower end."""
    numbers = sorted(values)
    lo, hi = (numbers[0], numbers[-1]) if numbers else (1.0, 2.0)
    if log:
        spread = max(math.log(hi / lo), 0.2)
        return Axis(label=label, lo=lo * math.exp(-0.09 * spread), hi=hi * math.exp(0.09 * spread), log=True)
    spread = (hi - lo) or abs(hi) * 0.2 or 1.0
    return Axis(label=label, lo=lo - 0.09 * spread if floor is None else floor, hi=hi + 0.09 * spread)


def _linear_ticks(lo: float, hi: float, most: int) -> list[float]:
    raw = (hi - lo) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0) if power * factor >= raw)
    first = math.ceil(lo / step - 1e-9)
    last = math.floor(hi / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _log_ticks(lo: float, hi: float, most: int) -> list[float]:
    """Round values, the roundest first, as long as none comes closer to another than an even spacing allows."""
    taken: list[float] = []
    powers = range(math.floor(math.log10(lo)), math.ceil(math.log10(hi)) + 1)
    gap = math.log(hi / lo) / (most + 1)
    for factor in (1.0, 2.0, 5.0, 1.5, 3.0, 7.0, 4.0, 6.0, 8.0, 9.0, 1.2, 2.5):
        for value in (factor * 10.0**power for power in powers):
            if lo <= value <= hi and all(abs(math.log(value / other)) >= gap for other in taken):
                taken.append(value)
    return sorted(taken)


def short_number(value: float) -> str:
    """A tick's text: 20k, 1.5M, 0.25."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}".replace("-", "−")


def number(value: float) -> str:
    """A coordinate."""
    return f"{value:.1f}".removesuffix(".0")


def tag(name: str, /, *content: str, **attributes: str | float | None) -> Markup:
    """One element. Attribute names: a trailing underscore is dropped, others become dashes; None leaves one out."""
    opening = name
    for key, value in attributes.items():
        if value is not None:
            said = number(value) if isinstance(value, float) else shown(value if type(value) is str else str(value))
            opening += f'{_attribute(key)}"{said}"'
    inner = "".join(map(shown, content))
    return marked(Markup, f"<{opening}>{inner}</{name}>" if inner else f"<{opening}/>")


@cache
def _attribute(key: str) -> str:
    return f" {key.rstrip('_').replace('_', '-')}="


def path(points: Sequence[tuple[float, float]], *, closed: bool = False) -> str:
    """Path data through points."""
    steps = [f"{'M' if index == 0 else 'L'}{number(x)} {number(y)}" for index, (x, y) in enumerate(points)]
    return "".join(steps) + ("Z" if closed else "")


def shape(kind: str, x: float, y: float, radius: float = 6.0) -> Markup:
    """A mark that is told apart by form as well as by colour: disc, diamond, square or triangle."""
    if kind == "promoted":
        return tag("circle", class_="mark promoted", cx=x, cy=y, r=radius)
    if kind == "open":
        side = radius * 1.6
        return tag("rect", class_="mark open", x=x - side / 2, y=y - side / 2, width=side, height=side)
    if kind == "external":
        low = y + radius * 0.8
        return tag(
            "path", class_="mark external", d=path([(x, y - radius), (x + radius, low), (x - radius, low)], closed=True)
        )
    r = radius * 1.12
    return tag("path", class_="mark rejected", d=path([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], closed=True))


def arrow_up(x: float, y: float, kind: str) -> Markup:
    """A mark beyond the upper edge: the value lies further up."""
    return tag("path", class_=f"mark off-scale {kind}", d=path([(x, y), (x + 7, y + 11), (x - 7, y + 11)], closed=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle that a label or mark takes."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Box) -> bool:
        """Do two boxes overlap?"""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def inside(self, other: Box) -> bool:
        """Does it lie wholly in another?"""
        return (
            self.x >= other.x
            and self.y >= other.y
            and self.x + self.width <= other.x + other.width
            and self.y + self.height <= other.y + other.height
        )


def text_width(text: str) -> float:
    """Estimated width of a label."""
    return len(text) * CHARACTER_PX


def place_label(
    text: str, x: float, y: float, taken: list[Box], frame: Box, clear: float = 0.0
) -> tuple[float, float, str] | None:
    """Baseline and anchor of a label beside a point, clear of what is taken and inside the frame; None if none fits.

    Args:
        clear: further distance from the point, for marks that are larger.
    """
    width = text_width(text)
    offsets = [(11.0, 4.5, "start"), (-11.0, 4.5, "end"), (0.0, -12.0, "middle"), (0.0, 22.0, "middle")]
    offsets += [(9.0, -9.0, "start"), (-9.0, -9.0, "end"), (9.0, 18.0, "start"), (-9.0, 18.0, "end")]
    offsets += [(9.0, -24.0, "start"), (-9.0, -24.0, "end"), (9.0, 33.0, "start"), (-9.0, 33.0, "end")]
    shift = {"start": 0.0, "end": 1.0, "middle": 0.5}
    for right, down, anchor in offsets:
        dx, dy = (
            right + math.copysign(clear, right) * (right != 0),
            down + math.copysign(clear, down - 4.5) * (right == 0),
        )
        left = x + dx - shift[anchor] * width
        box = Box(x=left - 2, y=y + dy - LABEL_PX + 3, width=width + 4, height=LABEL_PX)
        if box.inside(frame) and not any(box.meets(other) for other in taken):
            taken.append(box)
            return x + dx, y + dy, anchor
    return None
