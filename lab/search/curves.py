"""Power laws through a few measured points: y = floor + a * x ** b, by least squares in logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SMALLEST_EXCESS = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """A fitted law; `rms` is the root mean square residual in natural logarithms."""

    floor: float
    a: float
    b: float
    rms: float

    def at(self, x: float) -> float:
        """Value at a relative error, never below the floor."""
        return self.floor if x <= 0.0 else self.floor + self.a * x**self.b


def fit(points: Sequence[tuple[float, float]], floor: float) -> PowerLaw | None:
    """The law through points (x, y) with x > 0, or None where they do not decide one: fewer than two, or one x."""
    logs = [(math.log(x), math.log(max(y - floor, SMALLEST_EXCESS))) for x, y in points if x > 0.0]
    if len(logs) < 2:
        return None
    mean_x, mean_y = (sum(column) / len(logs) for column in zip(*logs, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    if spread < 1e-12:
        return None
    b = sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread
    a = mean_y - b * mean_x
    rms = math.sqrt(sum((y - a - b * x) ** 2 for x, y in logs) / len(logs))
    return PowerLaw(floor=floor, a=math.exp(min(a, 700.0)), b=b, rms=rms)
