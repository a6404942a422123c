"""Recognising plain tables: tensors with scales, latents, blocks of four-bit weights, arrays, documents.

Each function takes bytes and gives a reading that uses all of them, or `None`. A reading by figures alone says how
often it would fit by chance.

References: the public submissions 81, 95 and 104 of the contest, for the layouts that are called published.
"""

from __future__ import annotations

import ast
import json
import math
import struct
from itertools import accumulate
from operator import getitem
from typing import NamedTuple

from lab.foreign.evidence import Strength

TENSOR_LIMIT = 4096
FP4_BLOCK = 32
FP4_LEAST_BLOCKS = 48
F16_LEAST = 16
F16_NORMAL = 2.0**-14
F16_RANGE = 4096
_KEY_LIMIT = 64
# Second byte of a code in zigzag order, then its first byte, to the signed figure.
_ZIGZAG = tuple(tuple(code >> 1 if not code & 1 else -(code >> 1) - 1 for code in range(256 * high, 256 * high + 256))
                for high in (0, 1))  # fmt: skip


class Reading(NamedTuple):
    """What a table says of itself. `runs` are (name, bytes) that tile it, where it divides."""

    format: str
    strength: Strength
    evidence: str
    facts: dict[str, object]
    role: str = ""
    runs: tuple[tuple[str, int], ...] = ()


class _Cursor:
    """Little-endian numbers from bytes; running out raises IndexError."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, n_bytes: int) -> bytes:
        if n_bytes < 0 or self.at + n_bytes > len(self.data):
            raise IndexError("ran out")
        self.at += n_bytes
        return self.data[self.at - n_bytes : self.at]

    def u32(self) -> int:
        value: int = struct.unpack("<I", self.take(4))[0]
        return value

    def f32(self) -> float:
        value: float = struct.unpack("<f", self.take(4))[0]
        return value

    def f16s(self, count: int) -> tuple[float, ...]:
        return struct.unpack(f"<{count}e", self.take(2 * count))


def document(data: bytes) -> Reading | None:
    """A JSON object or list in UTF-8."""
    if data[:1] not in (b"{", b"["):
        return None
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    facts: dict[str, object] = (
        {"keys": sorted(value)[:_KEY_LIMIT]} if isinstance(value, dict) else {"items": len(value)}
    )
    if isinstance(value, dict):
        facts["figures"] = {key: item for key, item in sorted(value.items())[:_KEY_LIMIT] if _figure(item)}
    return Reading("JSON", Strength.PARSED, "JSON from the first byte to the last", facts, role="meta")


def _figure(value: object) -> bool:
    if isinstance(value, list):
        return len(value) <= 8 and all(isinstance(item, int | float) for item in value)
    return isinstance(value, int | float)


def tensors(data: bytes) -> Reading | None:
    """A list of named int8 tensors with a float32 scale each, codes in zigzag order, as published with PR 95."""
    cursor = _Cursor(data)
    runs: list[tuple[str, int]] = [("count", 4)]
    shapes: dict[str, object] = {}
    weights = 0
    try:
        count = cursor.u32()
        if not 0 < count <= TENSOR_LIMIT:
            return None
        for _ in range(count):
            start = cursor.at
            name = cursor.take(_bounded(cursor.u32(), 256)).decode("ascii")
            shape = [cursor.u32() for _ in range(_bounded(cursor.u32(), 8))]
            scale, size = cursor.f32(), cursor.u32()
            sound = name.isprintable() and name not in shapes and math.isfinite(scale) and scale > 0.0
            if not sound or size != math.prod(shape) or size == 0:
                return None
            runs.append((f"{name} header", cursor.at - start))
            codes = cursor.take(size)
            # Codes are symmetric, -127 to 127; zigzag leaves the last code of a byte unused.
            if 255 in codes:
                return None
            runs.append((name, size))
            shapes[name] = shape
            weights += size
    except (IndexError, UnicodeDecodeError):
        return None
    if cursor.at != len(data):
        return None
    evidence = f"{count} tensors whose shapes give their {weights:,} codes, names, scales and lengths to the last byte"
    return Reading(
        "int8 tensors with scales", Strength.PARSED, evidence, {"tensors": shapes, "weights": weights},
        role="decoder", runs=tuple(runs),
    )  # fmt: skip


def _bounded(value: int, limit: int) -> int:
    if value > limit:
        raise IndexError("too long")
    return value


def latents(data: bytes) -> Reading | None:
    """A table of latents: sizes, float16 minimum and step per dimension, deltas over time as low and high planes.

    Notes:
        Deltas in zigzag order are summed along time; every sum must be a code of 0 to 254, as published with PR 95.
    """
    cursor = _Cursor(data)
    try:
        rows, columns = cursor.u32(), cursor.u32()
        if not (1 < rows <= 1 << 20 and 0 < columns <= 1 << 16) or len(data) != 8 + columns * (4 + 2 * rows):
            return None
        lows, steps = cursor.f16s(columns), cursor.f16s(columns)
        low_plane, high_plane = cursor.take(rows * columns), cursor.take(rows * columns)
    except IndexError:
        return None
    if not all(map(math.isfinite, lows)) or not all(math.isfinite(step) and step > 0.0 for step in steps):
        return None
    # A sum of 0 to 254 takes deltas of at most as much, whose second byte is 0 or 1.
    if high_plane.strip(b"\0\1"):
        return None
    for column in range(columns):
        deltas = map(getitem, map(_ZIGZAG.__getitem__, high_plane[column::columns]), low_plane[column::columns])
        codes = list(accumulate(deltas))
        if min(codes) < 0 or max(codes) > 254:
            return None
    evidence = f"{rows} x {columns} deltas whose {rows * columns:,} running sums all stay codes of 0 to 254"
    runs = (
        ("sizes", 8), ("minima", 2 * columns), ("steps", 2 * columns),
        ("low plane", rows * columns), ("high plane", rows * columns),
    )  # fmt: skip
    return Reading(
        "delta-coded latents", Strength.PARSED, evidence, {"rows": rows, "columns": columns}, role="latents", runs=runs
    )  # fmt: skip


def mask_stream(data: bytes) -> Reading | None:
    """A range-coded class map with its published header: mark, frames, height, width, length of the stream."""
    if not data.startswith(b"QMA9") or len(data) < 20:
        return None
    frames, height, width, size = struct.unpack_from("<4I", data, 4)
    if size != len(data) - 20 or not (0 < frames <= 1 << 16 and 0 < height <= 1 << 14 and 0 < width <= 1 << 14):
        return None
    evidence = f"header of {frames} x {height} x {width} pixels, and a length that is all that follows"
    facts: dict[str, object] = {"frames": frames, "height": height, "width": width}
    runs = (("header", 20), ("range-coded pixels", size))
    return Reading("QMA9 class maps", Strength.PARSED, evidence, facts, role="masks", runs=runs)


def four_bit_blocks(data: bytes) -> Reading | None:
    """Four-bit weights in blocks of 32 with a float16 scale each: nibbles first, then the scales."""
    blocks, rest = divmod(len(data), FP4_BLOCK // 2 + 2)
    if rest or blocks < FP4_LEAST_BLOCKS:
        return None
    nibbles = data[: blocks * FP4_BLOCK // 2]
    scales = struct.unpack(f"<{blocks}e", data[len(nibbles) :])
    if not all(math.isfinite(scale) and scale > 0.0 for scale in scales):
        return None
    # The scale is the block's largest weight over the largest code, so that code occurs in every block.
    for at in range(blocks):
        block = nibbles[at * FP4_BLOCK // 2 : (at + 1) * FP4_BLOCK // 2]
        if not any(byte & 7 == 7 or byte >> 4 & 7 == 7 for byte in block):
            return None
    evidence = (
        f"{blocks:,} scales, each a positive float16, and the largest code in each block; by chance 1 in 2^{blocks}"
    )
    facts: dict[str, object] = {"blocks": blocks, "weights": blocks * FP4_BLOCK}
    runs = (("codes", len(nibbles)), ("scales", 2 * blocks))
    return Reading("four-bit blocks", Strength.PLAUSIBLE, evidence, facts, role="weights", runs=runs)


def half_floats(data: bytes) -> Reading | None:
    """A list of positive float16 figures within a narrow range, such as scales."""
    count, rest = divmod(len(data), 2)
    if rest or count < F16_LEAST or count > 1 << 16:
        return None
    values = struct.unpack(f"<{count}e", data)
    if not all(math.isfinite(value) and value >= F16_NORMAL for value in values) or data.isascii():
        return None
    if max(values) > F16_RANGE * min(values):
        return None
    evidence = (
        f"{count} positive float16 figures within a factor of {F16_RANGE}; random bytes fit once in 2^{count} or less"
    )
    return Reading("float16 figures", Strength.PLAUSIBLE, evidence, {"count": count}, role="scales")


def array(data: bytes) -> Reading | None:
    """A NumPy array file."""
    if not data.startswith(b"\x93NUMPY") or len(data) < 12:
        return None
    wide = data[6] >= 2
    head = 12 if wide else 10
    size = struct.unpack_from("<I" if wide else "<H", data, 8)[0]
    try:
        told = ast.literal_eval(data[head : head + _bounded(size, 1 << 16)].decode("latin-1").strip())
        shape, kind = tuple(int(side) for side in told["shape"]), str(told["descr"])
        item_bytes = int(kind.lstrip("<>|=biufc?"))
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, RecursionError, MemoryError):
        return None
    if kind.startswith("|O") or len(data) != head + size + math.prod(shape) * item_bytes:
        return None
    evidence = f"header of shape {shape} and type {kind}, and as many bytes as they need"
    facts: dict[str, object] = {"shape": list(shape), "type": kind}
    return Reading(
        "NumPy array",
        Strength.PARSED,
        evidence,
        facts,
        runs=(("header", head + size), ("values", len(data) - head - size)),
    )


def safetensors(data: bytes) -> Reading | None:
    """A safetensors file: a JSON header whose offsets tile the rest."""
    if len(data) < 10 or data[8:9] != b"{":
        return None
    size = struct.unpack_from("<Q", data, 0)[0]
    if size > len(data) - 8:
        return None
    try:
        header = json.loads(data[8 : 8 + size])
        spans = sorted(tuple(item["data_offsets"]) for name, item in header.items() if name != "__metadata__")
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return None
    at = 0
    for start, end in spans:
        if start != at or end < start:
            return None
        at = end
    if at != len(data) - 8 - size or not spans:
        return None
    evidence = f"{len(spans)} tensors whose offsets tile the file"
    return Reading("safetensors", Strength.PARSED, evidence, {"tensors": len(spans)}, role="weights",
                   runs=(("header", 8 + size), ("values", at)))  # fmt: skip


# Strong readings before those that rest on figures alone.
READERS = (document, tensors, latents, mask_stream, array, safetensors, four_bit_blocks, half_floats)
