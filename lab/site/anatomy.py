"""Where an archive's bytes go: sections that are proven to tile the file, and the bar that shows them to scale."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lab.bitstream import Section, check_tiling
from lab.errors import BitstreamError, SiteError
from lab.site.sanitize import inert

DEPTH_LIMIT = 8
SECTION_LIMIT = 2_000
PALETTE_SIZE = 8
_DIGITS = re.compile(r"[\d #]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One section as the page shows it. `tone` picks its colour; a group that is divided further has none."""

    key: str
    section: Section
    depth: int
    tone: int | None
    share: float

    @property
    def is_leaf(self) -> bool:
        """Is it not divided further?"""
        return not self.section.children


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """The sections of one archive; they sum to its size, at every level."""

    n_bytes: int
    sha256: str
    sections: tuple[Section, ...]

    def rows(self) -> list[Row]:
        """Every section in file order, outer before inner; leaves that differ only by a number share a colour."""
        out: list[Row] = []
        tones: dict[str, int] = {}

        def visit(sections: tuple[Section, ...], depth: int) -> None:
            for section in sections:
                tone = None
                if not section.children:
                    tone = tones.setdefault(_DIGITS.sub("", section.name), len(tones)) % PALETTE_SIZE
                share = section.n_bytes / self.n_bytes
                out.append(Row(key=f"section-{len(out) + 1}", section=section, depth=depth, tone=tone, share=share))
                visit(section.children, depth + 1)

        visit(self.sections, 0)
        return out

    def leaves(self) -> list[Row]:
        """The sections that are not divided further: they tile the file."""
        return [row for row in self.rows() if row.is_leaf]

    def largest(self) -> Row:
        """The leaf that takes the most bytes."""
        return max(self.leaves(), key=lambda row: (row.section.n_bytes, -row.section.offset))


def parse(text: str, where: str, *, archive_bytes: int, archive_sha256: str) -> Anatomy:
    """The anatomy in an `anatomy.json`, proven to describe this very archive.

    Args:
        archive_bytes, archive_sha256: of the run's record.

    Raises:
        SiteError: not an anatomy, one of another archive, or sections that do not sum to the file.
    """
    try:
        raw = json.loads(text)
        n_bytes, sha256 = raw["archive"]["n_bytes"], raw["archive"]["sha256"]
        budget = iter(range(SECTION_LIMIT))
        sections = tuple(_section(item, 0, budget) for item in raw["sections"])
    except (ValueError, KeyError, TypeError, StopIteration, RecursionError) as error:
        raise SiteError(
            where, expected="an anatomy.json", found=f"{type(error).__name__} {error}"[:200], fix="run it again"
        ) from None
    if (n_bytes, sha256) != (archive_bytes, archive_sha256):
        raise SiteError(
            where,
            expected=f"the archive on record, {archive_bytes:,} bytes, sha256 {archive_sha256[:12]}…",
            found=f"{n_bytes} bytes, sha256 {str(sha256)[:12]}…",
            fix="the evidence belongs to another archive",
        )
    try:
        check_tiling(sections, 0, n_bytes, where)
    except BitstreamError as error:
        raise SiteError(
            error.where, expected=error.expected, found=error.found, fix="sections must sum to the file, to the byte"
        ) from None
    return Anatomy(n_bytes=n_bytes, sha256=sha256, sections=sections)


def _section(item: Mapping[str, Any], depth: int, budget: Iterator[int]) -> Section:
    next(budget)
    if depth >= DEPTH_LIMIT:
        raise ValueError(f"sections nested deeper than {DEPTH_LIMIT}")
    offset, n_bytes, ideal = item["offset"], item["n_bytes"], item.get("ideal_bits")
    if type(offset) is not int or type(n_bytes) is not int:
        raise TypeError("offset and n_bytes must be integers")
    if ideal is not None and not (isinstance(ideal, (int, float)) and 0.0 <= ideal < 1e15):
        raise ValueError("ideal_bits must be a finite number")
    return Section(
        name=inert(str(item["name"]))[:120],
        kind=inert(str(item["kind"]))[:120],
        offset=offset,
        n_bytes=n_bytes,
        ideal_bits=None if ideal is None else float(ideal),
        note=inert(str(item.get("note", "")))[:400],
        children=tuple(_section(child, depth + 1, budget) for child in item.get("children", ())),
    )
