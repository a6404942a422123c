"""Several moving pictures of one size tiled into one video, so that no player can let them drift.

Panes fill whole macroblocks: the encoder never mixes two of them, and its bytes repeat (x264 reads memory beyond a
width that is no multiple of 16). The file carries no tags and no encoder remarks. Beside it goes an index of its coded
frames, with which a browser can decode it frame by frame without parsing the container.

This is the only module of the site that touches moving pictures; it imports what it needs for that when it must encode.
"""

from __future__ import annotations

import base64
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import SiteError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]

FRAME_LIMIT = 3_000
BLOCK_PX = 16
POSTER_QUALITIES, POSTER_BYTES = (78, 60, 45, 30, 20), 32_000
QUALITY_STEPS = (26, 30, 34, 38, 42)
# What tiling at the first step leaves of the bytes of the decoded videos, and what each further step leaves of that.
SHRINKS = (0.7, 0.6)
ENCODER = {"preset": "veryfast", "g": "20", "bf": "2", "threads": "1", "pix_fmt": "yuv420p"}
# everything of this module that decides bytes; part of a cache key
SETTINGS = (ENCODER, QUALITY_STEPS, SHRINKS, POSTER_QUALITIES, POSTER_BYTES, "index 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to tile: videos in the order of their panes, the source first, left to right, `columns` in a row.

    `size` is (height, width) of a pane; `limit_bytes` bounds the file, which gets coarser until it fits.
    """

    where: str
    videos: tuple[Path, ...]
    columns: int
    size: tuple[int, int]
    fps: Fraction
    limit_bytes: int

    @property
    def pitch(self) -> tuple[int, int]:
        """(width, height) from the corner of one pane to the next."""
        height, width = (-(-side // BLOCK_PX) * BLOCK_PX for side in self.size)
        return width, height

    @property
    def rows(self) -> int:
        """How many rows the panes fill."""
        return -(-len(self.videos) // self.columns)


def make(order: Order, folder: Path) -> tuple[Path, bytes, dict[str, Any], list[bytes]]:
    """(video, index as JSON, facts, one still for each pane) of an order, written into a folder.

    Raises:
        SiteError: a video that cannot be read, that is longer than the source, or that fits no limit.
    """
    import av

    draft, final = folder / "draft.mp4", folder / "final.mp4"
    try:
        for crf in QUALITY_STEPS[_first_step(order) :]:
            facts, posters = _apart(order, draft, crf)
            _strip(draft, final)
            if final.stat().st_size <= order.limit_bytes:
                return final, json.dumps(_index(final), separators=(",", ":")).encode(), facts, posters
    except av.FFmpegError as error:
        raise SiteError(
            order.where, expected="a video", found=str(error)[:200], fix="restore it from version control"
        ) from None
    raise SiteError(order.where, expected=f"at most {order.limit_bytes:,} bytes", fix="shorten it")


def _first_step(order: Order) -> int:
    """Which step is likely the first to fit, so that finer ones need not be encoded in vain."""
    expected = SHRINKS[0] * sum(video.stat().st_size for video in order.videos[1:])
    sizes = [expected * SHRINKS[1] ** step for step in range(len(QUALITY_STEPS))]
    return next((step for step, size in enumerate(sizes) if size <= order.limit_bytes), len(sizes) - 1)


def _apart(order: Order, target: Path, crf: int) -> tuple[dict[str, Any], list[bytes]]:
    """`_encode` in a process of its own: x264 was seen to read memory that it had not written, so bytes repeat only
    where every encode starts from the same fresh memory.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_encode, order, target, crf).result()


def _encode(order: Order, target: Path, crf: int) -> tuple[dict[str, Any], list[bytes]]:
    import av
    import numpy as np

    (height, width), (step_x, step_y) = order.size, order.pitch
    total = min(_count(path) for path in order.videos[1:])
    poster_frame, number, posters = total // 3, 0, list[bytes]()
    options = {name: ENCODER[name] for name in ("preset", "g", "bf", "threads")}
    with av.open(str(target), "w", format="mp4", options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("libx264", rate=order.fps, options={**options, "crf": str(crf)})
        stream.width, stream.height = order.columns * step_x, order.rows * step_y
        stream.pix_fmt, stream.codec_context.thread_count = ENCODER["pix_fmt"], 1
        for number, panes in enumerate(_together(order, total), 1):
            fitted = [_fit(planes, step_y, step_x) for planes in panes]
            tiled = [_tile(planes, order) for planes in zip(*fitted, strict=True)]
            flat = np.concatenate([plane.reshape(-1) for plane in tiled]).reshape(-1, stream.width)
            frame = av.VideoFrame.from_ndarray(flat, format="yuv420p")
            if number - 1 == poster_frame:
                seen = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                for pane in range(len(panes)):
                    left, top = pane % order.columns * step_x, pane // order.columns * step_y
                    posters.append(_poster(seen[top : top + height, left : left + width]))
            frame.pts, frame.time_base = number - 1, 1 / order.fps
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    facts: dict[str, Any] = {"n_frames": number, "fps": str(order.fps), "pane": (width, height)}
    return facts | {"pitch": order.pitch, "columns": order.columns, "poster_frame": poster_frame}, posters


def _tile(planes: Sequence[NDArray[np.uint8]], order: Order) -> NDArray[np.uint8]:
    """Planes of one size side by side and below each other; cells without one are grey."""
    import numpy as np

    height, width = planes[0].shape
    out = np.full((order.rows * height, order.columns * width), 128, np.uint8)
    for pane, plane in enumerate(planes):
        top, left = pane // order.columns * height, pane % order.columns * width
        out[top : top + height, left : left + width] = plane
    return out


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


def _together(order: Order, total: int) -> Iterator[list[Planes]]:
    """The planes of every pane, frame by frame, as many frames as the shortest decode has."""
    streams = [_frames(path, *order.size) for path in order.videos]
    for _ in range(total):
        panes = [next(stream, None) for stream in streams]
        if panes[0] is None:
            raise SiteError(order.where, expected="at most as many frames as its source", found="more")
        yield [planes for planes in panes if planes is not None]


def _frames(path: Path, height: int, width: int) -> Iterator[Planes]:
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


def _index(video: Path) -> dict[str, Any]:
    """Codec and coded frames of a file, in coding order: [offset, bytes, is it a key frame, display number] each."""
    import av

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        extra = bytes(stream.codec_context.extradata or b"")
        coded = [(p.pos, p.size, int(p.is_keyframe), p.pts) for p in container.demux(stream) if p.pts is not None]
    order = {time: number for number, time in enumerate(sorted(time for *_, time in coded))}
    return {
        "codec": f"avc1.{extra[1:4].hex()}",
        "description": base64.b64encode(extra).decode(),
        "samples": [[*where, order[time]] for *where, time in coded],
    }


def _poster(pane: NDArray[np.uint8]) -> bytes:
    """A still in WebP, coarser where a picture is noisy: the landing page loads two of them at once."""
    import io

    import numpy as np
    from PIL import Image

    picture, data = Image.fromarray(np.ascontiguousarray(pane)), b""
    for quality in POSTER_QUALITIES:
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=quality, method=6)
        data = out.getvalue()
        if len(data) <= POSTER_BYTES:
            break
    return data
