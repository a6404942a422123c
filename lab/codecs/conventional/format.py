"""Bitstream syntax of the family `conventional`: a header table and one section, the coded pictures.

    magic a7, code 01 | header (table below) | length of video | video

`video` is an elementary stream without container, start codes or delimiters:

    av1         OBUs with their own size fields, temporal delimiters left out
    hevc, avc   NAL units, each behind its length as a varint instead of a start code

A unit of either is one child in the anatomy. Film grain, where the encoder used it, is part of the AV1 stream and is
synthesized by the decoder, which the AV1 specification defines exactly.

References: AV1 Bitstream & Decoding Process Specification, 5.3 (OBU syntax); ITU-T H.265 and H.264, 7.3.1 (NAL units).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lab.bitstream import Bitstream, Field, Layout, Reader, Section, Table, varint
from lab.errors import BitstreamError, Truncated, UnknownSyntax

CODINGS = ("av1", "hevc", "avc")
UP_SAMPLERS = ("crop", "aligned", "bicubic", "lanczos", "bilinear")
CHROMA = ("bilinear", "nearest")
AREA_LIMIT_PX = 8192 * 4352
PAIR_LIMIT = 100_000
# Unsharp and noise are carried in steps of these.
UNSHARP_STEP = 1 / 64
NOISE_STEP = 1 / 16

HEADER = Table(
    "conventional",
    (
        Field("height", "varint", "rows of a decoded frame"),
        Field("width", "varint", "columns of a decoded frame"),
        Field("n_pairs", "varint", "pairs of frames"),
        Field("coded_height", "varint", "rows of a coded picture, even"),
        Field("coded_width", "varint", "columns of a coded picture, even"),
        Field("coding", CODINGS, "syntax of the section `video`"),
        Field("up", UP_SAMPLERS, "from coded picture to frame; crop leaves out the rows and columns added to get even"),
        Field("chroma", CHROMA, "how chroma is enlarged to luma size"),
        Field("unsharp", "u8", "strength of the sharpening after decoding, in 1/64"),
        Field("noise", "u8", "standard deviation of the luma noise added after decoding, in 1/16 grey level"),
    ),
)
LAYOUT = Layout(family="conventional", code=1, header=HEADER, sections=("video",))

# Names of the unit types that turn up; others are shown by number.
_OBU_NAMES = {1: "sequence header", 2: "temporal delimiter", 3: "frame header", 4: "tile group", 5: "metadata"}
_OBU_NAMES |= {6: "frame", 7: "repeated frame header", 8: "tile list", 15: "padding"}
_OBU_FRAME_HEADER, _OBU_FRAME = 3, 6
_HEVC_NAMES = {32: "video parameter set", 33: "sequence parameter set", 34: "picture parameter set", 35: "delimiter"}
_HEVC_NAMES |= {38: "padding", 39: "message", 40: "message"}
_AVC_NAMES = {1: "picture", 5: "key picture", 6: "message", 7: "sequence parameter set", 8: "picture parameter set"}
_AVC_NAMES |= {9: "delimiter", 12: "padding"}
_EMPTY = ("temporal delimiter", "delimiter", "metadata", "message", "padding")


class Unit(NamedTuple):
    """One OBU or NAL unit: its place in the section, its own bytes, and what it is."""

    offset: int
    n_bytes: int
    data: bytes
    name: str
    ends_picture: bool


class Head(NamedTuple):
    """The header's values, checked."""

    size: tuple[int, int]
    coded_size: tuple[int, int]
    n_pairs: int
    coding: str
    up: str
    chroma: str
    unsharp: int
    noise: int


def read(payload: bytes) -> tuple[Head, bytes]:
    """The checked header and the section `video` of a payload.

    Raises:
        BitstreamError: not a payload of this family, cut short, or one that claims what cannot be.
    """
    values, sections = LAYOUT.read(payload)
    number = {name: int(value) for name, value in values.items() if not isinstance(value, str)}
    head = Head(
        size=(number["height"], number["width"]),
        coded_size=(number["coded_height"], number["coded_width"]),
        n_pairs=number["n_pairs"],
        coding=str(values["coding"]),
        up=str(values["up"]),
        chroma=str(values["chroma"]),
        unsharp=number["unsharp"],
        noise=number["noise"],
    )
    _check(head)
    return head, sections["video"]


def _check(head: Head) -> None:
    (height, width), (rows, columns) = head.size, head.coded_size
    if not (0 < height * width <= AREA_LIMIT_PX and 0 < rows * columns <= AREA_LIMIT_PX):
        raise UnknownSyntax(
            "conventional header",
            expected=f"1 to {AREA_LIMIT_PX:,} pixels",
            found=f"{height}x{width}, {rows}x{columns}",
        )
    if not 0 < head.n_pairs <= PAIR_LIMIT:
        raise UnknownSyntax("conventional header", expected=f"1 to {PAIR_LIMIT:,} pairs", found=str(head.n_pairs))
    if rows % 2 or columns % 2:
        raise UnknownSyntax("conventional header", expected="even coded sides", found=f"{rows}x{columns}")
    if head.up == "crop" and not (0 <= rows - height <= 1 and 0 <= columns - width <= 1):
        raise UnknownSyntax(
            "conventional header", expected="a coded picture of the frame's size", found=f"{rows}x{columns}"
        )
    if head.up == "aligned" and any(
        large != small and large < 2 * small for large, small in zip(head.size, head.coded_size, strict=True)
    ):
        raise UnknownSyntax(
            "conventional header", expected="a frame at least twice the aligned grid", found=f"{rows}x{columns}"
        )


def pack(stream: bytes, coding: str) -> bytes:
    """The section `video` from what an encoder emits: OBUs with delimiters, or NAL units behind start codes.

    Delimiters, messages and padding carry no pictures, and a parameter set that repeats says nothing: all are left out.
    """
    framed = stream if coding == "av1" else b"".join(varint(len(unit)) + unit for unit in _split_start_codes(stream))
    kept: list[bytes] = []
    sets: set[bytes] = set()
    for unit in units(framed, coding):
        if unit.name in _EMPTY or unit.data in sets:
            continue
        if unit.name.endswith(("set", "sequence header")):
            sets.add(unit.data)
        kept.append(framed[unit.offset : unit.offset + unit.n_bytes])
    return b"".join(kept)


def units(video: bytes, coding: str) -> Iterator[Unit]:
    """The units of the section `video`, in order; together they tile it.

    Raises:
        BitstreamError: a unit is cut short or cannot be one.
    """
    return _obus(video) if coding == "av1" else _nals(video, coding)


def write(head: Head, video: bytes) -> Bitstream:
    """The payload of a header and the section `video`, one child per coded unit.

    Raises:
        BitstreamError: the header claims what cannot be, or `video` does not fall into units.
    """
    _check(head)
    values = {
        "height": head.size[0],
        "width": head.size[1],
        "n_pairs": head.n_pairs,
        "coded_height": head.coded_size[0],
        "coded_width": head.coded_size[1],
        "coding": head.coding,
        "up": head.up,
        "chroma": head.chroma,
        "unsharp": head.unsharp,
        "noise": head.noise,
    }
    counts: dict[str, int] = {}
    children: list[Section] = []
    for unit in units(video, head.coding):
        count = counts[unit.name] = counts.get(unit.name, 0) + 1
        children.append(Section(name=f"{unit.name} {count}", kind=unit.name, offset=unit.offset, n_bytes=unit.n_bytes))
    return LAYOUT.write(values, {"video": video}, kinds={"video": head.coding}, children={"video": tuple(children)})


def anatomy(payload: bytes) -> Bitstream:
    """The payload's sections, one child per coded unit."""
    return write(*read(payload))


def _obus(stream: bytes) -> Iterator[Unit]:
    reader = Reader(stream, "video")
    while reader.remaining:
        start = reader.offset
        head = reader.take(1, "OBU header")[0]
        if head & 0x81 or not head & 0x02:
            raise UnknownSyntax(f"video at byte {start:,}", expected="an OBU with a size", found=f"{head:02x}")
        if head & 0x04:
            reader.take(1, "OBU extension")
        size = reader.varint("OBU size")
        reader.take(size, "OBU")
        kind = (head >> 3) & 15
        yield Unit(
            offset=start,
            n_bytes=reader.offset - start,
            data=stream[start : reader.offset],
            name=_OBU_NAMES.get(kind, f"type {kind}"),
            ends_picture=kind in (_OBU_FRAME, _OBU_FRAME_HEADER),
        )


def _nals(stream: bytes, coding: str) -> Iterator[Unit]:
    reader = Reader(stream, "video")
    while reader.remaining:
        start = reader.offset
        size = reader.varint("NAL length")
        data = reader.take(size, "NAL unit")
        if size < 3:
            raise BitstreamError(f"video at byte {start:,}", expected="a NAL unit", found=f"{size} bytes")
        if coding == "hevc":
            kind = (data[0] >> 1) & 63
            name = _HEVC_NAMES.get(kind, "key picture" if 16 <= kind <= 23 else "picture")
            ends = kind < 32
        else:
            kind = data[0] & 31
            name = _AVC_NAMES.get(kind, f"type {kind}")
            ends = kind in (1, 5)
        yield Unit(offset=start, n_bytes=reader.offset - start, data=data, name=name, ends_picture=ends)


def _split_start_codes(stream: bytes) -> Iterator[bytes]:
    """NAL units between start codes 00 00 01 (a zero before one belongs to it)."""
    at = stream.find(b"\0\0\1")
    if at < 0:
        raise Truncated("encoder output", expected="a start code", found="none")
    while at >= 0:
        following = stream.find(b"\0\0\1", at + 3)
        unit = stream[at + 3 : following if following >= 0 else len(stream)]
        yield unit.rstrip(b"\0")
        at = following
