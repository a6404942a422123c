"""The page of a single run: what it prints, and what decides whether it is as it was.

Where a builder stays, a page whose key is that of the page before is not drawn again: whatever a page prints of another
run must stand in its key.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from functools import partial
from typing import Any

from lab.site import codes, data, details, drawn, figures, lineage, training
from lab.site.book import Board, Book, Entry, Shelf
from lab.site.clips import Media
from lab.site.data import Content
from lab.site.sheets import Page

ROWS, PLAIN_ROWS = 12, 6  # of the table of parent, siblings and children
SURROUNDINGS = (
    *("runtime_sha256", "runtime_bytes", "evaluator_sha256", "source_sha256", "networks", "commit", "dirty", "walls"),
    *("device", "decoder", "exact_arithmetic", "versions", "machine"),
)


def pages(book: Book, media: Mapping[str, Media], files: Mapping[str, Content]) -> list[Page]:
    """A page for every run that has one."""
    found: list[Page] = []
    for shelf in book.shelves:
        homes = {name: board for board in shelf.boards for name in board.by_id}
        for entry in shelf.entries:
            if not entry.row:
                key = _key(entry, shelf.by_id, homes.get(entry.id))
                found.append(_page(entry, shelf, media.get(entry.url), files, key))
    return found


def _key(entry: Entry, known: Mapping[str, Entry], board: Board | None) -> Any:
    """What decides a page of a run: the runs that it prints anything of, each the same object while it is alike."""
    above, other, later = entry.parent, entry.data["supersedes"], entry.superseded_by
    named = (
        id(entry),
        id(known.get(above)) if above else 0,
        id(known.get(other)) if other else 0,
        id(known.get(later)) if later else 0,
    )
    if board is None:
        return named
    parent = board.by_id.get(above) if above else None
    before = board.by_id.get(parent.parent) if parent and parent.parent else None
    return named, (id(parent), id(before), id(board.frontier)), board.brood(above or ""), board.brood(entry.id)


def _page(entry: Entry, shelf: Shelf, media: Media | None, files: Mapping[str, Content], key: Any) -> Page:
    modules = ("copy", *(("clip",) if media else ()), *(("verify",) if entry.archive else ()))
    return Page(
        url=entry.url,
        template="run.html",
        searched=False,
        title=entry.slug,
        description=str(entry.data["recipe"]["question"])[:200],
        context=partial(_values, entry, shelf, media, files),
        nav="/ledger/",
        modules=modules,
        key=(key, media),
    )


def _values(entry: Entry, shelf: Shelf, media: Media | None, files: Mapping[str, Content]) -> dict[str, Any]:
    board = next((board for board in shelf.boards if entry.id in board.by_id), None)
    parent = shelf.by_id.get(entry.parent or "")
    best = board.frontier if board else None
    compared, roles = [entry], ["this run"]
    for other, role in ((parent, "parent"), (best, "frontier")):
        if other and board and other.id in board.by_id and all(other is not one for one in compared):
            compared.append(other)
            roles.append(role)
    published = {item.name: data.evidence_url(entry, item.name) for item in entry.evidence}
    return {
        "entry": entry,
        "shelf": shelf,
        "parent": parent,
        "best": best,
        "delta": lineage.from_parent(entry, board) if board else None,
        "against_best": lineage.delta(entry, best) if best and best is not entry else None,
        "terms": [] if entry.plain else figures.terms(compared, roles),
        "pairs": details.pairs(entry, media.clip.n_frames if media else 0),
        "units": details.units(entry),
        "training": details.training(entry),
        "maps": _maps(entry, published, files),
        "pictures": drawn.pictures(entry, files),
        "codes": codes.figure(entry),
        "poses": drawn.poses(entry),
        "tails": drawn.tails(entry),
        "timeline": drawn.timeline(entry),
        "bar": details.archive_bar(entry) if entry.anatomy else None,
        "neighbours": lineage.neighbourhood(entry, board, PLAIN_ROWS if entry.plain else ROWS) if board else [],
        "surroundings": marshal.dumps([*map(entry.data["custody"].get, SURROUNDINGS)], 2),  # a key, of equal values
        "parameters": _parameters(entry, parent),
        "media": media,
        "evidence": [(item, published[item.name]) for item in entry.evidence if published[item.name][1:] in files],
        "archive_url": data.archive_url(entry) if entry.archive else "",
        "byte_price": entry.contract.formula.byte_price(entry.contract.source.bytes),
    }


def _maps(
    entry: Entry, published: Mapping[str, str], files: Mapping[str, Content]
) -> list[tuple[str, str, str, int, int]]:
    """(network, what its map shows, address, width, height) of the sensitivity maps that are published."""
    names = {item.name: item.path for item in entry.evidence if published[item.name][1:] in files}
    return [
        (network, what, published[name], *training.picture_size(names[name].read_bytes()))
        for name, network, what in training.MAPS
        if name in names
    ]


def _parameters(entry: Entry, parent: Entry | None) -> list[tuple[str, Any, Any, bool]]:
    """(name, value, the parent's value, is it different) of every parameter, the changed ones first."""
    mine, theirs = _asked(entry), _asked(parent) if parent else {}
    rows = [
        (name, mine.get(name), theirs.get(name), parent is not None and mine.get(name) != theirs.get(name))
        for name in sorted(mine.keys() | theirs.keys())
    ]
    return [row for row in rows if row[3]] + [row for row in rows if not row[3]]


def _asked(entry: Entry) -> dict[str, Any]:
    recipe = entry.data["recipe"]
    return {**recipe["params"], "seed": recipe["seed"]}
