"""A coded stream: transforms, then a model, then a coder, three choices that do not know each other.

Example:
    >>> from lab.entropy.models import Adaptive
    >>> from lab.entropy.transforms import Delta, Zigzag
    >>> stream = Stream(transforms=(Delta(), Zigzag()), model=Adaptive(), coder=Coder.RANGE)
    >>> coded = stream.encode(np.arange(1000) // 3)
    >>> bool((stream.decode(coded.payload, 1000) == np.arange(1000) // 3).all()), len(coded.payload) < 150
    (True, True)

Another coder, model or transform is another word on the third line.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Reader, Section, varint
from lab.entropy.coders import Coder, check_end, emit, player
from lab.entropy.models import Integers, Model
from lab.entropy.transforms import Transform, apply, undo
from lab.errors import ChecksumMismatch, UnknownSyntax

MOST_SYMBOLS = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """The bytes of a stream and what they are made of."""

    payload: bytes
    side_bytes: int
    ideal_bits: float

    def section(self, name: str, offset: int = 0) -> Section:
        """These bytes as a section: side information, then coded symbols with their ideal size."""
        parts = (
            Section(name=f"{name} model", kind="side information", offset=offset, n_bytes=self.side_bytes),
            Section(
                name=f"{name} symbols",
                kind="entropy coded",
                offset=offset + self.side_bytes,
                n_bytes=len(self.payload) - self.side_bytes,
                ideal_bits=self.ideal_bits,
            ),
        )
        return Section(
            name=name,
            kind="stream",
            offset=offset,
            n_bytes=len(self.payload),
            ideal_bits=8.0 * self.side_bytes + self.ideal_bits,
            children=parts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """How a stream of integers is coded.

    Its payload: CRC-32 of the values as int64, length of the side information, that, the coded symbols.
    """

    model: Model
    transforms: tuple[Transform, ...] = ()
    coder: Coder = Coder.RANGE

    def encode(self, values: NDArray[np.integer]) -> Coded:
        """The bytes of a flat array; their number of symbols must be known to the decoder."""
        symbols = apply(self.transforms, values).reshape(-1)
        if not symbols.size:
            return Coded(payload=b"", side_bytes=0, ideal_bits=0.0)
        side, shares = self.model.encode(symbols)
        head = checksum(values).to_bytes(4, "little") + varint(len(side)) + side
        return Coded(payload=head + emit(self.coder, shares), side_bytes=len(head), ideal_bits=shares.ideal_bits)

    def decode(self, payload: bytes, count: int) -> Integers:
        """The `count` numbers of a payload.

        Raises:
            BitstreamError: the payload is cut short, too long, damaged or not of this stream.
        """
        if not 0 <= count <= MOST_SYMBOLS:
            raise UnknownSyntax("coded stream", expected=f"at most {MOST_SYMBOLS:,} symbols", found=f"{count:,}")
        reader = Reader(payload, "coded stream")
        if not count:
            reader.end()
            return np.empty(0, np.int64)
        expected = int(reader.fixed("u32", "checksum"))
        side = Reader(reader.take(reader.varint("length of side information"), "side information"), "model")
        tape = player(self.coder, reader.take(reader.remaining, "symbols"))
        n_symbols = count * math.prod(transform.growth for transform in self.transforms)
        symbols = self.model.decode(side, tape, n_symbols)
        side.end()
        check_end(tape)
        values = undo(self.transforms, symbols)
        check(values, expected, "coded stream")
        return values


def checksum(values: NDArray[np.integer], sealed: bytes = b"") -> int:
    """CRC-32 of `sealed` and of integers as little-endian int64."""
    return zlib.crc32(np.ascontiguousarray(values, "<i8").data, zlib.crc32(sealed))


def check(values: NDArray[np.integer], expected: int, where: str, sealed: bytes = b"") -> None:
    """Return only if decoded values have the checksum that was sent.

    Raises:
        ChecksumMismatch: they do not.
    """
    found = checksum(values, sealed)
    if found != expected:
        raise ChecksumMismatch(where, expected=f"CRC-32 {expected:08x}", found=f"{found:08x}")


def smallest(candidates: Sequence[Stream], values: NDArray[np.integer]) -> tuple[int, Coded]:
    """Index and bytes of the stream that codes the values in the fewest bytes."""
    coded = [stream.encode(values) for stream in candidates]
    best = min(range(len(coded)), key=lambda index: len(coded[index].payload))
    return best, coded[best]
