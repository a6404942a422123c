"""Two entropy coders behind one door: a range coder and rANS.

A model turns symbols into shares, intervals [start, start + width) of 2^16, and a coder turns shares into bytes:

    shares of an encoder  ->  `emit(coder, shares)`  ->  payload  ->  `Tape(coder, payload)`  ->  shares of a decoder

Kernels of models call `peek` and `put` and do not know which coder is behind them. An encoder only records shares,
because rANS codes them last to first.

References:
    J. Duda, "Asymmetric numeral systems", 2009. F. Giesen, "Interleaved entropy coders", 2014 (byte-wise rANS).
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.entropy.jit import kernel
from lab.entropy.rangecoder import CODE, LIMIT, POS, RANGE, decode_span, encode_span, ended, finish, reader, writer
from lab.errors import BitstreamError, Truncated

SHARE_BITS = 16
WHOLE = 1 << SHARE_BITS
_LOWEST = 1 << 23  # of the rANS state, which stays below 2^31
KIND, COUNT = 5, 6  # further fields of a tape's state, after those of the range coder


class Coder(IntEnum):
    """Which coder makes the bytes."""

    RANGE = 0
    ANS = 1


class Tape(NamedTuple):
    """What a model's kernel reads from or writes to; made by `recorder` and `player`."""

    decoding: bool
    state: NDArray[np.int64]
    buffer: NDArray[np.uint8]
    shares: NDArray[np.uint32]  # (n,): start in the upper 16 bits, width - 1 in the lower


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Recorded shares of 2^16, uint32 (n,): start in the upper 16 bits, width - 1 in the lower."""

    spans: NDArray[np.uint32]

    @property
    def ideal_bits(self) -> float:
        """Information of these shares."""
        widths = (self.spans & np.uint32(WHOLE - 1)).astype(np.float64) + 1
        return float(SHARE_BITS * len(self.spans) - np.log2(widths).sum())


def recorder(most: int) -> Tape:
    """A tape that records up to `most` shares."""
    return Tape(False, np.zeros(7, np.int64), np.empty(0, np.uint8), np.empty(most, np.uint32))


def recorded(tape: Tape) -> Shares:
    """What a kernel recorded."""
    return Shares(spans=tape.shares[: int(tape.state[COUNT])])


def joined(parts: Sequence[Shares]) -> Shares:
    """The shares of several models in a row, for one payload."""
    return Shares(spans=np.concatenate([part.spans for part in parts]) if parts else np.empty(0, np.uint32))


def player(coder: Coder, payload: bytes) -> Tape:
    """A tape that plays the shares of a payload."""
    buffer = np.frombuffer(payload, np.uint8).copy()
    state = np.zeros(7, np.int64)
    state[KIND] = coder
    if coder is Coder.RANGE:
        state[:5] = reader(buffer)
    else:
        if len(payload) < 4:
            raise Truncated("rANS stream", expected="4 bytes or more", found=str(len(payload)))
        state[CODE], state[POS], state[LIMIT] = int.from_bytes(payload[:4], "big"), 4, len(payload)
    return Tape(True, state, buffer, np.empty(0, np.uint32))


def check_end(tape: Tape) -> None:
    """Return only if a played payload ends where its shares end.

    Raises:
        BitstreamError: bytes are missing or left over.
    """
    state = tape.state
    ans_done = state[POS] == state[LIMIT] and state[CODE] == _LOWEST
    if not (ans_done if state[KIND] == Coder.ANS else ended(state)):
        raise BitstreamError("coded stream", expected="the end of the stream", found="bytes missing or left over")


def exhausted(tape: Tape) -> bool:
    """Whether a played payload has ended too early."""
    return bool(tape.state[POS] > tape.state[LIMIT])


def emit(coder: Coder, shares: Shares) -> bytes:
    """The payload of recorded shares."""
    room = np.empty(math.ceil(shares.ideal_bits / 8) + len(shares.spans) // 64 + 64, np.uint8)
    if coder is Coder.RANGE:
        state = writer()
        _emit_range(shares.spans, state, room)
        return finish(state, room)
    start = _emit_ans(shares.spans, room)
    return room[start:].tobytes()


@kernel
def _emit_range(spans, state, buffer):
    for at in range(len(spans)):
        unit = state[RANGE] >> 16
        start, width = np.int64(spans[at] >> 16), np.int64(spans[at] & 65535) + 1
        # the last share takes what rounding leaves of the interval
        span = state[RANGE] - start * unit if start + width == 65536 else width * unit
        encode_span(state, buffer, start * unit, span)


@kernel
def _emit_ans(spans, buffer):
    """Write backwards from the end of the buffer; returns where the payload starts."""
    code = np.int64(8388608)
    at = buffer.size
    for back in range(len(spans) - 1, -1, -1):
        start, width = np.int64(spans[back] >> 16), np.int64(spans[back] & 65535) + 1
        while code >= width << 15:
            at -= 1
            buffer[at] = code & 255
            code >>= 8
        code = ((code // width) << 16) + code % width + start
    for _ in range(4):
        at -= 1
        buffer[at] = code & 255
        code >>= 8
    return at


@kernel
def peek(tape):
    """Where in [0, 2^16) the next share lies; decoders only."""
    state = tape.state
    if state[KIND] == 1:
        return state[CODE] & 65535
    return min(state[CODE] // (state[RANGE] >> 16), 65535)


@kernel
def put(tape, start, width):
    """Record or play one share."""
    state = tape.state
    if not tape.decoding:
        at = state[COUNT]
        tape.shares[at] = start << 16 | (width - 1)
        state[COUNT] = at + 1
        return
    if state[KIND] == 0:
        unit = state[RANGE] >> 16
        span = state[RANGE] - start * unit if start + width == 65536 else width * unit
        decode_span(state, tape.buffer, start * unit, span)
        return
    code = width * (state[CODE] >> 16) + (state[CODE] & 65535) - start
    at = state[POS]
    while code < 8388608:
        code <<= 8
        if at < tape.buffer.size:
            code |= np.int64(tape.buffer[at])
        elif at > tape.buffer.size + 8:
            break
        at += 1
    state[CODE] = code
    state[POS] = at


@kernel
def put_bit(tape, bit, one):
    """Record or play a decision whose outcome 1 has `one` of 2^16; returns the outcome."""
    if tape.decoding:
        bit = 1 if peek(tape) >= 65536 - one else 0
    if bit:
        put(tape, 65536 - one, one)
    else:
        put(tape, 0, 65536 - one)
    return bit
