"""The *Anatomy* page: what the best archive of every family is made of, stream by stream.

Bars and cards come from the anatomy on record, which tiles the archive to the byte; what a stream is in plain words
comes from `site_src/streams.toml`, written by people.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from lab.bitstream import Section
from lab.errors import SiteError
from lab.site import charts, codes, details, drawn
from lab.site import format as show
from lab.site.anatomy import Row
from lab.site.book import Board, Entry
from lab.site.captions import signature
from lab.site.charts import Figure
from lab.site.data import Content

ANY, FRAME = "any", "zip"
LINKED_SHARE = 0.04  # a narrower piece of a bar is no target; its card is

Table = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One stream: what it is, how it is coded, its bytes and what is inside. `price` is what it adds to the score.

    `kind` is what to call a stream whose name in the archive is a mere letter.
    """

    key: str
    name: str
    kind: str
    says: str
    coding: str
    n_bytes: int
    ideal_bytes: float | None
    share: float
    price: float
    tone: int
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """Name of the stream, in words."""
        return f"{self.kind} ({self.name})" if self.kind else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The best archive of a family, cut open."""

    entry: Entry
    bar: Markup
    finding: Markup
    cards: tuple[Card, ...]
    figures: tuple[Figure, ...]
    pictures: tuple[tuple[str, str, str, int, int], ...]
    tails: list[tuple[str, str, int, float, bool]]


def words(path: Path) -> Table:
    """What the streams of every family are.

    Raises:
        SiteError: it is not a table of words by family.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        return {family: {name: str(says) for name, says in table.items()} for family, table in read.items()}
    except (OSError, tomllib.TOMLDecodeError, AttributeError) as error:
        raise SiteError(path.name, expected="words for streams by family", found=str(error)) from None


def load(board: Board | None, known: Table, files: Mapping[str, Content]) -> list[Archive]:
    """The best archive of every family whose anatomy is on record, best first."""
    best = [entry for entry in (board.families if board else ()) if entry.anatomy]
    widest = max((entry.n_bytes for entry in best), default=1)
    return [_archive(entry, known, widest, files) for entry in best]


def _archive(entry: Entry, known: Table, widest: int, files: Mapping[str, Content]) -> Archive:
    cards = _cards(entry, known)
    parts = [
        (
            float(card.n_bytes),
            f"tone tone-{card.tone}",
            f"{card.title}: {show.byte_count(card.n_bytes)} bytes, {show.percent(card.share)}",
        )
        for card in cards
    ]
    hrefs = [f"#{card.key}" if card.n_bytes >= LINKED_SHARE * widest else "" for card in cards]
    label = f"{entry.slug}: {show.byte_count(entry.n_bytes)} bytes in {len(cards)} streams"
    found = (details.units(entry), codes.figure(entry), drawn.poses(entry))
    return Archive(
        entry=entry,
        bar=charts.bar(parts, float(widest), label=label, height=54.0, hrefs=hrefs),
        finding=_finding(entry, cards),
        cards=tuple(sorted(cards, key=lambda card: -card.n_bytes)),
        figures=tuple(figure for figure in found if figure),
        pictures=tuple(drawn.pictures(entry, files)),
        tails=drawn.tails(entry),
    )


def _cards(entry: Entry, known: Table) -> list[Card]:
    """The streams of an archive in file order; what holds the one member together is a stream of its own, the last."""
    assert entry.anatomy is not None
    rows = entry.anatomy.rows
    price = entry.contract.formula.byte_price(entry.contract.source.bytes)
    streams: list[Section] = []
    frame: list[Section] = []
    for section in entry.anatomy.sections:
        streams += section.children
        if not section.children:
            frame.append(section)
    made = []
    for index, section in enumerate(streams):
        inside = [row for row in rows if _within(row.section, section) and row.section is not section]
        leaves = [row for row in (inside or rows) if row.tone is not None and _within(row.section, section)]
        largest = max(leaves, key=lambda row: row.section.n_bytes)
        least = min((row.depth for row in inside), default=0)
        made.append(
            Card(
                key=f"{entry.id}-{index}",
                name=section.name,
                kind=section.kind if len(section.name) == 1 else "",
                says=known.get(entry.run.family, {}).get(section.name) or known.get(ANY, {}).get(section.name, ""),
                coding=largest.section.kind,
                n_bytes=section.n_bytes,
                ideal_bytes=None if section.ideal_bits is None else section.ideal_bits / 8,
                share=section.n_bytes / entry.n_bytes,
                price=section.n_bytes * price,
                tone=largest.tone or 0,
                rows=tuple(row for row in inside if row.depth >= least),
            )
        )
    n_bytes = sum(section.n_bytes for section in frame)
    made.append(
        Card(
            key=f"{entry.id}-{FRAME}",
            name=FRAME,
            kind="",
            says=known.get(ANY, {}).get(FRAME, ""),
            coding="headers and directory",
            n_bytes=n_bytes,
            ideal_bytes=None,
            share=n_bytes / entry.n_bytes,
            price=n_bytes * price,
            tone=next((row.tone for row in rows if row.section is frame[0] and row.tone is not None), 0),
            rows=(),
        )
    )
    return made


def _within(inner: Section, outer: Section) -> bool:
    return outer.offset <= inner.offset and inner.offset + inner.n_bytes <= outer.offset + outer.n_bytes


def _finding(entry: Entry, cards: Sequence[Card]) -> Markup:
    order = sorted(cards, key=lambda card: -card.n_bytes)
    first, rest = order[0], order[1:3]
    text = Markup("{} of {} bytes are <b>{}</b>").format(
        show.percent(first.share), show.byte_count(entry.n_bytes), first.title
    )
    text += Markup(", ").join(
        [Markup(""), *(Markup("{} {}").format(show.percent(card.share), card.title) for card in rest)]
    )
    least = [card for card in cards if card.ideal_bytes]
    if least:
        paid, ideal = sum(card.n_bytes for card in least), sum(card.ideal_bytes or 0.0 for card in least)
        text += Markup("; coding costs {} more than the models' own estimate, where that is known").format(
            show.percent(max(paid / ideal - 1.0, 0.0), 2)
        )
    return text + Markup(". ") + signature(entry)
