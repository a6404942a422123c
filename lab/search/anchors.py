"""Anchors: measured results of one lane, with the relative error of what was coded.

A lane is a class of candidates that differ in how coarsely they are coded and in nothing else; anchors of two lanes
never share a curve.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lab.contract import Contract
from lab.errors import SearchError
from lab.store import write_atomic

TOLERANCE = 1e-9
LIMIT_BYTES = 16_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One measured result.

    `rel_err` is the error of what was coded on the scale of its lane (0 is lossless): a relative error in percent, or
    the distortion of a few pairs in score. `segnet` and `posenet` are the measured components, or None where only the
    total is known; `source` says where the figures come from.
    """

    lane: str
    label: str
    rel_err: float
    archive_bytes: int
    score: float
    segnet: float | None = None
    posenet: float | None = None
    axis: str = "cpu"
    archive_sha256: str | None = None
    source: str = ""

    @property
    def lossless(self) -> bool:
        """Whether nothing was lost in coding what the lane codes."""
        return self.rel_err == 0.0


def distortion(anchor: Anchor, contract: Contract) -> float:
    """The part of an anchor's score that is not rate."""
    rate = contract.score(segnet=0.0, posenet=0.0, archive_bytes=anchor.archive_bytes).rate_term
    return anchor.score - rate


def checked(anchor: Anchor, contract: Contract) -> Anchor:
    """The anchor, if its figures can be and agree with each other.

    Raises:
        SearchError: a figure is not finite or negative, or the total does not follow from the components.
    """
    where = f"anchor {anchor.label!r} of lane {anchor.lane!r}"
    figures = (anchor.rel_err, anchor.score, anchor.segnet or 0.0, anchor.posenet or 0.0)
    if not all(math.isfinite(figure) and figure >= 0.0 for figure in figures) or anchor.archive_bytes <= 0:
        raise SearchError(where, expected="finite figures, none negative, and a size", found=str(figures))
    if (anchor.segnet is None) != (anchor.posenet is None):
        raise SearchError(where, expected="both components or neither", found="one of them")
    if anchor.segnet is not None and anchor.posenet is not None:
        total = contract.score(segnet=anchor.segnet, posenet=anchor.posenet, archive_bytes=anchor.archive_bytes).total
        if abs(total - anchor.score) > TOLERANCE:
            raise SearchError(
                where,
                expected=f"a total of {total!r} from its components and bytes",
                found=repr(anchor.score),
                fix="take the unrounded score, and the denominator of the contract",
            )
    if distortion(anchor, contract) < -TOLERANCE:
        raise SearchError(where, expected="a score of at least its rate", found=repr(anchor.score))
    return anchor


def load(path: Path, contract: Contract) -> list[Anchor]:
    """Anchors from a file of JSON lines; an unknown or a missing field is refused, with its line.

    Raises:
        SearchError: the file cannot be read, or a line is no anchor.
    """
    known = {item.name for item in fields(Anchor)}
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise SearchError(path.name, expected=f"at most {LIMIT_BYTES:,} bytes", found=f"{path.stat().st_size:,}")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SearchError(path.name, expected="a file of anchors", found=str(error)) from None
    found = []
    for number, line in enumerate(lines, 1):
        where = f"{path.name}, line {number}"
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or set(row) - known:
                odd = ", ".join(sorted(set(row) - known)) if isinstance(row, dict) else type(row).__name__
                raise SearchError(where, expected="the fields of an anchor", found=odd)
            found.append(checked(Anchor(**row), contract))
        except (ValueError, TypeError) as error:
            raise SearchError(where, expected="an anchor as JSON", found=str(error)[:200]) from None
    return found


def append(path: Path, added: Iterable[Anchor], contract: Contract) -> int:
    """Add anchors whose labels are not there yet, all or none of them; returns how many were added."""
    present = load(path, contract) if path.is_file() else []
    labels = {(anchor.lane, anchor.label) for anchor in present}
    fresh = [checked(anchor, contract) for anchor in added if (anchor.lane, anchor.label) not in labels]
    if fresh:
        rows = [json.dumps(asdict(anchor), sort_keys=True, allow_nan=False) for anchor in (*present, *fresh)]
        write_atomic(path, ("\n".join(rows) + "\n").encode())
    return len(fresh)


def of_record(record: Mapping[str, Any], lane: str, rel_err: float) -> Anchor:
    """An anchor from a run record of the ledger, its score recomputed and unrounded."""
    measured = record["evaluation"]
    return Anchor(
        lane=lane,
        label=str(record["id"]),
        rel_err=rel_err,
        archive_bytes=int(measured["archive_bytes"]),
        score=float(record["score"]["total"]),
        segnet=float(measured["segnet"]),
        posenet=float(measured["posenet"]),
        axis=str(measured["axis"]),
        archive_sha256=str(record["custody"]["archive_sha256"]),
        source=f"run {record['id']}, grade {record['grade']}",
    )
