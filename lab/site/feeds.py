"""What other programs read of the site: Atom and JSON feeds, the dataset as JSON-LD, the citation file.

Dates are those of records. Without an address of the publication, links are relative and ids are derived from names.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from markupsafe import Markup, escape

from lab.site import data
from lab.site import format as show
from lab.site.book import Board, Book
from lab.site.data import Content
from lab.site.prose import Rendered
from lab.site.sanitize import PUBLIC
from lab.site.sheets import SHEETS

ATOM, JSON, DATASET, CITATION = "feed.xml", "feed.json", "data/dataset.jsonld", "data/CITATION.cff"
ITEM_LIMIT = 50
_MEDIA = {"json": "application/json", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that happened: an entry of the notebook, or a run that took the frontier."""

    url: str
    title: str
    summary: str
    at: str


def items(board: Board | None, texts: Sequence[Rendered]) -> list[Item]:
    """The newest first, at most `ITEM_LIMIT`. An entry is as old as the newest run that it cites."""
    found = [
        Item(
            url=f"/notebook/{text.document.slug}/",
            title=text.document.title,
            summary=text.document.summary,
            at=max(str(entry.data["recorded_at"]) for entry in text.cited),
        )
        for text in texts
        if text.cited
    ]
    ranked = board.ranked if board else ()
    lows = list(accumulate((entry.total for entry in ranked), min))
    for index, entry in enumerate(ranked):
        if index == 0 or entry.total < lows[index - 1]:
            changed = str(entry.data["recipe"]["changed"]) or "the start of a line"
            found.append(
                Item(
                    url=entry.url,
                    title=f"New frontier: {entry.slug}, {show.score(entry.total, 4)}",
                    summary=f"{changed}; {show.byte_count(entry.n_bytes)} bytes on {entry.contract.name}, "
                    f"{entry.run.axis}, grade {entry.run.grade}.",
                    at=str(entry.data["recorded_at"]),
                )
            )
    return sorted(found, key=lambda item: (item.at, item.url), reverse=True)[:ITEM_LIMIT]


def files(book: Book, board: Board | None, texts: Sequence[Rendered]) -> dict[str, Content]:
    """Both feeds, the dataset and the citation file, by path; no feed without an item."""
    tree: dict[str, Content] = {DATASET: data.dump(dataset(book))}
    found = items(board, texts)
    if found:
        tree |= {ATOM: atom(book, found), JSON: json_feed(book, found)}
    citation = book.source.parent / "CITATION.cff"
    return tree | ({CITATION: citation} if citation.is_file() else {})


def atom(book: Book, found: Sequence[Item]) -> bytes:
    """The Atom feed (RFC 4287)."""
    base = book.site.url.rstrip("/")

    def link(url: str, relation: str = "alternate") -> str:
        return f'<link rel="{relation}" href="{escape(_address(base, url))}"/>'

    entries = [
        f"<entry><title>{escape(item.title)}</title><id>{_identity(book, item.url)}</id>{link(item.url)}"
        f"<updated>{escape(item.at)}</updated><summary>{escape(item.summary)}</summary></entry>"
        for item in found
    ]
    head = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        f"<title>{escape(book.site.title)}</title><subtitle>{escape(book.site.tagline)}</subtitle>",
        f"<id>{_identity(book, '/')}</id>{link('/')}{link('/' + ATOM, 'self')}",
        f"<updated>{escape(found[0].at)}</updated>",
        f"<author><name>{escape(book.site.author or book.site.title)}</name></author>",
    ]
    return "\n".join([*head, *entries, "</feed>", ""]).encode()


def json_feed(book: Book, found: Sequence[Item]) -> bytes:
    """The JSON Feed, version 1.1."""
    base = book.site.url.rstrip("/")
    table: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": book.site.title,
        "description": book.site.tagline,
        "language": "en",
        "items": [
            {
                "id": _identity(book, item.url),
                "url": _address(base, item.url),
                "title": item.title,
                "content_text": item.summary,
                "date_published": item.at,
            }
            for item in found
        ],
    }
    if base:
        table |= {"home_page_url": f"{base}/", "feed_url": f"{base}/{JSON}"}
    return data.dump(table)


def dataset(book: Book) -> dict[str, Any]:
    """The ledger as a schema.org Dataset: what it is, what it measures, and its files."""
    base = book.site.url.rstrip("/")
    table: dict[str, Any] = {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "name": f"{book.site.title}: the ledger",
        "description": f"{book.site.tagline} {SHEETS['/data/'].description}",
        "license": book.site.licence,
        "isAccessibleForFree": True,
        "measurementTechnique": "decoded from the archive in a clean process, measured by two frozen networks",
        "variableMeasured": [
            {"@type": "PropertyValue", "name": name, "description": PUBLIC[name]}
            for name in ("score.total", "evaluation.segnet", "evaluation.posenet", "evaluation.archive_bytes")
        ],
        "distribution": [
            {
                "@type": "DataDownload",
                "encodingFormat": _MEDIA[form],
                "contentUrl": _address(base, f"/data/{shelf.contract.name}/ledger.{form}"),
                "name": f"{shelf.contract.name}, {len(shelf.entries)} runs",
            }
            for shelf in book.shelves
            for form in ("json", "csv", "parquet")
            if shelf.entries
        ],
    }
    if book.last_recorded:
        table["dateModified"] = book.last_recorded
    if base:
        table["url"] = f"{base}/data/"
    if book.site.author:
        table["creator"] = {"@type": "Person", "name": book.site.author}
    return table


def as_markup(table: dict[str, Any]) -> Markup:
    """JSON-LD that may stand inside a page: no character of it can end the block."""
    return Markup(data.dump(table).decode().replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _address(base: str, url: str) -> str:
    """An absolute address where the publication has one, else relative to the root."""
    return f"{base}{url}" if base else url.lstrip("/") or "./"


def _identity(book: Book, url: str) -> str:
    """An id that stays as long as title and path do."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{book.site.title} {url}')}"
