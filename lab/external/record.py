"""The records of the public shelf: one stated thing each, with its source, its grade and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.errors import SchemaMismatch
from lab.evidence import Facts, Grade, grade
from lab.external.claim import Claim

SCHEMA = "lab.external/1"
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{2,119}\Z")
_HEX = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that somebody stated. `facts` holds what has no field of its own."""

    id: str
    kind: str
    title: str
    sources: tuple[str, ...]
    axis: str | None = None
    pr: int | None = None
    archive_bytes: int | None = None
    archive_sha256: str | None = None
    claim: Claim | None = None
    as_published: Claim | None = None
    broken_rules: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grade(self) -> Grade:
        """External, or invalid where a rule is broken; no other grade can be given to somebody else's figure."""
        return grade(Facts(kind="external", broken_rules=self.broken_rules))[0]

    @property
    def grade_reasons(self) -> tuple[str, ...]:
        """Why it has this grade."""
        return grade(Facts(kind="external", broken_rules=self.broken_rules))[1]

    @property
    def total(self) -> float | None:
        """The total from its components, where they are known."""
        return self.claim.recomputed if self.claim else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without the fields that are not known."""
        stored: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "sources": list(self.sources),
            "grade": self.grade.value,
            "grade_reasons": list(self.grade_reasons),
            "axis": self.axis,
            "pr": self.pr,
            "archive_bytes": self.archive_bytes,
            "archive_sha256": self.archive_sha256,
            "claim": self.claim.as_dict() if self.claim else None,
            "as_published": self.as_published.as_dict() if self.as_published else None,
            "broken_rules": list(self.broken_rules),
            "facts": dict(self.facts),
        }
        return {key: value for key, value in stored.items() if value not in (None, [], {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """All records of one file of facts. `notes` are the remarks and tables of that file that concern all of them."""

    name: str
    facts_schema: str
    facts_sha256: str
    records: tuple[Record, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "facts_schema": self.facts_schema,
            "facts_sha256": self.facts_sha256,
            "n_records": len(self.records),
            "records": [record.as_dict() for record in self.records],
            "notes": dict(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One contradiction, or one thing that a reader would get wrong, as computed from the records."""

    id: str
    trap: str
    records: tuple[str, ...]
    says: str
    figures: Mapping[str, Any]
    sources: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "id": self.id,
            "trap": self.trap,
            "records": list(self.records),
            "says": self.says,
            "figures": dict(self.figures),
            "sources": list(self.sources),
        }


def check(record: Record, where: str) -> None:
    """Return only if a record can stand on the shelf.

    Raises:
        SchemaMismatch: no id, no source, or a digest that is none.
    """
    place = f"{where}, {record.id[:100]!r}"
    if not _ID.match(record.id):
        raise SchemaMismatch(place, expected="an id of a-z, 0-9, dot and dash")
    if not record.sources or not all(isinstance(source, str) and source.strip() for source in record.sources):
        raise SchemaMismatch(place, expected="a source", found="none", fix="a fact without a source is not carried")
    if record.archive_sha256 is not None and not _HEX.match(record.archive_sha256):
        raise SchemaMismatch(place, expected="64 hexadecimal digits", found=str(record.archive_sha256)[:80])
    if record.archive_bytes is not None and (
        not isinstance(record.archive_bytes, int) or isinstance(record.archive_bytes, bool) or record.archive_bytes <= 0
    ):
        raise SchemaMismatch(place, expected="a size in whole bytes", found=repr(record.archive_bytes)[:80])


def slug(text: str) -> str:
    """A text as part of an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80] or "unnamed"


def finding(trap: str, records: Sequence[Record], says: str, figures: Mapping[str, Any], name: str = "") -> Finding:
    """A finding about these records, with all of their sources."""
    return Finding(
        id=f"{trap}-{slug(name) if name else records[0].id}",
        trap=trap,
        records=tuple(record.id for record in records),
        says=says,
        figures=figures,
        sources=tuple(dict.fromkeys(source for record in records for source in record.sources)),
    )
