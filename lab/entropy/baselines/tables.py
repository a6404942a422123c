"""The coder of the kitchen_sink lineage: Markov tables that are sent along, and sparse overrides of them.

Two passes. Every pixel has a context of its neighbours: four of them in the first map, five in the second, seven later;
its distribution is counted over the whole tensor, quantized to half octaves and sent, deflated. Where a context of
eleven neighbours would save more than 64 bits over that, its own distribution is sent as well and overrides the table.

Notes:
    The published coder first peels one class off as a smooth boundary with a syntax of its own, of which no description
    is public; here the tables code all labels.
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from lab.entropy.jit import kernel
from lab.entropy.rangecoder import CODE, LIMIT, POS, RANGE, decode_span, encode_span, ended, finish, reader, writer
from lab.errors import BitstreamError, Truncated, UnknownSyntax

MAGIC = b"SCTW"
CLASSES = 5
OVERRIDE_BITS = 64
_ROWS = 5**4 + 5**5 + 5**7
_MOST_PIXELS = 1 << 28
_SHARES = np.array([math.isqrt((1 << 32) >> k) for k in range(32)], np.int64)  # 2^16 / 2^(k/2)


def encode(labels: NDArray[np.uint8]) -> bytes:
    """The payload of maps, uint8 (T, H, W) of labels 0 to 4."""
    if labels.dtype != np.uint8 or labels.ndim != 3 or not labels.size or labels.max() >= CLASSES:
        raise ValueError("maps are uint8 (T, H, W), not empty, of labels 0 to 4")
    scan = np.ascontiguousarray(labels.transpose(0, 2, 1))
    rows, deep = np.empty(scan.size, np.int32), np.empty(scan.size, np.int32)
    _contexts(scan, rows, deep)
    symbols = scan.reshape(-1)
    counts = np.bincount(rows.astype(np.int64) * CLASSES + symbols, minlength=_ROWS * CLASSES).reshape(_ROWS, CLASSES)
    table = _quantized(counts)
    keys, overrides = _overrides(symbols, rows, deep, shares(table))
    coder, buffer = writer(), np.empty(labels.size // 2 + 1024, np.uint8)
    _code(False, scan, coder, buffer, shares(table), keys, shares(overrides))
    parts = [_packed(table), _packed(overrides), finish(coder, buffer)]
    parts.insert(1, zlib.compress(np.diff(keys, prepend=0).astype("<u4").tobytes(), 9))
    return struct.pack("<4s8I", MAGIC, *labels.shape, len(keys), *map(len, parts)) + b"".join(parts)


def decode(payload: bytes) -> NDArray[np.uint8]:
    """The maps of a payload.

    Raises:
        BitstreamError: not such a payload, or cut short.
    """
    if len(payload) < 36 or payload[:4] != MAGIC:
        raise UnknownSyntax("sent tables", expected="a header that starts with SCTW")
    maps, height, width, count, *lengths = struct.unpack("<8I", payload[4:36])
    if not 0 < maps * height * width <= _MOST_PIXELS or sum(lengths) != len(payload) - 36 or count > 1 << 20:
        raise UnknownSyntax("sent tables, sizes", found=f"{maps} x {height} x {width}, {lengths} bytes")
    parts, at = [], 36
    for length in lengths:
        parts.append(payload[at : at + length])
        at += length
    table, overrides = _unpacked(parts[0], _ROWS), _unpacked(parts[2], count)
    keys = np.cumsum(np.frombuffer(_inflated(parts[1], 4 * count), "<u4").astype(np.int64))
    stream = np.frombuffer(parts[3], np.uint8).copy()
    scan, coder = np.empty((maps, width, height), np.uint8), reader(stream)
    _code(True, scan, coder, stream, shares(table), keys, shares(overrides))
    if coder[POS] > coder[LIMIT]:
        raise Truncated("sent tables", expected="more labels", found="the end of the stream")
    if not ended(coder):
        raise BitstreamError("sent tables", expected="the end of the stream", found="bytes left over")
    return np.ascontiguousarray(scan.transpose(0, 2, 1))


def _quantized(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Half octaves below the whole, plus one; 0 where a label never follows."""
    share = np.maximum(counts.sum(axis=1, keepdims=True), 1) / np.maximum(counts, 1)
    return np.where(counts > 0, 1 + np.minimum(np.rint(2 * np.log2(share)), 30), 0).astype(np.uint8)


def shares(table: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Widths within 2^16 of every row, int64 (n, 5); the likeliest label takes what the others leave."""
    if table.size and table.max() > 31:
        raise UnknownSyntax("sent tables", expected="half octaves up to 31", found=str(table.max()))
    widths = np.where(table > 0, _SHARES[np.maximum(table.astype(np.int64), 1) - 1], 0)
    best = np.where(table > 0, table, 255).argmin(axis=1)
    lines = np.arange(len(table))
    widths[lines, best] = 0
    widths[lines, best] = 65536 - widths.sum(axis=1)
    if (widths < 0).any():
        raise UnknownSyntax("sent tables", expected="shares within the whole")
    return widths


def _overrides(
    symbols: NDArray[np.uint8], rows: NDArray[np.int32], deep: NDArray[np.int32], widths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Contexts of eleven neighbours, ascending, and their tables."""
    cost = 16 - np.log2(np.maximum(widths, 1))
    certain = cost.min(axis=1) < 1 / 1024
    doubtful = np.isin(rows, np.flatnonzero(~certain)) & (deep >= 0)
    keys, which = np.unique(deep[doubtful], return_inverse=True)
    told, row = symbols[doubtful].astype(np.int64), rows[doubtful]
    counts = np.bincount(which * CLASSES + told, minlength=len(keys) * CLASSES).reshape(len(keys), CLASSES)
    table = _quantized(counts)
    own = 16 - np.log2(np.maximum(shares(table), 1))
    gain = np.bincount(which, cost[row, told], minlength=len(keys)) - (own * counts).sum(axis=1)
    pays = gain > OVERRIDE_BITS
    return keys[pays].astype(np.int64), table[pays]


def _packed(table: NDArray[np.uint8]) -> bytes:
    return zlib.compress(np.ascontiguousarray(table.T).tobytes(), 9)


def _unpacked(data: bytes, rows: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.frombuffer(_inflated(data, rows * CLASSES), np.uint8).reshape(CLASSES, rows).T)


def _inflated(data: bytes, size: int) -> bytes:
    try:
        plain = zlib.decompressobj().decompress(data, size + 1)
    except zlib.error as error:
        raise BitstreamError("sent tables", expected="deflated tables", found=str(error)) from None
    if len(plain) != size:
        raise BitstreamError("sent tables", expected=f"{size:,} bytes of tables", found=f"{len(plain):,}")
    return plain


@kernel
def _contexts_at(scan, index, line, column, out):
    """Row of the table, and the context of eleven neighbours or -1."""
    _, lines, columns = scan.shape
    left = np.int64(scan[index, line, column - 1]) if column > 0 else 0
    up = np.int64(scan[index, line - 1, column]) if line > 0 else 0
    before = np.int64(scan[index, line - 1, column - 1]) if line > 0 and column > 0 else 0
    after = np.int64(scan[index, line - 1, column + 1]) if line > 0 and column < columns - 1 else 0
    near = ((up * 5 + left) * 5 + before) * 5 + after
    out[1] = -1
    if index == 0:
        out[0] = near
        return
    near = near * 5 + np.int64(scan[index - 1, line, column])
    if index == 1:
        out[0] = 625 + near
        return
    up2 = np.int64(scan[index, line - 2, column]) if line > 1 else 0
    near = (near * 5 + np.int64(scan[index - 2, line, column])) * 5 + up2
    out[0] = 625 + 3125 + near
    left2 = np.int64(scan[index, line, column - 2]) if column > 1 else 0
    right = np.int64(scan[index - 1, line, column + 1]) if column < columns - 1 else 0
    below = np.int64(scan[index - 1, line + 1, column]) if line < lines - 1 else 0
    above = np.int64(scan[index - 1, line - 1, column]) if line > 0 else 0
    out[1] = (((near * 5 + left2) * 5 + right) * 5 + below) * 5 + above


@kernel
def _contexts(scan, rows, deep):
    maps, lines, columns = scan.shape
    out = np.empty(2, np.int64)
    at = 0
    for index in range(maps):
        for line in range(lines):
            for column in range(columns):
                _contexts_at(scan, index, line, column, out)
                rows[at] = out[0]
                deep[at] = out[1]
                at += 1


@kernel
def _code(decoding, scan, coder, buffer, table, keys, overrides):
    maps, lines, columns = scan.shape
    out = np.empty(2, np.int64)
    for index in range(maps):
        for line in range(lines):
            for column in range(columns):
                _contexts_at(scan, index, line, column, out)
                row = table[out[0]]
                low, high = 0, keys.size
                while low < high and out[1] >= 0:
                    middle = (low + high) // 2
                    if keys[middle] < out[1]:
                        low = middle + 1
                    else:
                        high = middle
                if out[1] >= 0 and low < keys.size and keys[low] == out[1]:
                    row = overrides[low]
                unit = coder[RANGE] >> 16
                truth = np.int64(scan[index, line, column])
                start, label = np.int64(0), np.int64(4)
                for other in range(5):
                    end = start + row[other]
                    # the last share takes what rounding leaves of the interval
                    if (end == 65536 or coder[CODE] < end * unit) if decoding else truth == other:
                        label = np.int64(other)
                        break
                    start = end
                span = coder[RANGE] - start * unit if start + row[label] == 65536 else row[label] * unit
                if decoding:
                    if span <= 0 or coder[POS] > coder[LIMIT]:
                        coder[POS] = coder[LIMIT] + 1
                        return
                    decode_span(coder, buffer, start * unit, span)
                    scan[index, line, column] = label
                else:
                    encode_span(coder, buffer, start * unit, span)
