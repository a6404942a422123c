"""From relative error and bytes to a band of scores, or a refusal by name.

The refusals are the point. A published search predicted 0.155 to 0.180 for a four-bit repack and measured 1.4287: its
curve had been drawn through two anchors below a quarter of a percent and read at seven. Every rule here would have
stopped it.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.contract import Contract
from lab.errors import SearchError
from lab.search.anchors import Anchor, distortion
from lab.search.curves import PowerLaw, fit
from lab.search.proxy import Proxy, calibrate

FEWEST_ANCHORS = 3
MARGIN = 0.2
"""Share of the anchors' range of errors by which a candidate may lie outside of it."""
NEEDS_PROXY = 1.0
"""Relative error in percent above which the curve of totals alone is not believed."""
HALF_WIDTH = 0.05
"""Least half width of a band."""
NEAREST = 8
"""How many anchors, those of the nearest errors, say how far a prediction may be off."""


class Reason(StrEnum):
    """Why no band is given, in the order in which the rules are asked."""

    INSUFFICIENT_ANCHORS = "insufficient_anchors"
    EXTRAPOLATION = "extrapolation"
    HIGH_REL_ERR_WITHOUT_PROXY = "high_rel_err_without_proxy"
    CURVE_FIT_DEGENERATE = "curve_fit_degenerate"
    CURVE_FIT_NON_MONOTONE = "curve_fit_non_monotone"
    LOSSY_BETTER_THAN_LOSSLESS = "lossy_better_than_lossless_incoherent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No band, and why: the rule's name, and what was expected and found."""

    reason: Reason
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Where the total should land, the two components, and how far the prediction is calibrated.

    `confidence` is `calibrated_strong` (per-axis proxy), `calibrated_weak` (inside the anchors' range) or
    `extrapolation_risk` (in the margin outside of it).
    """

    low: float
    point: float
    high: float
    segnet: float
    posenet: float
    confidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Anchors of one lane, made ready once for many candidates; give them through `lane`.

    `misses` holds (error, predicted minus measured score) of lossy anchors, each predicted by the others, by error.
    """

    name: str
    anchors: tuple[Anchor, ...]
    contract: Contract
    proxy: Proxy | None
    curve: PowerLaw | None
    lowest: float
    highest: float
    lossless_score: float | None
    misses: tuple[tuple[float, float], ...]

    def half_width(self, rel_err: float) -> float:
        """Twice the root mean square of what the nearest lossy anchors are missed by, each left out of its curve."""
        at = bisect(self.misses, (rel_err, 0.0))
        around = self.misses[max(0, at - NEAREST) : at + NEAREST]
        near = sorted(around, key=lambda miss: (abs(math.log(miss[0] / max(rel_err, miss[0] * 1e-3))), miss))[:NEAREST]
        rms = math.sqrt(sum(miss * miss for _, miss in near) / len(near)) if near else 0.0
        return max(HALF_WIDTH, 2.0 * rms)

    def band(self, rel_err: float, archive_bytes: int) -> Band | Refusal:
        """A band for a candidate of this lane, or the first rule that refuses it.

        Args:
            rel_err: relative error of what the candidate codes, percent.
            archive_bytes: size of its archive.
        """
        refusal = self._refusal(rel_err)
        if refusal is not None:
            return refusal
        segnet, posenet = self.proxy.at(rel_err) if self.proxy else self._split(rel_err)
        if not (math.isfinite(segnet) and math.isfinite(posenet)):
            return Refusal(
                reason=Reason.EXTRAPOLATION,
                says=f"the proxy was calibrated up to {self.highest:g} %, not {rel_err:g} %",
            )
        point = self.contract.score(segnet=segnet, posenet=posenet, archive_bytes=archive_bytes).total
        outside = not self.lowest <= rel_err <= self.highest
        confidence = "calibrated_strong" if self.proxy else "calibrated_weak"
        half = self.half_width(rel_err)
        band = Band(
            low=point - half,
            point=point,
            high=point + half,
            segnet=segnet,
            posenet=posenet,
            confidence="extrapolation_risk" if outside else confidence,
        )
        if rel_err > 0.0 and self.lossless_score is not None and band.high < self.lossless_score:
            return Refusal(
                reason=Reason.LOSSY_BETTER_THAN_LOSSLESS,
                says=f"{band.high:.6f} at best for a lossy candidate, {self.lossless_score:.6f} measured without loss",
            )
        return band

    def _refusal(self, rel_err: float) -> Refusal | None:
        if len(self.anchors) < FEWEST_ANCHORS:
            return Refusal(
                reason=Reason.INSUFFICIENT_ANCHORS,
                says=f"{len(self.anchors)} anchors in lane {self.name!r}, {FEWEST_ANCHORS} are needed",
            )
        margin = MARGIN * (self.highest - self.lowest)
        if not self.lowest - margin <= rel_err <= self.highest + margin:  # NaN is outside as well
            return Refusal(
                reason=Reason.EXTRAPOLATION,
                says=f"error {rel_err:g} %, anchors from {self.lowest:g} to {self.highest:g} %, margin {margin:g}",
            )
        if rel_err > NEEDS_PROXY and self.proxy is None:
            return Refusal(
                reason=Reason.HIGH_REL_ERR_WITHOUT_PROXY,
                says=f"error {rel_err:g} % is above {NEEDS_PROXY:g} % and no proxy is calibrated",
            )
        if self.curve is None:
            return Refusal(reason=Reason.CURVE_FIT_DEGENERATE, says="fewer than two lossy anchors at different errors")
        if self.curve.b <= 0.0:
            return Refusal(
                reason=Reason.CURVE_FIT_NON_MONOTONE,
                says=f"distortion falls with the error (exponent {self.curve.b:.3f}): anchors of two lanes are mixed",
            )
        return None

    def _split(self, rel_err: float) -> tuple[float, float]:
        """Components whose terms share the curve's distortion as those of the nearest anchor that knows them do."""
        assert self.curve is not None
        terms = self.curve.at(rel_err)
        known = [anchor for anchor in self.anchors if anchor.segnet is not None and anchor.posenet is not None]
        formula = self.contract.formula
        share = 1.0
        if known:
            near = min(known, key=lambda anchor: (abs(anchor.rel_err - rel_err), anchor.label))
            assert near.segnet is not None
            total = distortion(near, self.contract)
            share = formula.segnet * near.segnet / total if total > 0.0 else 1.0
        pose_term = terms * (1.0 - share)
        return terms * share / formula.segnet, pose_term * pose_term / formula.posenet


def lane(name: str, anchors: Sequence[Anchor], contract: Contract, proxy: Proxy | None = None) -> Lane:
    """The lane of this name, its curve fitted once. Anchors of other lanes are left out."""
    own = tuple(anchor for anchor in anchors if anchor.lane == name)
    lossless = [anchor for anchor in own if anchor.lossless]
    floor = min((distortion(anchor, contract) for anchor in lossless), default=0.0)
    points = [(anchor.rel_err, distortion(anchor, contract)) for anchor in own if not anchor.lossless]
    errors = [anchor.rel_err for anchor in own]
    return Lane(
        name=name,
        anchors=own,
        contract=contract,
        proxy=proxy,
        curve=fit(points, floor),
        lowest=min(errors, default=math.nan),
        highest=max(errors, default=math.nan),
        # a source measured against itself has no archive: it pins the floor, and promises no score
        lossless_score=min((anchor.score for anchor in lossless if anchor.archive_sha256), default=None),
        misses=tuple(sorted(_misses(own, contract, floor))),
    )


def score_band(
    rel_err: float, archive_bytes: int, anchors: Sequence[Anchor], contract: Contract, proxy: Proxy | None = None
) -> Band | Refusal:
    """A band for one candidate from the anchors of its lane; `lane` serves many candidates faster.

    Raises:
        SearchError: anchors of several lanes.
    """
    names = sorted({anchor.lane for anchor in anchors})
    if len(names) > 1:
        raise SearchError("anchors", expected="one lane", found=", ".join(names), fix="split them by lane")
    return lane(names[0] if names else "", anchors, contract, proxy).band(rel_err, archive_bytes)


def _misses(own: Sequence[Anchor], contract: Contract, floor: float) -> Iterator[tuple[float, float]]:
    """(error, predicted minus measured) of each lossy anchor whose lane without it still has a curve that grows."""
    for anchor in own:
        others = [other for other in own if other is not anchor]
        if anchor.lossless:
            continue
        law = fit([(other.rel_err, distortion(other, contract)) for other in others if not other.lossless], floor)
        if law is None or law.b <= 0.0:
            continue
        proxy = calibrate(others)
        terms = law.at(anchor.rel_err)
        if proxy is not None:
            segnet, posenet = proxy.at(anchor.rel_err)
            free = contract.score(segnet=segnet, posenet=posenet, archive_bytes=1)
            terms = free.segnet_term + free.posenet_term
        if math.isfinite(terms):
            yield anchor.rel_err, terms - distortion(anchor, contract)
