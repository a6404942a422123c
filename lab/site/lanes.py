"""The *Dead lanes* page: what was tried and buried, by this lab and by others, with the mechanism that killed it.

Ours lie in `ledgers/negative` (one file per lane), those of others in `ledgers/external/dead-lanes.json`. Only the
fields named here reach the page.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.errors import SiteError
from lab.site import data, facts
from lab.site import format as show
from lab.site.data import Content

FILE = "data/dead-lanes.json"
SCHEMA = "lab.negative/1"
LAB = "this lab"
FILE_LIMIT_BYTES = 1 << 20
PART_LIMIT = 100
_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One buried idea. `origin` is the lab that buried it, `basis` what its numbers rest on; ours have an `id`.

    `parts` are (name, number in words); the name may be that of a run.
    """

    title: str
    id: str
    family: str
    origin: str
    status: str
    tried: str
    mechanism: str
    parts: tuple[tuple[str, str], ...]
    revive: str
    basis: str
    grade: str

    @property
    def ours(self) -> bool:
        """Was it buried here?"""
        return self.origin == LAB

    @property
    def numbers(self) -> str:
        """Its numbers on one line."""
        return "; ".join(" ".join(part) for part in self.parts)

    @property
    def plain(self) -> dict[str, Any]:
        """The lane as a row of a file."""
        return {name: value for name, value in asdict(self).items() if name != "parts"} | {"numbers": self.numbers}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """Every lane, ours first, then by family and title."""

    rows: tuple[Lane, ...]

    @property
    def ours(self) -> int:
        """How many were buried here."""
        return sum(lane.ours for lane in self.rows)

    @property
    def families(self) -> list[tuple[str, int]]:
        """(family, lanes), the largest first."""
        return Counter(lane.family for lane in self.rows).most_common()

    @property
    def files(self) -> dict[str, Content]:
        """The same as a file."""
        return {FILE: data.dump([lane.plain for lane in self.rows])} if self.rows else {}


def load(ledgers: Path) -> Lanes:
    """Every lane below a ledger's root.

    Raises:
        SiteError: a file is not a record of a lane.
    """
    own = [_own(path) for path in sorted((ledgers / "negative").glob("*.json"))]
    found = [_theirs(item) for item in facts.records(ledgers / "external" / "dead-lanes.json")]
    order = sorted((*own, *found), key=lambda lane: (not lane.ours, lane.family, lane.title))
    return Lanes(rows=tuple(order))


def _own(path: Path) -> Lane:
    try:
        if path.stat().st_size > FILE_LIMIT_BYTES:
            raise ValueError(f"more than {FILE_LIMIT_BYTES:,} bytes")
        item = json.loads(path.read_text(encoding="utf-8"))
        if item["schema"] != SCHEMA:
            raise ValueError(f"schema {item['schema']!r}")
        return Lane(
            title=facts.text(item, "title"),
            id=path.stem,
            family=facts.text(item, "family"),
            origin=LAB,
            status=str(item.get("state") or "dead"),
            tried=facts.text(item, "tried"),
            mechanism=facts.text(item, "mechanism"),
            parts=_parts(item["numbers"]),
            revive=facts.text(item, "revive"),
            basis=facts.text(item, "basis"),
            grade=facts.text(item, "grade"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SiteError(
            f"negative/{path.name}", expected=f"a dead lane, schema {SCHEMA}", found=str(error)[:200]
        ) from None


def _theirs(item: Mapping[str, Any]) -> Lane:
    stated = item["facts"]
    return Lane(
        title=facts.text(item, "title"),
        id="",
        family=facts.text(stated, "family"),
        origin=facts.text(stated, "lab"),
        status=facts.text(stated, "status") or "dead",
        tried="",
        mechanism=facts.text(stated, "mechanism"),
        parts=_parts(stated.get("evidence", {})),
        revive=facts.text(stated, "revisit_when"),
        basis=facts.source(item),
        grade=facts.text(item, "grade"),
    )


def _parts(table: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Named numbers; of a run its total, and how far that is above its control."""
    parts = []
    for name, value in list(table.items())[:PART_LIMIT]:
        words = str(name).replace("_", " ")
        if not isinstance(value, Mapping):
            part = (words, _number(value))
        elif {"total", "above_control"} <= value.keys():
            part = (str(name), f"{_number(value['total'])}, {show.signed(value['above_control'], 4)}")
        else:
            part = (f"{words}:", ", ".join(" ".join(inner) for inner in _parts(value)))
        parts.append((facts.inert(part[0])[: facts.TEXT_LIMIT], facts.inert(part[1])[: facts.TEXT_LIMIT]))
    return tuple(parts)


def _number(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(_number(part) for part in value[:_PARTS])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)[:80]
    return show.byte_count(value) if isinstance(value, int) else show.scientific(value, 4)
