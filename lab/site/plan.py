"""Which pages and files exist, decided before anything is rendered. What each prints is in `pages`.

/                            landing                     /notebook/  /notebook/<entry>/
/ledger/                     contracts with runs         /glossary/  /changes/  /<page>/  (site_src/pages)
/ledger/<contract>/          one contract: table, chart  /judges/    packet and how to check it
/runs/<contract>/<run-id>/   one run                     /data/      files for machines, what was withheld
/others/                     what others measured        /axes/      its CPU scores against its CUDA scores
/compare/                    two to four runs, frame by frame
/entropy/                    class maps through every coder
/calibration/                what searches predicted, and what came
/anatomy/                    archives cut open, ours and those of others
/race/  /against/            own best against the public best; any two runs
/dead-lanes/  /names/        what was buried and why; names of recipes, explained
/evidence/  /inflate/        claims with their files; decoders stage by stage
/growth/                     how a build of this site grows, and how fast it is beside others
/status/                     frontiers, open questions, stale evidence, what to run next
/contents/  /search/         reading order: every page, described by itself; words in prose
/interactive/                every figure to zoom and to pan, once asked for
/404.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from markupsafe import Markup

from lab.site import (
    against,
    axes,
    calibration,
    claims,
    coding,
    compare,
    contents,
    data,
    eras,
    feeds,
    growth,
    host,
    inflate,
    interactive,
    lanes,
    names,
    others,
    packets,
    pages,
    prose,
    race,
    room,
    runs,
    status,
    stills,
    streams,
    tables,
    throughput,
)
from lab.site.book import Board, Book, Entry
from lab.site.charts import Figure
from lab.site.clips import Clip, Media
from lab.site.data import Content
from lab.site.prose import Desk, Rendered
from lab.site.sheets import Page, sheet
from lab.site.stage import Stage

# the masthead, in its order; what a page is called and says of itself stands with the page
NAV = (
    "/reading/",
    "/ledger/",
    "/compare/",
    "/notebook/",
    "/race/",
    "/dead-lanes/",
    "/evidence/",
    "/judges/",
    "/others/",
    "/contents/",
    "/search/",
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All pages, all other files, and the texts that wait for runs."""

    book: Book
    pages: tuple[Page, ...]
    files: Mapping[str, Content]
    nav: tuple[Page, ...]
    waiting: tuple[Rendered, ...] = field(default=())
    stage: Stage = field(default_factory=Stage)


FigureMakers = Mapping[str, Callable[..., Markup]]


def make(
    book: Book,
    clips: Mapping[str, Clip],
    makers: Callable[[Board | None, Callable[[Figure], None]], FigureMakers],
    made: Mapping[str, Content] | None = None,
    pack: Callable[[Iterable[Entry], Path], Mapping[str, bytes]] = packets.zips,
    space: room.Room = room.HOST,
    tabled: Callable[[], Mapping[str, Content]] | None = None,
    stage: Stage | None = None,
) -> Plan:
    """The plan of the whole site; where a host takes fewer files than it would have, fewer runs have a page.

    Args:
        clips: prepared clips by the address of their run's page, and the atlas by its own.
        makers: the figures that prose may ask for, for a board.
        made: files that this module must not make: the script of the interactive view, which comes out of its package.
        pack: zips the packets of runs, perhaps with a memory of former builds.
        space: how many files there may be.
        tabled: what gives the ledgers, as `tables.together` does; without it they are made here, without Parquet.
        stage: that of the builds before, where a builder stays.
    """
    stage = stage or Stage()
    media, files = _media(clips)
    files |= made or {}
    words = _glossary_words(book)
    desk, drawn, texts = _written(book, makers, words)
    spoken = frozenset(entry.url for group in texts.values() for text in group for entry in text.cited)
    fitting = room.fit(book, spoken, len(files), space)
    if fitting is not book:
        book = fitting
        desk, drawn, texts = _written(book, makers, words)  # with links to where runs without a page are listed
    board = _main_board(book)
    files |= data.files(book)
    packet = packets.of(board.frontier if board else None, book.ledgers)
    files |= packet.files
    cited = packets.cited(packet.entry, [text.cited for group in texts.values() for text in group])
    packed = dict(pack(cited, book.ledgers))
    files |= {packets.zip_name(entry): packed[entry.id] for entry in cited if entry.id in packed}
    if packet.zip_name and packet.zip_name not in files:  # incomplete, and said so
        files[packet.zip_name] = packet.as_zip()
    files |= feeds.files(book, board, texts["notebook"])
    past = book.ledgers / "external"
    facts = others.load(past)
    compared = axes.load(book.ledgers)
    files |= compared.files if compared else {}
    coded = coding.load(book.ledgers)
    files |= {f"data/{coding.FILE}": book.ledgers / coding.FILE} if coded else {}
    files |= {f"data/{throughput.FILE}": book.ledgers / throughput.FILE} if throughput.load(book.ledgers) else {}
    grown = growth.load(book.ledgers)
    files |= {f"data/{growth.FILE}": book.ledgers / growth.FILE} if grown else {}
    searches, journals = calibration.load(book)
    files |= journals
    buried = lanes.load(book.ledgers)
    files |= buried.files
    standing = status.load(book) if board else None
    files |= standing.files if standing else {}
    ran = race.load(board, facts.rows)
    opened = streams.load(board, streams.words(book.source / "streams.toml"), files)
    named = names.names(board, names.table(book.source / "names.toml"))
    timelines = inflate.load(book.ledgers, board)
    files |= {f"data/{inflate.FILE}": book.ledgers / inflate.FILE} if timelines else {}
    beside = against.files(book.main.boards) if book.main else {}
    files |= beside
    offered = compare.offers(board, media, files)
    small, thumbnails = stills.small(pages.stills(board, media), files)
    files |= thumbnails
    planned = [
        pages.landing(book, board, media, texts["notebook"], (eras.load(past), eras.references(past)), offered, small),
        *pages.ledgers(book),
    ]
    files |= tabled() if tabled else tables.files(book)
    planned += [
        *([sheet("/status/", status=standing, file=status.FILE, shown=status.SHOWN)] if standing else []),
        *runs.pages(book, media, files, stage),
        *compare.pages(board, media, offered),
        *pages.notebook(texts["notebook"]),
        *pages.texts(texts["pages"], board, packet, files),
        *([] if facts.is_empty else [sheet("/others/", facts=facts)]),
        *([sheet("/anatomy/", archives=opened, anatomies=facts.anatomies)] if opened or facts.anatomies else []),
        *([sheet("/axes/", axes=compared)] if compared else []),
        *([sheet("/entropy/", coding=coded)] if coded else []),
        *([sheet("/calibration/", searches=searches)] if searches else []),
        *([sheet("/race/", race=ran)] if ran else []),
        *(
            [sheet("/dead-lanes/", lanes=buried, file=lanes.FILE, rejected=_rejected(board), runs=_recorded(book))]
            if buried.rows
            else []
        ),
        *([sheet("/inflate/", timelines=timelines)] if timelines else []),
        *([sheet("/growth/", growth=grown)] if grown else []),
        *(_of_board(board, named, files, texts["claims"], beside) if board else []),
        pages.glossary(book, desk()),
        pages.changes(texts["changes"]),
        pages.machine_files(book, files),
        sheet("/404.html"),
    ]
    views = interactive.views(planned, drawn)
    files |= interactive.files(views)
    script = next((f"/{name}" for name in files if name.startswith("assets/plotly.")), "")
    planned.append(sheet("/interactive/", views=views, script=script))
    planned.append(sheet("/search/", listed=contents.alone(planned)))
    planned.append(sheet("/contents/", groups=contents.groups(planned), texts=texts["notebook"]))
    there = {page.url: page for page in planned}
    files |= {"_headers": host.headers_file(), "_redirects": host.redirects_file()}
    files[".assetsignore"] = host.UNSERVED
    files["robots.txt"] = host.robots_file(book.site.url)
    if book.site.url:
        files["sitemap.xml"] = host.sitemap_file(book.site.url, there.keys() - {"/404.html"})
    return Plan(
        book=book,
        pages=tuple(planned),
        files=files,
        nav=tuple(there[url] for url in NAV if url in there),
        waiting=tuple(text for group in texts.values() for text in group if text.waits_for),
        stage=stage,
    )


def _main_board(book: Book) -> Board | None:
    return book.main.boards[0] if book.main and book.main.boards else None


def _written(
    book: Book,
    makers: Callable[[Board | None, Callable[[Figure], None]], FigureMakers],
    words: Mapping[str, str],
) -> tuple[Callable[[], Desk], list[Figure], dict[str, list[Rendered]]]:
    """(a desk for further texts, the figures that were drawn, every text by the folder that it lies in)."""
    board = _main_board(book)
    drawn: list[Figure] = []
    desk = partial(Desk, book, board, makers(board, drawn.append), words)
    return desk, drawn, {kind: _texts(book, kind, desk) for kind in ("pages", "notebook", "claims", "changes")}


def _of_board(
    board: Board,
    named: list[names.Name],
    files: Mapping[str, Content],
    claimed: list[Rendered],
    beside: Mapping[str, Content],
) -> list[Page]:
    """The pages that need runs which may be compared."""
    return [
        sheet("/against/", pairs=against.pairs(board), runs_url=f"/{next(iter(beside))}" if beside else ""),
        sheet("/evidence/", written=claims.written(claimed, files), families=claims.of_families(board, files)),
        sheet(
            "/names/",
            names=named[: names.SHOWN],
            n_names=len(named),
            tricks=names.tricks(named, board),
            longest=names.longest(named),
            ledger_url=f"/ledger/{board.contract.name}/",
        ),
    ]


def _recorded(book: Book) -> dict[str, Entry]:
    return {entry.id: entry for entry in book.main.entries} if book.main else {}


def _rejected(board: Board | None) -> int:
    return sum(entry.run.verdict == "rejected" for entry in board.entries) if board else 0


def _media(clips: Mapping[str, Clip]) -> tuple[dict[str, Media], dict[str, Content]]:
    found: dict[str, Media] = {}
    files: dict[str, Content] = {}

    def name(path: Path) -> str:
        url = f"/media/{data.digest_of(path)[:20]}{path.suffix}"
        files[url[1:]] = path
        return url

    for key, clip in clips.items():
        posters = tuple(name(path) for path in clip.posters)
        found[key] = Media(clip=clip, video=name(clip.video), index=name(clip.index), posters=posters)
    return found, files


def _texts(book: Book, kind: str, desk: Callable[[], Desk]) -> list[Rendered]:
    return [prose.render(document, desk()) for document in prose.read_folder(book.source / kind, book.source)]


def _glossary_words(book: Book) -> dict[str, str]:
    return prose.glossary_terms(prose.read(book.source / "glossary.md", book.source))
