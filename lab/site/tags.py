"""Metadata of pictures and videos: what a writer of ours never leaves in a file, found by walking its structure."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"pHYs"}
_WEBP_CHUNKS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}
_MP4_FOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf"}
_MP4_TAGS = {b"uuid", b"ilst", b"XMP_"}
_MP4_UNTAGGED = {b"hdlr", b"meta", b"free", b"ilst"}  # what a writer without tags still leaves in a box of user data
_REMARKS = (b"x264 - core", b"x265 (build", b"Lavf", b"Lavc", b"SVT-AV1", b"HandBrake")


def found(content: bytes) -> Iterator[str]:
    """Names of the metadata in a JPEG, PNG, WebP or MP4 file; nothing for other files.

    A file whose structure cannot be followed to its end counts as one with metadata: nothing can be said of the rest.
    """
    try:
        if content.startswith(_PNG):
            yield from _png(content)
        elif content.startswith(b"\xff\xd8\xff"):
            yield from _jpeg(content)
        elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            yield from _webp(content)
        elif content[4:8] == b"ftyp":
            yield from _mp4(content, 0, len(content))
            yield from ("encoder's remarks" for mark in _REMARKS if mark in content)
    except (struct.error, IndexError):
        yield "structure that breaks off"


def _png(content: bytes) -> Iterator[str]:
    at = len(_PNG)
    while at < len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        if name not in _PNG_CHUNKS:
            yield "PNG text or other chunk"
        at += 12 + size
        if name == b"IEND" and at < len(content):
            yield "bytes after the picture"
            return


def _jpeg(content: bytes) -> Iterator[str]:
    at = 2
    while True:
        lead, marker = content[at], content[at + 1]
        if lead != 0xFF:
            yield "structure that breaks off"
            return
        if marker in (0xDA, 0xD9):
            break
        (size,) = struct.unpack_from(">H", content, at + 2)
        body = content[at + 4 : at + 2 + size]
        if marker == 0xFE:
            yield "JPEG comment"
        elif 0xE0 <= marker <= 0xEF and not (
            (marker == 0xE0 and body.startswith(b"JFIF\0")) or (marker == 0xEE and body.startswith(b"Adobe"))
        ):
            yield "JPEG application segment (EXIF and the like)"
        at += 2 + size
    if not content.rstrip(b"\0").endswith(b"\xff\xd9"):
        yield "bytes after the picture"


def _webp(content: bytes) -> Iterator[str]:
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        if name not in _WEBP_CHUNKS:
            yield "WebP metadata"
        at += 8 + size + size % 2


def _mp4(content: bytes, at: int, end: int, within: bytes = b"") -> Iterator[str]:
    while at < end:
        size, name = struct.unpack_from(">I4s", content, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, at + 8)
            head = 16
        size = size or end - at
        if size < head or at + size > end:
            yield "structure that breaks off"
            return
        if name in _MP4_FOLDERS:
            yield from _mp4(content, at + head, at + size)
        elif name in (b"udta", b"meta") and not within.endswith(b"meta"):
            version = 4 if name == b"meta" else 0
            yield from _mp4(content, at + head + version, at + size, name)
        elif (
            (name in _MP4_TAGS and size > head)
            or (within and name not in _MP4_UNTAGGED)
            or (name in (b"free", b"skip", b"wide") and content[at + head : at + size].strip(b"\0"))
        ):
            yield "MP4 tags"
        at += size
