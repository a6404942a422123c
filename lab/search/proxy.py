"""Distortion proxy: one power law for each network's answer over the anchors of a lane, and where it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.search.anchors import Anchor
from lab.search.curves import PowerLaw, fit

REACH = 5.0
"""The proxy answers up to this many times the largest relative error that it was calibrated on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Predicted components (segnet, posenet) of a relative error in percent; NaN outside of what it can say."""

    segnet: PowerLaw
    posenet: PowerLaw
    largest: float

    def at(self, rel_err: float) -> tuple[float, float]:
        """(segnet, posenet) at a relative error; (NaN, NaN) where it is negative, not finite or out of reach."""
        if not math.isfinite(rel_err) or rel_err < 0.0 or rel_err > REACH * self.largest:
            return math.nan, math.nan
        return self.segnet.at(rel_err), self.posenet.at(rel_err)


def calibrate(anchors: Sequence[Anchor]) -> Proxy | None:
    """A proxy from the anchors of one lane, or None.

    It asks for three anchors with components, one of them lossless and two lossy, at errors that differ, and for
    distortions that grow with the error.
    """
    known = [anchor for anchor in anchors if anchor.segnet is not None and anchor.posenet is not None]
    lossless = [anchor for anchor in known if anchor.lossless]
    lossy = [anchor for anchor in known if not anchor.lossless]
    if len(known) < 3 or not lossless or len(lossy) < 2:
        return None
    laws = []
    for name in ("segnet", "posenet"):
        floor = min(float(getattr(anchor, name)) for anchor in lossless)
        law = fit([(anchor.rel_err, float(getattr(anchor, name))) for anchor in lossy], floor)
        if law is None or law.b <= 0.0:
            return None
        laws.append(law)
    return Proxy(segnet=laws[0], posenet=laws[1], largest=max(anchor.rel_err for anchor in lossy))
