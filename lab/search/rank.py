"""Candidates in order of a Lagrangian: the predicted score and a price on every limit that is exceeded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lab.contract import Contract
from lab.search.anchors import Anchor
from lab.search.predict import Band, Lane, Refusal, lane
from lab.search.proxy import calibrate


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What could be run: a recipe with estimates of its relative error (percent) and its archive's size.

    `gate_passed` is False until the sanity gate has said otherwise; `cost_s` is the estimated machine time.
    """

    name: str
    lane: str
    rel_err: float
    archive_bytes: int
    cost_s: float = 0.0
    gate_passed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Soft limits of the three quantities and the price of exceeding each."""

    rate: float = 0.005
    posenet: float = 1e-4
    segnet: float = 1e-3
    price_rate: float = 1.0
    price_posenet: float = 1.0
    price_segnet: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A candidate with its prediction and its key; the key of a refused or gated candidate is infinite."""

    candidate: Candidate
    prediction: Band | Refusal
    key: float

    @property
    def eligible(self) -> bool:
        """Whether it may be dispatched."""
        return math.isfinite(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaLagrangianSearch:
    """Ranks any candidates on any anchors: the same input gives the same order, refused candidates come last.

    Args:
        anchors: measured results of any lanes; lanes do not mix.
        contract: whose formula and denominator score.
        limits: soft limits and their prices.
    """

    anchors: tuple[Anchor, ...]
    contract: Contract
    limits: Limits = field(default_factory=Limits)

    def lanes(self) -> Mapping[str, Lane]:
        """Every lane that has anchors, with a proxy where one can be calibrated."""
        names = sorted({anchor.lane for anchor in self.anchors})
        grouped = {name: [anchor for anchor in self.anchors if anchor.lane == name] for name in names}
        return {name: lane(name, own, self.contract, calibrate(own)) for name, own in grouped.items()}

    def rank(self, candidates: Iterable[Candidate]) -> list[Ranked]:
        """All candidates, best first; ties in order of their names."""
        lanes = dict(self.lanes())
        source_bytes = self.contract.source.bytes
        found = []
        for candidate in candidates:
            own = lanes.get(candidate.lane)
            if own is None:
                own = lanes[candidate.lane] = lane(candidate.lane, (), self.contract)
            prediction = own.band(candidate.rel_err, candidate.archive_bytes)
            key = math.inf
            if isinstance(prediction, Band) and candidate.gate_passed:
                key = self._key(prediction, candidate.archive_bytes / source_bytes)
            found.append(Ranked(candidate=candidate, prediction=prediction, key=key))
        return sorted(found, key=lambda row: (row.key, row.candidate.name))

    def top(self, candidates: Iterable[Candidate], count: int) -> list[Ranked]:
        """The best eligible candidates, at most `count`."""
        return [row for row in self.rank(candidates) if row.eligible][:count]

    def _key(self, band: Band, rate: float) -> float:
        limits = self.limits
        return (
            band.point
            + limits.price_rate * max(0.0, rate - limits.rate)
            + limits.price_posenet * max(0.0, band.posenet - limits.posenet)
            + limits.price_segnet * max(0.0, band.segnet - limits.segnet)
        )


def table(rows: Sequence[Ranked]) -> list[dict[str, object]]:
    """Rows for a terminal or a file: name, lane, estimates, band or refusal."""
    out: list[dict[str, object]] = []
    for place, row in enumerate(rows, 1):
        seen = row.prediction
        told = f"{seen.low:.4f} to {seen.high:.4f}" if isinstance(seen, Band) else f"refused: {seen.reason}"
        out.append(
            {
                "place": place if row.eligible else "-",
                "candidate": row.candidate.name,
                "lane": row.candidate.lane,
                "rel_err": row.candidate.rel_err,
                "bytes": row.candidate.archive_bytes,
                "band": told,
                "confidence": seen.confidence if isinstance(seen, Band) else "none",
                "says": "" if isinstance(seen, Band) else seen.says,
            }
        )
    return out
