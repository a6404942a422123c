"""Recognising compressed streams by decoding them to their end mark, in bounded memory.

Each function takes bytes and gives the plain content and the strength of the proof, or `None`. Nothing is decided by a
magic number alone.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import brotli

from lab.foreign.evidence import Budget, Strength

CHUNK_BYTES = 1 << 16
STEP_BYTES = 1 << 12
# Shorter runs decode by accident: a brotli stream of three bytes is nothing to rely on.
SHORTEST_BYTES = 12


class Decoded(NamedTuple):
    """What a stream holds, and why it is one."""

    format: str
    content: bytes
    strength: Strength
    evidence: str
    consumed: int


def whole(data: bytes, budget: Budget) -> Decoded | None:
    """The one compressed stream that these bytes are, from the first to the last.

    Raises:
        PacketError: it unpacks to more than the budget.
    """
    for decode in (_zlib, _gzip, _bzip2, _xz, _zstd, _brotli):
        found = decode(data, budget)
        if found is not None and found.consumed == len(data):
            return found
    return None


def brotli_prefix(data: bytes | memoryview, budget: Budget) -> tuple[bytes, int] | None:
    """(content, consumed bytes) of the brotli stream that these bytes begin with, however long it is."""
    if len(data) < SHORTEST_BYTES:
        return None
    # Whole steps first; the step in which the stream ends or fails is taken again byte by byte to find its end.
    last = _brotli_steps(data, budget, [STEP_BYTES] * -(-len(data) // STEP_BYTES))
    if last is None:
        return None
    whole_steps = [STEP_BYTES] * (last.at // STEP_BYTES)
    end = _brotli_steps(data, budget, whole_steps + [1] * min(STEP_BYTES, len(data) - last.at))
    if end is None or not end.finished or end.at < SHORTEST_BYTES or not end.content:
        return None
    return end.content, end.at


class _Reached(NamedTuple):
    """How far a decoder came: bytes behind it, whether the stream ended there, and what it gave."""

    at: int
    finished: bool
    content: bytes


def _brotli_steps(data: bytes | memoryview, budget: Budget, steps: list[int]) -> _Reached | None:
    """Where a stream ends, or the start of the step in which it fails; nothing where it goes on after the last step."""
    decoder = brotli.Decompressor()
    out: list[bytes] = []
    at = 0
    kept = 0
    try:
        for step in steps:
            try:
                piece = decoder.process(data[at : at + step], output_buffer_limit=CHUNK_BYTES)
                while piece:
                    kept += len(piece)
                    budget.spend(len(piece))
                    out.append(piece)
                    # The decoder may say that it takes more and still hold output, so ask until it gives none.
                    piece = decoder.process(b"", output_buffer_limit=CHUNK_BYTES)
            except brotli.error:
                return _Reached(at, False, b"")
            if decoder.is_finished():
                return _Reached(at if step > 1 else at + 1, True, b"".join(out))
            at += step
    finally:
        budget.give_back(kept)
    return None


def _brotli(data: bytes, budget: Budget) -> Decoded | None:
    found = brotli_prefix(data, budget)
    if found is None or found[1] != len(data):
        return None
    plain, consumed = found
    budget.spend(len(plain))
    if budget.may_reproduce(len(plain)) and brotli.compress(plain, quality=11, lgwin=22) == data:
        evidence = f"brotli at quality 11, window 2^22, gives these {consumed:,} bytes from the {len(plain):,} decoded"
        return Decoded("brotli", plain, Strength.REPRODUCED, evidence, consumed)
    evidence = f"brotli ends with byte {consumed:,} and gives {len(plain):,} bytes"
    return Decoded("brotli", plain, Strength.DECODED, evidence, consumed)


def _drain(decoder: Any, data: bytes, budget: Budget, errors: tuple[type[Exception], ...]) -> tuple[bytes, int] | None:
    """(content, consumed) of a stream that a decoder of the standard library reads to its end."""
    out: list[bytes] = []
    pending = data
    try:
        while not decoder.eof:
            piece = decoder.decompress(pending, CHUNK_BYTES)
            pending = getattr(decoder, "unconsumed_tail", b"")
            budget.spend(len(piece))
            out.append(piece)
            stuck = not piece and not pending and getattr(decoder, "needs_input", True)
            if stuck and not decoder.eof:
                return None
    except errors:
        return None
    return b"".join(out), len(data) - len(decoder.unused_data)


def _stream(
    name: str, magic: tuple[bytes, ...], make: Callable[[], Any], check: str, *errors: type[Exception]
) -> Callable[[bytes, Budget], Decoded | None]:
    def decode(data: bytes, budget: Budget) -> Decoded | None:
        if len(data) < SHORTEST_BYTES or not data.startswith(magic):
            return None
        found = _drain(make(), data, budget, errors)
        if found is None:
            return None
        plain, consumed = found
        evidence = f"{name} gives {len(plain):,} bytes, and its {check} over them agrees"
        return Decoded(name, plain, Strength.CHECKED, evidence, consumed)

    return decode


_zlib = _stream(
    "zlib", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), zlib.decompressobj, "Adler-32", zlib.error
)
_gzip = _stream("gzip", (b"\x1f\x8b\x08",), lambda: zlib.decompressobj(31), "CRC-32", zlib.error)
_bzip2 = _stream("bzip2", (b"BZh",), bz2.BZ2Decompressor, "CRC-32", OSError, ValueError)
_xz = _stream("xz", (b"\xfd7zXZ\x00",), lambda: lzma.LZMADecompressor(memlimit=1 << 28), "check", lzma.LZMAError)


def _zstd(data: bytes, budget: Budget) -> Decoded | None:
    if len(data) < SHORTEST_BYTES or not data.startswith(b"\x28\xb5\x2f\xfd"):
        return None
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    out: list[bytes] = []
    try:
        # Small steps: a step of this decoder has no limit of its own, and a zstd block holds at most 128 KiB.
        for at in range(0, len(data), 64):
            piece = decoder.decompress(data[at : at + 64])
            budget.spend(len(piece))
            out.append(piece)
            if decoder.eof:
                break
    except zstandard.ZstdError:
        return None
    if not decoder.eof:
        return None
    consumed = min(len(data), at + 64) - len(decoder.unused_data)
    plain = b"".join(out)
    checked = bool(data[4] & 0x04)
    evidence = f"zstd gives {len(plain):,} bytes" + (", and its checksum over them agrees" if checked else "")
    return Decoded("zstd", plain, Strength.CHECKED if checked else Strength.DECODED, evidence, consumed)
