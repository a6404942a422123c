"""A band only where anchors carry it; everything else is refused by name."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from lab import contract
from lab.contract import Contract
from lab.errors import SearchError
from lab.search.anchors import Anchor, append, checked, distortion, load
from lab.search.curves import fit
from lab.search.predict import Band, Reason, Refusal, lane, score_band
from lab.search.proxy import calibrate

# The public anchors of the repack search whose prediction missed, as published.
LOSSLESS = Anchor(lane="implicit/repack", label="as trained", rel_err=0.0, archive_bytes=186_239, score=0.20945673)
INT8 = Anchor(lane="implicit/repack", label="int8", rel_err=0.24, archive_bytes=187_731, score=0.21119)
INT4 = Anchor(lane="implicit/repack", label="int4", rel_err=7.09, archive_bytes=109_996, score=1.42866)


@pytest.fixture(scope="module")
def official() -> Contract:
    """The contest's formula and denominator."""
    return contract.load("comma-2026")


def grown(official: Contract, errors: tuple[float, ...], seg: float = 1e-4, pose: float = 1e-5) -> list[Anchor]:
    """Anchors on exact power laws: segnet 2e-4 + seg e^1.5, posenet 1e-5 + pose e^2."""
    made = []
    for err in errors:
        segnet, posenet = 2e-4 + seg * err**1.5, 1e-5 + pose * err**2
        n_bytes = round(180_000 * math.exp(-err / 4))
        total = official.score(segnet=segnet, posenet=posenet, archive_bytes=n_bytes).total
        made.append(
            Anchor(
                lane="implicit/w", label=f"e{err}", rel_err=err, archive_bytes=n_bytes, score=total, segnet=segnet,
                posenet=posenet, archive_sha256="5e" * 32,
            )
        )  # fmt: skip
    return made


def refused(found: Band | Refusal) -> Reason:
    assert isinstance(found, Refusal), found
    assert found.says
    return found.reason


def test_the_published_miss_is_refused(official: Contract) -> None:
    """Predicted 0.155 to 0.180, measured 1.4287: with the two anchors of that day, and with a third beside them."""
    assert refused(score_band(7.09, 109_996, [LOSSLESS, INT8], official)) is Reason.INSUFFICIENT_ANCHORS
    third = replace(INT8, label="int8 again", rel_err=0.31, score=0.2121)
    assert refused(score_band(7.09, 109_996, [LOSSLESS, INT8, third], official)) is Reason.EXTRAPOLATION
    assert refused(score_band(7.09, 109_996, [LOSSLESS, INT8, INT4], official)) is Reason.HIGH_REL_ERR_WITHOUT_PROXY


def test_rules_are_asked_in_their_order(official: Contract) -> None:
    anchors = grown(official, (0.0, 0.2, 0.5, 0.9))
    assert refused(score_band(1.09, 150_000, anchors, official)) is Reason.EXTRAPOLATION
    wide = grown(official, (0.0, 0.2, 0.5, 1.4))
    assert refused(score_band(1.2, 150_000, wide, official)) is Reason.HIGH_REL_ERR_WITHOUT_PROXY
    same = [anchors[0], anchors[1], replace(anchors[1], label="twice")]
    assert refused(score_band(0.2, 150_000, same, official)) is Reason.CURVE_FIT_DEGENERATE
    one = [anchors[0], replace(anchors[0], label="b"), anchors[1]]
    assert refused(score_band(0.1, 150_000, one, official)) is Reason.CURVE_FIT_DEGENERATE
    falling = [
        replace(anchors[0], label=f"f{err}", rel_err=err, score=score, segnet=None, posenet=None)
        for err, score in ((0.1, 0.30), (0.3, 0.25), (0.6, 0.21))
    ]
    assert refused(score_band(0.3, 170_000, falling, official)) is Reason.CURVE_FIT_NON_MONOTONE
    assert refused(score_band(0.2, 30_000, anchors, official)) is Reason.LOSSY_BETTER_THAN_LOSSLESS
    floor_only = [replace(anchors[0], archive_sha256=None), *anchors[1:]]
    assert isinstance(score_band(0.2, 30_000, floor_only, official), Band)


@pytest.mark.parametrize("err", [math.nan, math.inf, -0.3, -1e9])
def test_an_error_that_is_none_is_refused(official: Contract, err: float) -> None:
    assert refused(score_band(err, 150_000, grown(official, (0.0, 0.2, 0.5)), official)) is Reason.EXTRAPOLATION


def test_inside_its_range_a_law_is_found_again(official: Contract) -> None:
    anchors = grown(official, (0.0, 0.1, 0.3, 0.6, 0.9))
    proxy = calibrate(anchors)
    assert proxy is not None
    truth = grown(official, (0.45,))[0]
    strong = score_band(0.45, truth.archive_bytes, anchors, official, proxy)
    assert isinstance(strong, Band)
    assert strong.point == pytest.approx(truth.score, abs=1e-9)
    assert strong.confidence == "calibrated_strong"
    assert strong.high - strong.point == pytest.approx(0.05)
    weak = score_band(0.45, truth.archive_bytes, anchors, official)
    assert isinstance(weak, Band)
    assert weak.confidence == "calibrated_weak"
    assert weak.low < truth.score < weak.high
    edge = score_band(0.98, truth.archive_bytes, anchors, official, proxy)
    assert isinstance(edge, Band)
    assert edge.confidence == "extrapolation_risk"


def test_anchors_that_scatter_widen_the_band(official: Contract) -> None:
    anchors = grown(official, (0.0, 0.1, 0.3, 0.6, 0.9), seg=3e-3)
    noisy = [
        replace(anchor, score=anchor.score + 0.3 * (-1) ** k, segnet=None, posenet=None) if k else anchor
        for k, anchor in enumerate(anchors)
    ]
    tight, loose = (lane("implicit/w", some, official) for some in (anchors, noisy))
    assert loose.half_width(0.3) > 2 * tight.half_width(0.3) >= 0.1


def test_a_band_is_as_wide_as_the_anchors_near_it_scatter(official: Contract) -> None:
    errors = (0.0, *(0.05 * step for step in range(1, 25)))
    anchors = [
        replace(anchor, score=anchor.score + 0.2 * (-1) ** k, segnet=None, posenet=None) if k > 12 else anchor
        for k, anchor in enumerate(grown(official, errors, seg=3e-3))
    ]
    found = lane("implicit/w", anchors, official)
    assert found.half_width(0.15) < 0.5 * found.half_width(1.1)
    assert found.half_width(1.1) > 0.2


def test_a_proxy_ends_where_it_was_calibrated(official: Contract) -> None:
    anchors = grown(official, (0.0, 0.2, 0.5))
    proxy = calibrate(anchors)
    assert proxy is not None
    assert proxy.at(0.0) == (2e-4, 1e-5)
    assert all(math.isfinite(value) for value in proxy.at(2.5))
    for err in (2.51, -0.1, math.nan, math.inf):
        assert all(math.isnan(value) for value in proxy.at(err))
    assert calibrate(anchors[1:]) is None  # no lossless anchor
    assert calibrate(anchors[:2]) is None  # one lossy anchor
    assert calibrate([anchors[0], anchors[1], replace(anchors[1], label="twice")]) is None
    falling = [anchors[0], replace(anchors[1], segnet=9e-4), replace(anchors[2], segnet=3e-4)]
    assert calibrate(falling) is None


def test_a_law_needs_two_different_errors() -> None:
    assert fit([(0.0, 1.0), (0.5, 2.0)], 0.0) is None
    law = fit([(1.0, 3.0), (2.0, 5.0), (4.0, 9.0)], 1.0)
    assert law is not None
    assert (law.a, law.b, law.rms) == (pytest.approx(2.0), pytest.approx(1.0), pytest.approx(0.0, abs=1e-12))
    assert law.at(-1.0) == law.at(0.0) == 1.0


def test_lanes_do_not_mix(official: Contract) -> None:
    anchors = grown(official, (0.0, 0.2, 0.5))
    with pytest.raises(SearchError, match="one lane"):
        score_band(0.2, 150_000, [*anchors, LOSSLESS], official)


def test_anchors_whose_figures_contradict_each_other_are_refused(official: Contract) -> None:
    good = grown(official, (0.3,))[0]
    assert checked(good, official) is good
    assert distortion(good, official) > 0
    for bad in (
        replace(good, score=round(good.score, 2)),  # a rounded score
        replace(good, posenet=None),
        replace(good, rel_err=math.nan),
        replace(good, archive_bytes=0),
        replace(good, segnet=None, posenet=None, score=0.01),  # below its own rate
    ):
        with pytest.raises(SearchError):
            checked(bad, official)


def test_anchors_on_disk_are_read_whole_or_not_at_all(official: Contract, tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    anchors = grown(official, (0.0, 0.2, 0.5))
    assert append(path, anchors, official) == 3
    assert append(path, anchors, official) == 0
    assert load(path, official) == anchors
    before = path.read_bytes()
    with pytest.raises(SearchError):
        append(path, [replace(anchors[0], label="new", score=0.1)], official)
    assert path.read_bytes() == before
    path.write_text(before.decode() + '{"lane": "x", "padded_sha": 1}\n', encoding="utf-8")
    with pytest.raises(SearchError, match=r"line 4.*padded_sha"):
        load(path, official)
