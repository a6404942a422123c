"""What each kind of page prints: one function per kind, from the book to a template's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.errors import SiteError
from lab.site import against, data, feeds, figures, index, lineage, prose, runs
from lab.site.book import Board, Book, Entry
from lab.site.charts import Figure
from lab.site.clips import ATLAS, Media
from lab.site.compare import Offer
from lab.site.data import Content
from lab.site.eras import Era
from lab.site.packets import FOLDER, Packet, zip_name
from lab.site.prose import Desk, Rendered
from lab.site.sheets import Page, sheet

TOP = 8
BRIEF_ROWS = 12
KINDS = ("added", "changed", "fixed", "removed", "format")


def landing(
    book: Book,
    board: Board | None,
    media: Mapping[str, Media],
    notebook: list[Rendered],
    past: tuple[list[Era], list[tuple[str, int]]] = ([], []),
    offers: Sequence[Offer] = (),
    small: Mapping[str, str] | None = None,
) -> Page:
    """The front page: the frontier, what the score means, every run, how it got here.

    Args:
        past: the eras of the public record, and the repositories that it was read from.
        offers: the runs that the explorer may show, those of the atlas first.
        small: address of the small still by that of its poster.
    """
    best = board.frontier if board else None
    compared = [entry for entry in (best, board.start if board else None) if entry]
    if len(compared) == 2 and compared[0] is compared[1]:
        compared = compared[:1]
    context = {
        "board": board,
        "best": best,
        "media": media.get(best.url) if best else None,
        "small": small or {},
        "terms": figures.terms(compared, ("frontier", "baseline")),
        "charts": [_brief(f, book) for focus in (False, True) if (f := figures.score_vs_bytes(board, focus=focus))]
        if board
        else [],
        "trajectory": _brief(way, book) if board and (way := figures.trajectory(board)) else None,
        "families": board.families if board else [],
        "ways": lineage.ways(board) if board else [],
        "neighbours": lineage.neighbourhood(best, board, runs.ROWS) if best and board else [],
        "others": [shelf for shelf in book.shelves if shelf is not book.main],
        "notebook": notebook,
        "eras": past[0],
        "references": past[1],
        "top": figures.terms(_top(board)),
        "posters": {url: shown.decoded for url, shown in media.items()},
        "atlas": media.get(ATLAS) if offers else None,
        "offers": {offer.entry.id: offer for offer in offers},
        "shown": [offer for offer in offers if offer.pane][:2],
        "beats": against.pairs(board)[:2],
        "turns": lineage.turning_points(board) if board else [],
    }
    return Page(
        url="/",
        template="landing.html",
        title="",
        description=book.site.tagline,
        context=context,
        modules=(*(("chart",) if board else ()), *(("later",) if offers else ())),
    )


def stills(board: Board | None, media: Mapping[str, Media]) -> list[str]:
    """The posters that the front page shows in a list or on narrow screens."""
    best = board.frontier if board else None
    shown = [media[entry.url].decoded for entry in _top(board) if entry.url in media]
    return [*([media[best.url].original, media[best.url].decoded] if best and best.url in media else []), *shown]


def _brief(figure: Figure, book: Book) -> Figure:
    """A figure of the front page: its table ends early, and leads to the ledger, which has every row."""
    if book.main is None or len(figure.rows) <= BRIEF_ROWS:
        return figure
    return replace(
        figure,
        rows=figure.rows[:BRIEF_ROWS],
        table_title=f"The first {BRIEF_ROWS} as a table",
        more=(book.main.url, f"all {len(figure.rows)} in the ledger"),
    )


def _top(board: Board | None) -> list[Entry]:
    """The best ranked runs, best first; of a recipe that was run again, the best one."""
    first: dict[str, Entry] = {}
    for entry in board.ranked_first if board else ():
        first.setdefault(entry.run.recipe, entry)
        if len(first) == TOP:
            break
    return list(first.values())


def ledgers(book: Book) -> list[Page]:
    """The list of contracts, and one page with charts and table for each."""
    pages = [sheet("/ledger/", shelves=book.shelves)]
    for shelf in book.shelves:
        long = index.is_long(shelf)
        boards = [
            (board, [f for f in (figures.score_vs_bytes(board), None if long else figures.trajectory(board)) if f])
            for board in shelf.boards
        ]
        ordered = index.ordered(shelf)
        parts = index.parts(shelf) if long else []
        shown = ordered[: index.SHOWN] if long else ordered
        pages.append(
            Page(
                url=shelf.url,
                template="ledger.html",
                searched=False,
                title=f"Ledger of {shelf.contract.name}",
                description=f"{len(shelf.current)} runs measured under the contract {shelf.contract.name}.",
                context={
                    "shelf": shelf,
                    "boards": boards,
                    "deltas": index.deltas(shelf, shown),
                    "shown": shown,
                    "index_url": index.url(shelf) if long else "",
                    "n_parts": len(parts),
                },
                nav="/ledger/",
                modules=("chart", "rows" if long else "table"),
            )
        )
        pages += [
            Page(
                url=index.part_url(shelf, number),
                template="ledger-part.html",
                searched=False,
                title=f"Ledger of {shelf.contract.name}, part {number}",
                description=f"Part {number} of {len(parts)} of the runs under {shelf.contract.name}, best score first.",
                context={"shelf": shelf, "number": number, "n_parts": len(parts), "rows": rows},
                nav="/ledger/",
                key=(len(parts), tuple(map(id, rows))),
            )
            for number, rows in enumerate(parts, 1)
        ]
    return pages


def notebook(texts: list[Rendered]) -> list[Page]:
    """The list of entries, and a page for each."""
    pages = [sheet("/notebook/", texts=texts)]
    return pages + [
        Page(
            url=f"/notebook/{text.document.slug}/",
            template="entry.html",
            title=text.document.title,
            description=text.document.summary,
            context={"text": text},
            nav="/notebook/",
            modules=("chart",),
        )
        for text in texts
    ]


def texts(rendered: list[Rendered], board: Board | None, packet: Packet, files: Mapping[str, Content]) -> list[Page]:
    """Pages of prose; the one for judges has the packets and every kept archive besides."""
    pages = []
    for text in rendered:
        judges = text.document.slug == "judges"
        kept = [entry for entry in (board.entries if board else ()) if entry.archive]
        context: dict[str, Any] = {"text": text}
        if judges:
            decoder = [name for name in sorted(packet.files) if name.startswith(f"{FOLDER}runtime/")]
            context |= {
                "packet": packet,
                "folder": f"/{FOLDER}",
                "listing": data.listing(packet.files, [name for name in sorted(packet.files) if name not in decoder]),
                "runtime": data.listing(packet.files, decoder),
                "archives": [
                    (entry, data.archive_url(entry), f"/{name}", data.size_of(files[name]) if name in files else 0)
                    for entry in sorted(kept, key=lambda e: (e.total, e.id))
                    for name in (zip_name(entry),)
                ],
            }
        pages.append(
            Page(
                url=f"/{text.document.slug}/",
                template="judges.html" if judges else "page.html",
                title=text.document.title,
                description=text.document.summary,
                context=context,
                nav=f"/{text.document.slug}/",
                short=text.document.short,
                modules=("copy", "verify") if judges else ("chart",),
            )
        )
    return pages


def glossary(book: Book, desk: Desk) -> Page:
    """Every word once, with an anchor."""
    text = prose.render(prose.read(book.source / "glossary.md", book.source), desk)
    if text.waits_for:
        raise SiteError(text.document.where, expected="definitions that need no runs", found="a citation")
    return Page(
        url="/glossary/",
        template="page.html",
        title=text.document.title,
        description=text.document.summary,
        context={"text": Rendered(document=text.document, html=prose.with_anchors(text.html), cited=text.cited)},
        nav="/glossary/",
        short=text.document.short,
    )


def changes(texts: list[Rendered]) -> Page:
    """What changed for users, by kind."""
    groups = [(kind, [text for text in texts if text.document.slug.endswith(f".{kind}")]) for kind in KINDS]
    odd = [text.document.where for text in texts if text.document.slug.rpartition(".")[2] not in KINDS]
    if odd:
        raise SiteError(odd[0], expected="a name that ends in one of " + ", ".join(f".{kind}.md" for kind in KINDS))
    return sheet("/changes/", groups=[(kind, group) for kind, group in groups if group])


def machine_files(book: Book, files: Mapping[str, Content]) -> Page:
    """The ledger as files, and what was withheld."""
    names = [name for name in sorted(files) if name.startswith("data/") and name.count("/") <= 2]
    reasons: dict[str, int] = {}
    for item in book.withheld:
        reasons[item.reason] = reasons.get(item.reason, 0) + 1
    return sheet(
        "/data/",
        files=data.listing(files, names),
        reasons=sorted(reasons.items()),
        shelves=book.shelves,
        has_feed=feeds.ATOM in files,
        dataset=feeds.as_markup(feeds.dataset(book)),
    )
