"""From a payload of the family `conventional` to pairs of frames.

    units -> standard decoder -> RGB -> unsharp, noise -> up-sampling -> uint8

Everything that runs here ships in a packet; it sees the payload and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from lab.bitstream import Bitstream
from lab.codecs.conventional import format as syntax
from lab.codecs.conventional import model
from lab.errors import BitstreamError, Truncated, UnknownSyntax
from lab.video import colour, resample

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]

_DECODERS = {"av1": "libdav1d", "hevc": "hevc", "avc": "h264"}
_START_CODE = b"\0\0\0\1"
# Coded pictures are padded to blocks of this size at most.
_BLOCK_PX = 128


def decode(payload: bytes) -> Iterator[NDArray[np.uint8]]:
    """The pairs of a payload, uint8 (2, H, W, 3) RGB, display order; exactly as many as its header says.

    Raises:
        BitstreamError: not a payload of this family, cut short, or damaged.
    """
    head, video = syntax.read(payload)
    pending: NDArray[np.uint8] | None = None
    for index, planes in enumerate(pictures(head, video)):
        frame = finish(head, planes, index)
        if pending is None:
            pending = frame
        else:
            yield np.stack((pending, frame))
            pending = None


def anatomy(payload: bytes) -> Bitstream:
    """The payload's sections, one child per coded unit."""
    return syntax.anatomy(payload)


def finish(head: syntax.Head, planes: Planes, index: int) -> NDArray[np.uint8]:
    """One frame, uint8 (H, W, 3) RGB, from the planes of a decoded picture."""
    rgb = colour.yuv_to_rgb(*planes, nearest=head.chroma == "nearest")
    rgb = model.unsharp(rgb, head.unsharp * syntax.UNSHARP_STEP)
    rgb = model.add_noise(rgb, head.noise * syntax.NOISE_STEP, index)
    height, width = head.size
    if head.up == "crop":
        return colour.to_uint8(rgb[:, :height, :width])
    if head.up == "aligned":
        rounded = rgb.round_().clamp_(0.0, 255.0).to(torch.uint8)
        return np.ascontiguousarray(resample.aligned_up(rounded, head.size).movedim(0, -1).numpy())
    enlarge = {"bicubic": resample.bicubic, "lanczos": resample.lanczos, "bilinear": resample.resize}[head.up]
    return colour.to_uint8(enlarge(rgb, head.size))


def pictures(head: syntax.Head, video: bytes) -> Iterator[Planes]:
    """The planes of every coded picture in display order.

    Raises:
        Truncated: fewer pictures than the header says.
        UnknownSyntax: more of them, or of another size or format.
        BitstreamError: the standard decoder refuses the stream.
    """
    wanted = 2 * head.n_pairs
    n_pictures = 0
    for frame in _decoded(head, video):
        if n_pictures == wanted:
            raise UnknownSyntax("video", expected=f"{wanted:,} pictures", found="more")
        if (frame.height, frame.width) != head.coded_size or frame.format.name not in ("yuv420p", "yuvj420p"):
            raise UnknownSyntax(
                f"video, picture {n_pictures}",
                expected=f"yuv420p {head.coded_size[0]}x{head.coded_size[1]}",
                found=f"{frame.format.name} {frame.height}x{frame.width}",
            )
        n_pictures += 1
        y, u, v = (
            np.frombuffer(plane, dtype=np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].copy()
            for plane in frame.planes
        )
        yield y, u, v
    if n_pictures != wanted:
        raise Truncated("video", expected=f"{wanted:,} pictures", found=f"{n_pictures:,}")


def _decoded(head: syntax.Head, video: bytes) -> Iterator[Any]:
    padded = [-(-side // _BLOCK_PX) * _BLOCK_PX for side in head.coded_size]
    decoder: Any = av.CodecContext.create(_DECODERS[head.coding], "r")
    # One thread, no concealment of damage, no picture larger than announced.
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(padded[0] * padded[1]), "err_detect": "explode"}
    try:
        for packet in _packets(head, video):
            yield from decoder.decode(packet)
        yield from decoder.decode(None)
    except (av.error.FFmpegError, ValueError, EOFError, MemoryError) as error:
        raise BitstreamError(
            "video", expected=f"a {head.coding} stream", found=str(error)[:120], fix="the archive is damaged"
        ) from None


def _packets(head: syntax.Head, video: bytes) -> Iterator[Any]:
    """One packet per picture: the units up to and including the one that ends it."""
    gathered: list[bytes] = []
    time = 0
    for unit in syntax.units(video, head.coding):
        gathered.append(unit.data if head.coding == "av1" else _START_CODE + unit.data)
        if unit.ends_picture:
            yield _packet(b"".join(gathered), time)
            gathered.clear()
            time += 1
    if gathered:
        yield _packet(b"".join(gathered), time)


def _packet(data: bytes, time: int) -> Any:
    packet = av.Packet(data)
    packet.dts = time
    return packet
