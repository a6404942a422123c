"""Carry-propagating range coder on a 48-bit interval, as kernels that encoder and decoder share.

The state is an int64 array: LOW, RANGE, POS, LIMIT, CODE. A binary decision spends -log2 of its share of the interval;
the outcome 0 takes the lower part. A decoder that runs past its bytes reads zeros and soon sees LIMIT exceeded, because
zeros decode as the outcome 0, which callers give to the unlikely event.

References:
    G. N. N. Martin, "Range encoding", 1979; carry propagation into bytes already written.
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lab.entropy.jit import part

LOW, RANGE, POS, LIMIT, CODE = range(5)
WIDTH = 48
_TOP = 1 << 40
_FULL = (1 << WIDTH) - 1
_START = np.int64(0)


def writer() -> NDArray[np.int64]:
    """The state of an encoder that has written nothing."""
    return np.array([0, _FULL, 0, 0, 0], np.int64)


def reader(payload: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The state of a decoder at the start of `payload`."""
    head = bytes(payload[:6]).ljust(6, b"\0")
    return np.array([0, _FULL, 6, len(payload) + 6, int.from_bytes(head, "big")], np.int64)


def finish(state: NDArray[np.int64], buffer: NDArray[np.uint8]) -> bytes:
    """The payload: what was written and the fewest bytes that settle the last interval."""
    low, width, written = int(state[LOW]), int(state[RANGE]), int(state[POS])
    for kept in range(0, WIDTH + 1, 8):
        unit = 1 << (WIDTH - kept)
        value = (low + unit - 1) // unit * unit
        if value < low + width:
            break
    head = bytearray(buffer[:written])
    if value >> WIDTH:
        at = written - 1
        while head[at] == 255:
            head[at] = 0
            at -= 1
        head[at] += 1
    return bytes(head) + (value & _FULL).to_bytes(6, "big")[: kept // 8]


def ended(state: NDArray[np.int64]) -> bool:
    """Whether a decoder stands where a payload of its length must end."""
    return 0 <= int(state[LIMIT]) - int(state[POS]) <= 6


def spent_bits(state: NDArray[np.int64]) -> float:
    """Information written so far, exact to the coder's own rounding."""
    return 8.0 * float(state[POS]) + WIDTH - math.log2(float(state[RANGE]))


def read_bits(state: NDArray[np.int64]) -> float:
    """Information read so far; what `spent_bits` gave at the same place."""
    return spent_bits(state) - 48.0  # a decoder starts six bytes in


@part
def encode_span(state, buffer, start, width):
    """Narrow the interval to [start, start + width) of it; bytes that do not fit the buffer are only counted."""
    low = state[LOW] + start
    span = width
    at = state[POS]
    if low > _FULL:
        low &= _FULL
        back = at - 1
        if at <= buffer.size:
            while buffer[back] == 255:
                buffer[back] = 0
                back -= 1
            buffer[back] += 1
    while span < _TOP:
        if at < buffer.size:
            buffer[at] = low >> 40
        at += 1
        low = (low << 8) & _FULL
        span <<= 8
    state[LOW] = low
    state[RANGE] = span
    state[POS] = at


@part
def decode_span(state, buffer, start, width):
    """The decoder's twin of `encode_span`."""
    code = state[CODE] - start
    span = width
    at = state[POS]
    while span < _TOP:
        code <<= 8
        if at < buffer.size:
            code |= np.int64(buffer[at])
        at += 1
        span <<= 8
    state[CODE] = code
    state[RANGE] = span
    state[POS] = at


@part
def code_bit(decoding, state, buffer, bit, zero):
    """Code one decision whose outcome 0 has probability `zero` / 2^22; returns the outcome."""
    span = state[RANGE]
    bound = (span >> 22) * zero
    if decoding:
        if state[CODE] < bound:
            decode_span(state, buffer, _START, bound)
            return 0
        decode_span(state, buffer, bound, span - bound)
        return 1
    if bit:
        encode_span(state, buffer, bound, span - bound)
    else:
        encode_span(state, buffer, _START, bound)
    return bit
