"""A stated total is compared with every total that rounds to the printed components."""

from __future__ import annotations

import math

import pytest

from lab import contract
from lab.errors import SchemaMismatch
from lab.external import claim as claims

OFFICIAL = contract.load("comma-2026")


def by_hand(segnet: float, posenet: float, archive_bytes: int) -> float:
    """The contest's formula written out once more."""
    return 100 * segnet + math.sqrt(10 * posenet) + 25 * archive_bytes / OFFICIAL.source.bytes


def test_a_total_is_recomputed_from_its_components() -> None:
    made = claims.claim(OFFICIAL, segnet=0.00067623, posenet=0.00017198, archive_bytes=178981, stated=0.2282694714)
    assert made.recomputed == pytest.approx(by_hand(0.00067623, 0.00017198, 178981), abs=1e-12)
    assert made.verdict == claims.AGREES


@pytest.mark.parametrize(
    ("stated", "verdict"),
    [(0.23, claims.AGREES), (0.228, claims.AGREES), (0.2283, claims.AGREES), (0.2294, claims.DIFFERS)],
)
def test_rounding_is_allowed_and_nothing_more(stated: float, verdict: str) -> None:
    made = claims.claim(OFFICIAL, segnet=0.00067623, posenet=0.00017198, archive_bytes=178981, stated=stated)
    assert made.verdict == verdict


def test_fewer_digits_in_the_components_leave_a_wider_interval() -> None:
    fine = claims.claim(OFFICIAL, segnet=0.00067623, posenet=0.00017198, archive_bytes=178981)
    coarse = claims.claim(OFFICIAL, segnet=0.000676, posenet=0.000172, archive_bytes=178981)
    assert fine.low is not None and fine.high is not None and coarse.low is not None and coarse.high is not None
    assert coarse.high - coarse.low > 50 * (fine.high - fine.low)


def test_trailing_zeros_of_a_printed_total_count() -> None:
    assert claims.places("0.280") == 3
    assert claims.places(0.28) == 2
    assert claims.places(3.443e-05) == 8


def test_exchanged_columns_give_the_stated_total_back() -> None:
    printed = claims.claim(
        OFFICIAL, segnet=0.000584, posenet=0.00060989, archive_bytes=215960, stated=0.2812078926981712
    )
    assert printed.verdict == claims.DIFFERS
    assert claims.exchanged(OFFICIAL, printed).verdict == claims.AGREES


def test_a_stored_claim_that_was_edited_is_refused() -> None:
    stored = claims.claim(OFFICIAL, segnet=0.0006, posenet=0.0001, archive_bytes=178981, stated=0.2).as_dict()
    assert claims.read(OFFICIAL, stored, "here").as_dict() == stored
    with pytest.raises(SchemaMismatch, match="from its components"):
        claims.read(OFFICIAL, {**stored, "recomputed": 0.2}, "here")


def test_a_negative_component_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match="components of a score"):
        claims.claim(OFFICIAL, segnet=-0.1, posenet=0.1, archive_bytes=10)
