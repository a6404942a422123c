"""Where an archive's bytes go: sections that are proven to tile the file, and the bar that shows them to scale."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lab.bitstream import Section, check_tiling
from lab.errors import BitstreamError, SiteError
from lab.site.sanitize import inert

DEPTH_LIMIT = 8
SECTION_LIMIT = 2_000
PALETTE_SIZE = 8
CROWD = 24
_DIGITS = re.compile(r"[\d #]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One section as the page shows it. `tone` picks its colour; a section that is divided further has none.

    Of many alike, such as the pictures of a video, one row stands for all: `count` of them, together `section.n_bytes`.
    """

    section: Section
    depth: int
    tone: int | None
    share: float
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """The sections of one archive; they sum to its size, at every level."""

    n_bytes: int
    sha256: str
    sections: tuple[Section, ...]

    @cached_property
    def leaves(self) -> list[Row]:
        """The sections that are not divided further, in file order: they tile the file."""
        tones: dict[str, int] = {}
        inner = [(item, depth) for item, depth in _walk(self.sections, 0) if not item.children]
        return [self._row(item, depth, tones) for item, depth in inner]

    @cached_property
    def rows(self) -> list[Row]:
        """What a table shows, outer before inner; where a section holds many alike, one row stands for each kind."""
        tones: dict[str, int] = {}
        for item, _ in _walk(self.sections, 0):
            if not item.children:
                _tone(item, tones)
        return list(self._table(self.sections, 0, tones))

    def crowd(self) -> Section | None:
        """The section with the most parts, where there are too many for a table."""
        found = max((item for item, _ in _walk(self.sections, 0)), key=lambda item: len(item.children), default=None)
        return found if found and len(found.children) > CROWD else None

    def largest(self) -> Row:
        """The row that takes the most bytes among those that are not divided further."""
        return max((row for row in self.rows if row.tone is not None), key=lambda row: row.section.n_bytes)

    def _table(self, sections: tuple[Section, ...], depth: int, tones: dict[str, int]) -> Iterator[Row]:
        if len(sections) <= CROWD:
            for item in sections:
                yield self._row(item, depth, tones)
                yield from self._table(item.children, depth + 1, tones)
            return
        kinds: dict[str, list[Section]] = {}
        for item in sections:
            kinds.setdefault(_stem(item), []).append(item)
        for stem, alike in kinds.items():
            sizes = sorted(item.n_bytes for item in alike)
            together = Section(
                name=stem,
                kind=alike[0].kind,
                offset=alike[0].offset,
                n_bytes=sum(sizes),
                ideal_bits=None,
                note=f"{len(alike)} of them, {sizes[0]:,} to {sizes[-1]:,} bytes" if len(alike) > 1 else "",
            )
            yield Row(
                section=together,
                depth=depth,
                tone=_tone(alike[0], tones),
                share=together.n_bytes / self.n_bytes,
                count=len(alike),
            )

    def _row(self, item: Section, depth: int, tones: dict[str, int]) -> Row:
        tone = None if item.children else _tone(item, tones)
        return Row(section=item, depth=depth, tone=tone, share=item.n_bytes / self.n_bytes)


def _walk(sections: tuple[Section, ...], depth: int) -> Iterator[tuple[Section, int]]:
    for item in sections:
        yield item, depth
        yield from _walk(item.children, depth + 1)


def _stem(section: Section) -> str:
    """A section's name without its number."""
    return _DIGITS.sub(" ", section.name).strip() or section.name


def _tone(section: Section, tones: dict[str, int]) -> int:
    """The colour of a section: sections that differ only by a number share one."""
    return tones.setdefault(_stem(section), len(tones)) % PALETTE_SIZE


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
