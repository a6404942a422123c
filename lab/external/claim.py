"""A stated total against what its components give, with the rounding of every printed figure carried through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from lab.contract import Contract
from lab.errors import SchemaMismatch

AGREES, DIFFERS, NO_COMPONENTS, NO_TOTAL = "agrees", "differs", "no components", "no stated total"
_SLACK = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What somebody stated of one result, and what follows from it.

    `low` and `high` bound every total that rounds to the printed components; `places` counts the decimals of the
    components, `stated_places` those of the total.
    """

    segnet: float | None = None
    posenet: float | None = None
    archive_bytes: int | None = None
    places: int | None = None
    stated: float | None = None
    stated_places: int | None = None
    recomputed: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = NO_COMPONENTS

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without the fields that are not known."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def places(value: object) -> int:
    """Decimals of a figure as it was printed; a text keeps its trailing zeros."""
    if isinstance(value, int):
        return 0
    exponent = Decimal(str(value)).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def claim(
    contract: Contract,
    *,
    segnet: float | None = None,
    posenet: float | None = None,
    archive_bytes: int | None = None,
    stated: float | None = None,
    stated_text: str | None = None,
) -> Claim:
    """A claim with everything that can be computed from it.

    Args:
        stated_text: the total as printed, where the text shows more digits than the number.

    Raises:
        SchemaMismatch: a component is negative or no number, or the size is not positive.
    """
    digits = None if stated is None else places(stated_text if stated_text is not None else stated)
    if segnet is None or posenet is None or archive_bytes is None:
        return Claim(
            segnet=segnet, posenet=posenet, archive_bytes=archive_bytes, stated=stated, stated_places=digits,
            verdict=NO_COMPONENTS,
        )  # fmt: skip
    decimals = max(places(segnet), places(posenet))
    half = 0.5 * 10.0**-decimals

    def total(seg: float, pose: float) -> float:
        try:
            return contract.score(segnet=seg, posenet=pose, archive_bytes=archive_bytes).total
        except (ValueError, TypeError) as error:
            raise SchemaMismatch("a stated result", expected="components of a score", found=str(error)) from None

    value = total(segnet, posenet)
    low, high = total(max(segnet - half, 0.0), max(posenet - half, 0.0)), total(segnet + half, posenet + half)
    if stated is None or digits is None:
        verdict = NO_TOTAL
    else:
        reach = 0.5 * 10.0**-digits + _SLACK
        verdict = AGREES if low - reach <= stated <= high + reach else DIFFERS
    return Claim(
        segnet=segnet, posenet=posenet, archive_bytes=archive_bytes, places=decimals, stated=stated,
        stated_places=digits, recomputed=value, low=low, high=high, verdict=verdict,
    )  # fmt: skip


def exchanged(contract: Contract, made: Claim) -> Claim:
    """The same claim with the two components exchanged, as in a table whose columns were swapped."""
    return claim(
        contract, segnet=made.posenet, posenet=made.segnet, archive_bytes=made.archive_bytes, stated=made.stated
    )


def read(contract: Contract, stored: Mapping[str, Any], where: str) -> Claim:
    """A claim from its stored form, computed again.

    Raises:
        SchemaMismatch: unknown fields, or a stored figure that its components do not give.
    """
    try:
        kept = Claim(**stored)
    except TypeError as error:
        raise SchemaMismatch(where, expected="the fields of a claim", found=str(error)) from None
    made = claim(
        contract, segnet=kept.segnet, posenet=kept.posenet, archive_bytes=kept.archive_bytes, stated=kept.stated,
        stated_text=None if kept.stated is None else f"{kept.stated:.{kept.stated_places or 0}f}",
    )  # fmt: skip
    if made.as_dict() != kept.as_dict():
        raise SchemaMismatch(
            where, expected=f"{made.as_dict()} from its components", found=str(kept.as_dict()), fix="import again"
        )
    return made
