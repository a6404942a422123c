"""Frames of a video file: pairs of RGB frames as the evaluator reads them, and what a file holds.

Decoding is PyAV's, colour is ours (`colour.py`, compiled in `interleaved.py`). A pair is two consecutive frames that no
other pair shares. Colour is taken as BT.601 whatever the file says, because the contest's reader does so; the range is
taken from the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from lab.errors import SampleCountMismatch, VideoError
from lab.video import interleaved

Frame = NDArray[np.uint8]

# Planar formats that are read without any conversion but our own: name -> samples span the full range.
_PLANAR = {"yuv420p": False, "yuvj420p": True, "yuv444p": False, "yuvj444p": True}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
# Demuxers that would read a text as pictures, or a list of other files.
_REFUSED_CONTAINERS = {"tty", "concat", "hls", "dash", "image2", "lavfi"}
_FRAME_LIMIT_PX = 8192 * 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a video file holds. `frame_size` is (height, width); `n_frames` was counted by decoding all of them."""

    frame_size: tuple[int, int]
    n_frames: int
    fps: Fraction
    codec: str
    pixel_format: str
    full_range: bool
    file_bytes: int

    @property
    def n_pairs(self) -> int:
        """Whole pairs; a trailing odd frame belongs to none."""
        return self.n_frames // 2


def probe(path: Path) -> VideoInfo:
    """What a video file holds; decodes it once from end to end.

    Raises:
        VideoError: not a video, no frames, damaged, or frames of several sizes.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        n_frames, size, full_range = 0, (0, 0), False
        for frame in _decode(container, path):
            size = size if n_frames else (frame.height, frame.width)
            full_range = _is_full_range(frame)
            n_frames += 1
        if not rate:
            raise VideoError(path.name, expected="a frame rate", found="none", fix="give the video a constant rate")
        return VideoInfo(
            frame_size=size,
            n_frames=n_frames,
            fps=Fraction(rate),
            codec=str(stream.codec_context.name),
            pixel_format=str(stream.codec_context.pix_fmt),
            full_range=full_range,
            file_bytes=path.stat().st_size,
        )


def read_frames(path: Path) -> Iterator[Frame]:
    """Every frame in display order, uint8 (H, W, 3) RGB.

    Raises:
        VideoError: not a video, no frames, damaged, or frames of several sizes.
    """
    with _open(path) as container:
        for frame in _decode(container, path):
            yield to_rgb(frame)


def read_pairs(path: Path, *, n_pairs: int | None = None, size: tuple[int, int] | None = None) -> Iterator[Frame]:
    """Consecutive pairs of frames in display order, uint8 (2, H, W, 3) RGB.

    Args:
        path: the video.
        n_pairs: how many to read; frames after them are left out. Without it all are read, and an odd one is an error.
        size: (height, width) that every frame must have. HEVC and H.264 cannot carry an odd side in 4:2:0, so where
            `size` is odd a file whose side is one longer is accepted and its last row or column left out.

    Raises:
        VideoError: not a video, no frames, damaged, of another size, or an odd count without `n_pairs`.
        SampleCountMismatch: fewer frames than `n_pairs` asks for.
    """
    wanted = None if n_pairs is None else 2 * n_pairs
    pending: Frame | None = None
    n_frames = 0
    frames = read_frames(path)
    try:
        for frame in frames:
            n_frames += 1
            cropped = frame if size is None else _fit(frame, size, path)
            if pending is None:
                pending = cropped
            else:
                yield np.stack((pending, cropped))
                pending = None
            if n_frames == wanted:
                return
    finally:
        frames.close()  # type: ignore[attr-defined]
    if wanted is not None:
        raise SampleCountMismatch(
            path.name, expected=f"{wanted:,} frames", found=f"{n_frames:,}", fix="the file is cut short or another one"
        )
    if pending is not None:
        raise VideoError(
            path.name,
            expected="an even number of frames",
            found=f"{n_frames:,}",
            fix=f"say how many pairs: {n_frames // 2} leaves the last frame out",
        )


def to_rgb(frame: av.VideoFrame) -> Frame:
    """One decoded frame as uint8 (H, W, 3) RGB, value for value as the contest's CPU reader has it."""
    name = frame.format.name
    if name.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8")):
        return np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    if name not in _PLANAR:
        frame = frame.reformat(format="yuv444p")
    y, u, v = planes(frame)
    return interleaved.frame(y, u, v, full_range=_is_full_range(frame))


def planes(frame: Any) -> tuple[Frame, Frame, Frame]:
    """The three planes of a planar 8-bit YUV frame, without padding."""
    out = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, dtype=np.uint8).reshape(plane.height, plane.line_size)
        out.append(rows[:, : plane.width].copy())
    y, u, v = out
    return y, u, v


def _is_full_range(frame: Any) -> bool:
    return _PLANAR.get(frame.format.name, False) or int(frame.color_range) == _FULL_RANGE


def _fit(frame: Frame, size: tuple[int, int], path: Path) -> Frame:
    found = frame.shape[:2]
    if found == tuple(size):
        return frame
    if all(have == want or (want % 2 and have == want + 1) for have, want in zip(found, size, strict=True)):
        return frame[: size[0], : size[1]]
    raise VideoError(path.name, expected=f"frames of {size[0]}x{size[1]}", found=f"{found[0]}x{found[1]}")


def _open(path: Path) -> Any:
    where = path.name
    if not path.is_file():
        raise VideoError(where, expected="a video file", found="nothing there", fix="check the path")
    if path.stat().st_size == 0:
        raise VideoError(where, expected="a video", found="an empty file", fix="copy or download it again")
    try:
        # A playlist could name other files or addresses; only this one file is read.
        container = av.open(str(path), options={"protocol_whitelist": "file"}, metadata_errors="ignore")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            where, expected="a video", found=_reason(error), fix="use a file that a video player opens"
        ) from None
    try:
        if _REFUSED_CONTAINERS & set(container.format.name.split(",")):
            raise VideoError(where, expected="a video", found=f"a file of kind {container.format.name!r}")
        pictures = [stream for stream in container.streams.video if not _is_cover(stream)]
        if not pictures:
            kinds = sorted({str(stream.type) for stream in container.streams}) or ["no stream"]
            raise VideoError(
                where,
                expected="a stream of pictures",
                found=" and ".join(kinds) + " only",
                fix="use a file with video, not only sound",
            )
        stream = pictures[0]
        if stream.codec_context is None:
            raise VideoError(where, expected="a codec that can be decoded here", found="none for its video stream")
        if (stream.codec_context.width or 0) * (stream.codec_context.height or 0) > _FRAME_LIMIT_PX:
            raise VideoError(where, expected="frames of at most 8192x8192", found="a larger claim")
    except BaseException:
        container.close()
        raise
    return container


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _decode(container: Any, path: Path) -> Iterator[Any]:
    """Decoded frames, at least one and all of one size."""
    where = path.name
    stream = next(stream for stream in container.streams.video if not _is_cover(stream))
    # Frame threads would hold several frames in memory; slices are enough at these sizes.
    stream.thread_type = "SLICE"
    size: tuple[int, int] | None = None
    n_frames = 0
    try:
        for frame in container.decode(stream):
            if size is None:
                size = (frame.height, frame.width)
            elif size != (frame.height, frame.width):
                raise VideoError(
                    f"{where}, frame {n_frames}",
                    expected=f"frames of one size, {size[0]}x{size[1]}",
                    found=f"{frame.height}x{frame.width}",
                    fix="cut the video where its size changes",
                )
            n_frames += 1
            yield frame
    except av.error.FFmpegError as error:
        raise VideoError(
            f"{where}, after frame {n_frames}",
            expected="more frames or the end",
            found=_reason(error),
            fix="the file is damaged: copy or download it again",
        ) from None
    if not n_frames:
        raise VideoError(where, expected="at least one frame", found="none that can be decoded")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().lower() or type(error).__name__
