"""The page of a single run: what it prints, and what decides whether it is as it was.

Where a builder stays, a page whose key equals that of the page before is that page, not drawn again: whatever a page
prints of another run must stand in its key.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Set
from functools import partial
from typing import Any

from lab.site import codes, data, details, drawn, figures, lineage, training
from lab.site.book import Board, Book, Entry, Shelf
from lab.site.clips import Media
from lab.site.data import Content
from lab.site.sheets import Page
from lab.site.stage import Shown, Stage

ROWS, PLAIN_ROWS = 12, 6  # of the table of parent, siblings and children
SURROUNDINGS = (
    *("runtime_sha256", "runtime_bytes", "evaluator_sha256", "source_sha256", "networks", "commit", "dirty", "walls"),
    *("device", "decoder", "exact_arithmetic", "versions", "machine"),
)


def pages(book: Book, media: Mapping[str, Media], files: Mapping[str, Content], stage: Stage) -> list[Page]:
    """A page for every run that has one; of the stage's pages those that are as they were."""
    before, stage.pages = stage.pages, {}
    past, stage.shelves = stage.shelves, {shelf.contract.name: shelf for shelf in book.shelves}
    stage.media, stage.files = media, files
    for shelf in book.shelves:
        moved = _moved(shelf, past.get(shelf.contract.name))
        homes = {name: board for board in shelf.boards for name in board.by_id}
        for entry in shelf.entries:
            if not entry.row:
                url = entry.url
                known, shown = before.get(url), media.get(url)
                if (
                    known is None
                    or known.entry is not entry
                    or known.page.key[0] != shown
                    or moved is None
                    or not moved.isdisjoint(known.named)
                ):
                    named, key = _key(entry, shelf.by_id, homes.get(entry.id))
                    if known is None or known.entry is not entry or known.page.key != (shown, key):
                        known = Shown(entry, _page(entry, shown, stage, (shown, key)), named)
                stage.pages[url] = known
    return [shown.page for shown in stage.pages.values()]


def _key(entry: Entry, known: Mapping[str, Entry], board: Board | None) -> tuple[tuple[str, ...], Any]:
    """(ids of runs, what decides a page): the page is another one only if these or what departs from them are others.

    A key holds every run that the page prints anything of, mostly the same objects as before.
    """
    above, other, later = entry.parent, entry.data["supersedes"], entry.superseded_by
    ids = [name for name in (entry.id, above, other, later) if name]
    key: tuple[Any, ...] = tuple(map(known.get, ids))
    if board:
        parent = board.by_id.get(above) if above else None
        upper = parent.parent if parent else None
        before = board.by_id.get(upper) if upper else None
        ids += [upper] if upper else []
        key = key, parent, before, board.frontier, board.children.get(above or ""), board.children.get(entry.id)
    return tuple(ids), key


def _moved(shelf: Shelf, past: Shelf | None) -> Set[str] | None:
    """The runs that are others than before, and those that they depart from, by id; None where it may be any."""
    if past is None or len(past.boards) != len(shelf.boards):
        return None
    if any(
        one.axis != two.axis or one.frontier is not two.frontier
        for one, two in zip(shelf.boards, past.boards, strict=True)
    ):
        return None
    now, then = shelf.by_id, past.by_id
    others = [entry for name, entry in now.items() if then.get(name) is not entry]
    others += [entry for name, entry in then.items() if now.get(name) is not entry]
    return {name for entry in others for name in (entry.id, entry.parent) if name}


def _page(entry: Entry, media: Media | None, stage: Stage, key: Any) -> Page:
    modules = ("copy", *(("clip",) if media else ()), *(("verify",) if entry.archive else ()))
    return Page(
        url=entry.url,
        template="run.html",
        searched=False,
        title=entry.slug,
        description=str(entry.data["recipe"]["question"])[:200],
        context=partial(_values, entry, stage),
        nav="/ledger/",
        modules=modules,
        key=key,
    )


def _values(entry: Entry, stage: Stage) -> dict[str, Any]:
    shelf, media = stage.shelves[entry.contract.name], stage.media.get(entry.url)
    board = next((board for board in shelf.boards if entry.id in board.by_id), None)
    parent = shelf.by_id.get(entry.parent or "")
    best = board.frontier if board else None
    return {
        "entry": entry,
        "shelf": shelf,
        "parent": parent,
        "best": best,
        "delta": lineage.from_parent(entry, board) if board else None,
        "against_best": lineage.delta(entry, best) if best and best is not entry else None,
        "neighbours": lineage.neighbourhood(entry, board, PLAIN_ROWS if entry.plain else ROWS) if board else [],
        "surroundings": marshal.dumps([*map(entry.data["custody"].get, SURROUNDINGS)], 2),  # a key, of equal values
        "parameters": _parameters(entry, parent),
        "media": media,
        "archive_url": data.archive_url(entry) if entry.archive else "",
        "byte_price": entry.contract.formula.byte_price(entry.contract.source.bytes),
        **(_NOTHING if entry.plain else _drawn(entry, parent, board, media, stage.files)),
    }


# what `_drawn` gives of a run that has no evidence beside it
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("pairs", "units", "training", "codes", "poses", "bar")),
    **dict.fromkeys(("terms", "maps", "pictures", "tails", "timeline", "evidence"), ()),
}


def _drawn(
    entry: Entry, parent: Entry | None, board: Board | None, media: Media | None, files: Mapping[str, Content]
) -> dict[str, Any]:
    """What is drawn of a run, most of it from its evidence."""
    compared, roles = [entry], ["this run"]
    for other, role in ((parent, "parent"), (board.frontier if board else None, "frontier")):
        if other and board and other.id in board.by_id and all(other is not one for one in compared):
            compared.append(other)
            roles.append(role)
    published = {item.name: data.evidence_url(entry, item.name) for item in entry.evidence}
    return {
        "terms": figures.terms(compared, roles),
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
        "evidence": [(item, published[item.name]) for item in entry.evidence if published[item.name][1:] in files],
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
