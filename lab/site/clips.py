"""The comparison clip: original and decoded frames stacked in one video, so that no player can let them drift.

One file holds both panes of every frame; a page cuts them apart on canvas. Panes fill whole macroblocks: the encoder
never mixes the two, and its bytes repeat (x264 reads memory beyond a width that is no multiple of 16). The file carries
no tags and no encoder remarks, and is kept in a cache under the digest of everything that went into it. A clip
illustrates a run; it is never score authority.

This is the only module of the site that touches pictures, and it imports what it needs for that when it must encode.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import custody
from lab.errors import CustodyError, MediaMissing, SiteError
from lab.ledger import write_atomic
from lab.site.book import Entry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]

LIMIT_BYTES = 4_000_000
FRAME_LIMIT = 3_000
BLOCK_PX = 16
POSTER_QUALITIES, POSTER_BYTES = (78, 60, 45, 30, 20), 32_000
QUALITY_STEPS = (21, 25, 29, 33, 38)
# what decides the bytes besides the two inputs; part of the cache key
ENCODER = {
    "preset": "veryfast",
    "g": "20",
    "bf": "2",
    "threads": "1",
    "pix_fmt": "yuv420p",
    "poster": "webp",
    "layout": "3",
}
Monitor = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A stacked video and the pictures that stand for it. `pane` is (width, height), `pitch` the second pane's top."""

    video: Path
    original_poster: Path
    decoded_poster: Path
    n_bytes: int
    n_frames: int
    fps: str
    pane: tuple[int, int]
    pitch: int
    poster_frame: int


def prepare(entries: Sequence[Entry], cache: Path, monitor: Monitor) -> dict[str, Clip]:
    """The clip of every run that has one, from the cache where it is there, by run id and contract.

    Each clip is encoded in a fresh process, as many at once as there are processors.

    Raises:
        MediaMissing: the source video of a run's contract is not there; the message names the run.
        SiteError: a clip that cannot be read, or that is longer than its source.
    """
    wanted = [entry for entry in entries if entry.clip is not None]
    sources = {path: _source_digest(entry) for path, entry in {e.contract.source_path: e for e in wanted}.items()}
    found: dict[str, Clip] = {}
    todo: list[tuple[Entry, str]] = []
    for entry in wanted:
        key = _key(entry, sources[entry.contract.source_path])
        known = _cached(cache, key)
        if known:
            found[entry.url] = known
        else:
            todo.append((entry, key))
    if todo:
        monitor("comparison clips", 0, len(todo))
        cache.mkdir(parents=True, exist_ok=True)
        # a thread waits for each encoding process; which of them ends first decides nothing
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = {pool.submit(_make, entry, key, cache): entry for entry, key in todo}
            try:
                for done, job in enumerate(as_completed(jobs), 1):
                    found[jobs[job].url] = job.result()
                    monitor("comparison clips", done, len(todo))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return found


def _source_digest(entry: Entry) -> str:
    path = entry.contract.source_path
    if not path.is_file():
        raise MediaMissing(
            f"clip of run {entry.id}",
            expected=f"the source video {path.name} of contract {entry.contract.name!r}",
            found="nothing there",
            fix="restore the source, its left pane is cut from it",
        )
    custody.expect_file(path, entry.contract.source.sha256, f"source of contract {entry.contract.name!r}")
    return entry.contract.source.sha256


def _key(entry: Entry, source_sha256: str) -> str:
    assert entry.clip is not None
    parts = [source_sha256, custody.sha256_file(entry.clip), entry.contract.source.fps, str(entry.contract.frame_size)]
    return custody.sha256_bytes(
        json.dumps([*parts, ENCODER, QUALITY_STEPS, LIMIT_BYTES, POSTER_QUALITIES, POSTER_BYTES]).encode()
    )[:32]


def _names(cache: Path, key: str) -> tuple[Path, Path, Path, Path]:
    return tuple(cache / f"{key}{end}" for end in (".mp4", "-original.webp", "-decoded.webp", ".json"))  # type: ignore[return-value]


def _cached(cache: Path, key: str) -> Clip | None:
    video, original, decoded, note = _names(cache, key)
    try:
        facts = json.loads(note.read_text(encoding="utf-8"))
        whole = facts.pop("digests") == [custody.sha256_file(path) for path in (video, original, decoded)]
    except (OSError, ValueError, KeyError, CustodyError):
        return None
    facts["pane"] = tuple(facts["pane"])
    return Clip(video=video, original_poster=original, decoded_poster=decoded, **facts) if whole else None


def _make(entry: Entry, key: str, cache: Path) -> Clip:
    import av

    assert entry.clip is not None
    video, original, decoded, note = _names(cache, key)
    with tempfile.TemporaryDirectory(dir=cache, prefix="clip-") as folder:
        draft, final = Path(folder) / "draft.mp4", Path(folder) / "final.mp4"
        try:
            for crf in QUALITY_STEPS:
                facts, posters = _apart(entry, draft, crf)
                _strip(draft, final)
                if final.stat().st_size <= LIMIT_BYTES:
                    break
            else:
                raise SiteError(f"clip of run {entry.id}", expected=f"at most {LIMIT_BYTES:,} bytes", fix="shorten it")
        except av.FFmpegError as error:
            raise SiteError(
                f"clip of run {entry.id}",
                expected="a video",
                found=str(error)[:200],
                fix="restore it from version control",
            ) from None
        facts["n_bytes"] = final.stat().st_size
        write_atomic(video, final.read_bytes())
    for path, picture in zip((original, decoded), posters, strict=True):
        write_atomic(path, picture)
    digests = [custody.sha256_file(path) for path in (video, original, decoded)]
    clip = Clip(video=video, original_poster=original, decoded_poster=decoded, **facts)
    kept = {name: value for name, value in asdict(clip).items() if not isinstance(value, Path)}
    write_atomic(note, json.dumps({**kept, "digests": digests}, sort_keys=True).encode())
    return clip


def _apart(entry: Entry, target: Path, crf: int) -> tuple[dict[str, Any], tuple[bytes, bytes]]:
    """`_encode` in a process of its own: x264 was seen to read memory that it had not written, so bytes repeat only
    where every encode starts from the same fresh memory.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_encode, entry, target, crf).result()


def _encode(entry: Entry, target: Path, crf: int) -> tuple[dict[str, Any], tuple[bytes, bytes]]:
    import av
    import numpy as np

    assert entry.clip is not None
    fps, (height, width) = entry.contract.source.rate, entry.contract.frame_size
    pitch, whole_width = (-(-side // BLOCK_PX) * BLOCK_PX for side in (height, width))
    posters: list[bytes] = []
    total = _count(entry.clip)
    poster_frame, number = total // 3, 0
    options = {name: ENCODER[name] for name in ("preset", "g", "bf", "threads")}
    with av.open(str(target), "w", format="mp4", options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("libx264", rate=fps, options={**options, "crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = whole_width, 2 * pitch, ENCODER["pix_fmt"]
        stream.codec_context.thread_count = 1
        for number, pair in enumerate(_both(entry, width, height), 1):
            fitted = [_fit(planes, pitch, whole_width) for planes in pair]
            stacked = [np.concatenate(planes).reshape(-1) for planes in zip(*fitted, strict=True)]
            frame = av.VideoFrame.from_ndarray(np.concatenate(stacked).reshape(-1, whole_width), format="yuv420p")
            if number - 1 == poster_frame:
                seen = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                posters = [_poster(seen[top : top + height, :width].astype(np.uint8, copy=False)) for top in (0, pitch)]
            frame.pts, frame.time_base = number - 1, 1 / fps
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    facts: dict[str, Any] = {"n_frames": number, "fps": str(Fraction(fps)), "pane": (width, height)}
    facts |= {"pitch": pitch, "poster_frame": poster_frame}
    return facts, (posters[0], posters[1])


def _fit(planes: Planes, height: int, width: int) -> Planes:
    """Planes enlarged to whole macroblocks by repeating their last row and column."""
    import numpy as np

    def fit(plane: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
        return np.pad(plane, ((0, rows - plane.shape[0]), (0, columns - plane.shape[1])), mode="edge")

    luma, blue, red = planes
    return (
        fit(luma, height, width),
        fit(blue, height // 2, width // 2),
        fit(red, height // 2, width // 2),
    )


def _both(entry: Entry, width: int, height: int) -> Iterator[tuple[Planes, Planes]]:
    """(original, decoded) planes, as many as the clip has frames."""
    assert entry.clip is not None
    source = _frames(entry.contract.source_path, width, height)
    for decoded in _frames(entry.clip, width, height):
        original = next(source, None)
        if original is None:
            raise SiteError(f"clip of run {entry.id}", expected="at most as many frames as its source", found="more")
        yield original, decoded


def _frames(path: Path, width: int, height: int) -> Iterator[Planes]:
    """Planes of a file in YUV 4:2:0, cut or scaled to a size; what an encoder added to fill its blocks is cut.

    Planes are taken as the decoder wrote them wherever that is possible: a conversion reads past a row whose width
    fills no vector, so its last columns would not repeat.
    """
    import av
    import numpy as np

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number >= FRAME_LIMIT:
                return
            near = 0 <= frame.width - width < BLOCK_PX and 0 <= frame.height - height < BLOCK_PX
            plain = near and frame.format.name == ENCODER["pix_fmt"]
            sizes = () if plain else (-(-width // 2) * 2, -(-height // 2) * 2, ENCODER["pix_fmt"])
            picture = frame.reformat(*sizes) if sizes else frame
            rows = [np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size) for plane in picture.planes]
            half = (-(-height // 2), -(-width // 2))
            yield (
                rows[0][:height, :width].copy(),
                rows[1][: half[0], : half[1]].copy(),
                rows[2][: half[0], : half[1]].copy(),
            )


def _count(path: Path) -> int:
    import av

    with av.open(str(path)) as container:
        declared = container.streams.video[0].frames
        if not 0 < declared <= FRAME_LIMIT:
            raise SiteError(f"clip {path.name}", expected=f"1 to {FRAME_LIMIT:,} frames", found=str(declared))
        return int(declared)


def _strip(draft: Path, final: Path) -> None:
    """Remux without the encoder's SEI, index first."""
    import av
    from av.bitstream import BitStreamFilterContext

    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(draft)) as source, av.open(str(final), "w", format="mp4", options=options) as out:
        stream = source.streams.video[0]
        target = out.add_stream_from_template(stream)
        drop = BitStreamFilterContext("filter_units=remove_types=6", stream, target)
        for packet in source.demux(stream):
            for kept in drop.filter(packet if packet.dts is not None else None):
                kept.stream = target
                out.mux(kept)


def _poster(pane: NDArray[np.uint8]) -> bytes:
    """A still in WebP, coarser where a picture is noisy: the landing page loads two of them at once."""
    import io

    from PIL import Image

    picture, data = Image.fromarray(pane), b""
    for quality in POSTER_QUALITIES:
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=quality, method=6)
        data = out.getvalue()
        if len(data) <= POSTER_BYTES:
            break
    return data
