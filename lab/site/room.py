"""Which runs have a page of their own where a ledger has more of them than a host takes files.

Every run stays in the tables, the lists and the data files; one without a page is linked to its line in the list of
its ledger. It is decided before anything is rendered, from the number of files that everything else takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import cast

from lab.errors import SiteError
from lab.site import index
from lab.site.book import Board, Book, Entry, Shelf
from lab.site.check import FILE_LIMIT

RESERVED = 1_500  # of pages that code and people make, assets, traces of figures, search index and packets
EVIDENCE_SHARE = 4  # one file in so many may be evidence or an archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many files a host takes, and how many of them are kept for what is no run's."""

    limit: int = FILE_LIMIT
    reserved: int = RESERVED


HOST = Room()


def fit(book: Book, named: Set[str], others: int, room: Room) -> Book:
    """The book with pages for as many runs as fit; the same book where all do.

    First come runs that texts and packets name or that lead a board or a family, then promoted ones, then the best
    score, then the newest; former records come last. Evidence and archives are carried in the same order, up to a
    quarter of the files.

    Args:
        named: addresses of the pages of runs that texts and packets name.
        others: number of files that are counted already and are no run's: media, tables.

    Raises:
        SiteError: what is kept for other files takes all the room.
    """
    every = [entry for shelf in book.shelves for entry in shelf.entries]
    wanted, most = sum(1 + _besides(entry) for entry in every), room.limit - room.reserved - others
    if wanted <= most - sum(1 + len(shelf.entries) // index.LEAST for shelf in book.shelves):
        return book
    free = most - sum(len(index.parts(shelf)) for shelf in book.shelves)
    if wanted <= free:
        return book
    if free <= 0:
        raise SiteError(
            "file count",
            expected=f"pages of runs among {room.limit:,} files",
            found=f"{room.limit - free:,} other files",
            fix="keep fewer clips, or split the ledger by contract",
        )
    first = {*named, *(entry.url for shelf in book.shelves for board in shelf.boards for entry in leaders(board))}
    newest = sorted(every, key=lambda entry: str(entry.data["recorded_at"]), reverse=True)
    order = sorted(newest, key=lambda e: (e.url not in first, not e.current, e.run.verdict != "promoted", e.total))
    carried: set[str] = set()
    evidence = free // EVIDENCE_SHARE
    for entry in order:
        if _besides(entry) > evidence:
            break
        evidence -= _besides(entry)
        free -= _besides(entry)
        carried.add(entry.url)
    shown = {entry.url for entry in order[: max(0, free)]}
    carried &= shown
    return _with(book, {shelf.url: _shelf(shelf, shown, carried) for shelf in book.shelves})


def leaders(board: Board) -> list[Entry]:
    """The runs that every page about a board speaks of: its frontier, its start, the best of each family."""
    return [entry for entry in (board.frontier, board.start, *board.families) if entry]


def _besides(entry: Entry) -> int:
    """Files of a run besides its page."""
    return len(entry.evidence) + bool(entry.archive)


def _shelf(shelf: Shelf, shown: Set[str], carried: Set[str]) -> Shelf:
    rows = index.places(shelf)
    thin = {
        entry.id: _thin(entry, "" if entry.url in shown else rows[entry.id], entry.url in carried)
        for entry in shelf.entries
    }
    return Shelf(
        contract=shelf.contract,
        entries=tuple(thin.values()),
        boards=tuple(replace(board, entries=_of(board.entries, thin)) for board in shelf.boards),
    )


def _thin(entry: Entry, row: str, carried: bool) -> Entry:
    """A run with or without a page, with or without what lies beside it: the same object as long as that is alike."""
    how, thin = cast("tuple[tuple[str, bool] | None, Entry]", entry.made.get("thin", (None, entry)))
    if how != (row, carried):
        thin = replace(entry if carried else _plain(entry), row=row)
        entry.made["thin"] = (row, carried), thin
    return thin


def _of(entries: Iterable[Entry], thin: Mapping[str, Entry]) -> tuple[Entry, ...]:
    return tuple(thin[entry.id] for entry in entries)


def _plain(entry: Entry) -> Entry:
    """A run whose evidence and archive stay in the ledger."""
    if not _besides(entry):
        return entry
    return replace(entry, evidence=(), anatomy=None, pairs=(), curve=None, archive=None, plain=True)


def _with(book: Book, shelves: Mapping[str, Shelf]) -> Book:
    return replace(book, shelves=tuple(shelves.values()), main=shelves[book.main.url] if book.main else None)
