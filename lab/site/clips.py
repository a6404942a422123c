"""Which moving pictures the site shows: a comparison clip for each run that has one, and the atlas of the top runs.

A clip holds original and decoded pane of every frame in one video; the atlas holds the original beside several runs. A
page cuts the panes apart on canvas, so nothing can drift. Everything is kept in a cache under the digest of what went
into it. Clips illustrate a run; they are never score authority.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import custody
from lab.contract import Contract
from lab.errors import CustodyError, MediaMissing
from lab.ledger import write_atomic
from lab.site import mosaic
from lab.site.book import Board, Book, Entry
from lab.site.mosaic import Order

LIMIT_BYTES, ATLAS_LIMIT_BYTES = 2_500_000, 4_000_000
ATLAS = "/compare/"
ATLAS_RUNS = 5
Monitor = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A tiled video, the index of its frames, and a still for each pane, the original's first.

    `pane` is (width, height), `pitch` (width, height) from the corner of one pane to the next.
    """

    video: Path
    index: Path
    posters: tuple[Path, ...]
    n_bytes: int
    n_frames: int
    fps: str
    pane: tuple[int, int]
    pitch: tuple[int, int]
    columns: int
    poster_frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A clip as a page links it."""

    clip: Clip
    video: str
    index: str
    posters: tuple[str, ...]

    @property
    def original(self) -> str:
        """Its first still."""
        return self.posters[0]

    @property
    def decoded(self) -> str:
        """The still of its first decoded pane."""
        return self.posters[1]


def top(board: Board) -> list[Entry]:
    """The runs that the atlas shows: the best of each family, the baseline, then the next best; those with a clip."""
    shown = [entry for entry in board.ranked_first if entry.clip]
    families: dict[str, Entry] = {}
    for entry in shown:
        families.setdefault(entry.run.family, entry)
    start = [board.start] if board.start and board.start.clip else []
    chosen = list({entry.id: entry for entry in (*families.values(), *start, *shown)}.values())[:ATLAS_RUNS]
    return sorted(chosen, key=lambda e: (e.total, e.id))


def prepare(book: Book, cache: Path, monitor: Monitor) -> dict[str, Clip]:
    """The clip of every standing run that has one, by the address of its page, and the atlas under `ATLAS`.

    Each is taken from the cache where it is there, else encoded in a fresh process, as many at once as processors.

    Raises:
        MediaMissing: the source video of a run's contract is not there; the message names the run.
        SiteError: a clip that cannot be read, or that is longer than its source.
    """
    orders: dict[str, Order] = {}
    digests: dict[Path, str] = {}
    for shelf in book.shelves:
        for entry in shelf.current:
            if entry.clip:
                digests |= {} if entry.contract.source_path in digests else _source_digest(entry)
                orders[entry.url] = _order(f"clip of run {entry.id}", entry.contract, [entry], 1, LIMIT_BYTES)
    board = book.main.boards[0] if book.main and book.main.boards else None
    if board and len(shown := top(board)) > 1:
        orders[ATLAS] = _order(
            "atlas of the top runs", board.contract, shown, 2 if len(shown) < 5 else 3, ATLAS_LIMIT_BYTES
        )
    keys = {address: _key(order, digests) for address, order in orders.items()}
    known = {address: _cached(cache, key) for address, key in keys.items()}
    found = {address: clip for address, clip in known.items() if clip}
    todo = [address for address in orders if address not in found]
    if todo:
        monitor("comparison clips", 0, len(todo))
        cache.mkdir(parents=True, exist_ok=True)
        # a thread waits for each encoding process; which of them ends first decides nothing
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = {pool.submit(_make, orders[address], keys[address], cache): address for address in todo}
            try:
                for done, job in enumerate(as_completed(jobs), 1):
                    found[jobs[job]] = job.result()
                    monitor("comparison clips", done, len(todo))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return found


def _order(where: str, contract: Contract, entries: Sequence[Entry], columns: int, limit_bytes: int) -> Order:
    return Order(
        where=where,
        videos=(contract.source_path, *(entry.clip for entry in entries if entry.clip)),
        columns=columns,
        size=contract.frame_size,
        fps=contract.source.rate,
        limit_bytes=limit_bytes,
    )


def _source_digest(entry: Entry) -> dict[Path, str]:
    path = entry.contract.source_path
    if not path.is_file():
        raise MediaMissing(
            f"clip of run {entry.id}",
            expected=f"the source video {path.name} of contract {entry.contract.name!r}",
            found="nothing there",
            fix="restore the source, its first pane is cut from it",
        )
    custody.expect_file(path, entry.contract.source.sha256, f"source of contract {entry.contract.name!r}")
    return {path: entry.contract.source.sha256}


def _key(order: Order, digests: Mapping[Path, str]) -> str:
    parts = [digests.get(path) or custody.sha256_file(path) for path in order.videos]
    settings = [order.columns, order.size, str(order.fps), order.limit_bytes, *mosaic.SETTINGS]
    return custody.sha256_bytes(json.dumps([parts, settings]).encode())[:32]


def _names(cache: Path, key: str, n_panes: int) -> tuple[Path, Path, tuple[Path, ...]]:
    posters = tuple(cache / f"{key}-{pane}.webp" for pane in range(n_panes))
    return cache / f"{key}.mp4", cache / f"{key}-index.json", posters


def _cached(cache: Path, key: str) -> Clip | None:
    try:
        facts = json.loads((cache / f"{key}.json").read_text(encoding="utf-8"))
        digests = facts.pop("digests")
        video, index, posters = _names(cache, key, len(digests) - 2)
        whole = digests == [custody.sha256_file(path) for path in (video, index, *posters)]
    except (OSError, ValueError, KeyError, TypeError, CustodyError):
        return None
    facts |= {name: tuple(facts[name]) for name in ("pane", "pitch")}
    return Clip(video=video, index=index, posters=posters, **facts) if whole else None


def _make(order: Order, key: str, cache: Path) -> Clip:
    video, index, posters = _names(cache, key, len(order.videos))
    with tempfile.TemporaryDirectory(dir=cache, prefix="clip-") as folder:
        made, table, facts, stills = mosaic.make(order, Path(folder))
        facts["n_bytes"] = made.stat().st_size
        write_atomic(video, made.read_bytes())
    for path, content in ((index, table), *zip(posters, stills, strict=True)):
        write_atomic(path, content)
    digests = [custody.sha256_file(path) for path in (video, index, *posters)]
    clip = Clip(video=video, index=index, posters=posters, **facts)
    kept = {name: value for name, value in asdict(clip).items() if name not in ("video", "index", "posters")}
    write_atomic(cache / f"{key}.json", json.dumps({**kept, "digests": digests}, sort_keys=True).encode())
    return clip
