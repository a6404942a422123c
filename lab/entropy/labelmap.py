"""Exact class maps as bytes: the syntax and its decoder.

A payload is a header of `HEADER`, the labels in use where they are not 0, 1, 2, ..., and one range-coded stream:

* `mixing`: maps line by line through `mapmodel`; with columns first each map is coded transposed, where it changes
  more from line to line than along lines;
* `counts`: every label by its frequency so far, which no noise can inflate;
* `constant`: nothing more, one label everywhere.

The header carries a CRC-32 over its own fields and the labels, so that damaged bytes end in an error and not in a wrong
map. What a payload may declare grows with its length (`least_bytes`), which bounds a reader's time and memory.
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Field, Reader, Section, Table
from lab.entropy.jit import kernel
from lab.entropy.mapcontexts import MARGIN
from lab.entropy.mapmodel import CODED, code_map, new_model
from lab.entropy.rangecoder import CODE, LIMIT, POS, RANGE, decode_span, encode_span, ended, read_bits, reader
from lab.errors import BitstreamError, ChecksumMismatch, Truncated, UnknownSyntax

Monitor = Callable[[str, int, int], None]
METHODS = ("constant", "counts", "mixing", "mixing, columns first")
HEADER = Table(
    "label map",
    (
        Field("method", METHODS, "how labels are coded"),
        Field("maps", "varint", "T, maps in display order"),
        Field("height", "varint", "lines of a map"),
        Field("width", "varint", "columns of a map"),
        Field("labels", "u8", "distinct labels, 1 to 16; 128 is added where a list of them follows"),
        Field("checksum", "u32", "CRC-32 of what precedes, the list, and the labels, a byte each, line by line"),
    ),
)
MOST_LABELS = 16
LISTED = 128
MOST_PIXELS = 1 << 28  # what `decode` takes by default: over twice the 600 maps of the contest
MOST_AREA = 1 << 24  # of one map with its margins, under mixing; bounds the model's memory
_FREE_AREA = 1 << 22  # with margins, that a stream of any length may declare
_AREA_OF_BYTE = 1 << 16  # more for every byte of it
_CHUNK = 1 << 16  # labels between two looks at the end of the stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Maps as they were read: labels uint8 (T, H, W), how they were coded, and what is known of the bytes."""

    labels: NDArray[np.uint8]
    method: str
    head_bytes: int
    stream_bytes: int
    ideal_bits: float

    @property
    def sections(self) -> tuple[Section, ...]:
        """Header and stream, which tile the payload."""
        return tiles(self.head_bytes, self.stream_bytes, self.method, self.ideal_bits)


def tiles(head_bytes: int, stream_bytes: int, method: str, ideal_bits: float) -> tuple[Section, ...]:
    """The sections of a payload; a stream without bytes has none."""
    head = Section(name="header", kind="field table", offset=0, n_bytes=head_bytes)
    ideal = round(ideal_bits, 6)  # writer and reader add up in another order
    labels = Section(name="labels", kind=method, offset=head_bytes, n_bytes=stream_bytes, ideal_bits=ideal)
    return (head, labels) if stream_bytes else (head,)


def decode(
    payload: bytes, *, most_pixels: int = MOST_PIXELS, monitor: Monitor = lambda stage, done, total: None
) -> NDArray[np.uint8]:
    """The maps of a payload, uint8 (T, H, W); arguments and errors as `read`."""
    return read(payload, most_pixels=most_pixels, monitor=monitor).labels


def read(
    payload: bytes, *, most_pixels: int = MOST_PIXELS, monitor: Monitor = lambda stage, done, total: None
) -> Decoded:
    """The maps of a payload and what its bytes are.

    Args:
        payload: what `mapwriter.encode` wrote.
        most_pixels: larger declared shapes are refused before memory is taken.

    Raises:
        BitstreamError: not a payload of ours, cut short, or damaged.
    """
    bits = Reader(payload, "label map")
    head = HEADER.read(bits)
    shape = (int(head["maps"]), int(head["height"]), int(head["width"]))
    if not 0 < math.prod(shape) <= most_pixels:
        raise UnknownSyntax(
            "label map, shape",
            expected=f"1 to {most_pixels:,} labels",
            found=" x ".join(f"{size:,}" for size in shape),
            fix="the payload is damaged, or the reader must allow more",
        )
    listed, count = int(head["labels"]) & LISTED, int(head["labels"]) & (LISTED - 1)
    if not 1 <= count <= MOST_LABELS:
        raise UnknownSyntax("label map, labels", expected=f"1 to {MOST_LABELS}", found=str(count))
    palette = (
        np.frombuffer(bits.take(count, "list of labels"), np.uint8) if listed else np.arange(count, dtype=np.uint8)
    )
    if (np.diff(palette.astype(int)) <= 0).any():
        raise UnknownSyntax("label map, labels", expected="an ascending list", found=str(palette.tolist()))
    stream = np.frombuffer(bits.take(bits.remaining, "stream"), np.uint8).copy()
    method, ideal_bits = str(head["method"]), 0.0
    if (method == "constant") != (count == 1):
        raise UnknownSyntax("label map, method", expected=f"one for {count} labels", found=method)
    if method == "constant":
        labels = _constant(stream, palette, shape, head)
    else:
        indices, ideal_bits = _coded(method, stream, count, shape, monitor)
        labels = palette[indices] if listed else indices
        _compare(head, zlib.crc32(labels.data, head_checksum(head, palette)))
    return Decoded(
        labels=labels,
        method=method,
        head_bytes=len(payload) - len(stream),
        stream_bytes=len(stream),
        ideal_bits=ideal_bits,
    )


def head_checksum(head: Mapping[str, object], palette: NDArray[np.uint8]) -> int:
    """CRC-32 of a header without its checksum and of the list of labels; that of the labels goes on from it."""
    listed = palette.tobytes() if int(str(head["labels"])) & LISTED else b""
    return zlib.crc32(HEADER.write({**head, "checksum": 0})[:-4] + listed)


def least_bytes(shape: tuple[int, int, int]) -> int:
    """Bytes that a coded stream of this shape has at least, zeros at its end where the labels need fewer."""
    maps, height, width = shape
    area = maps * (height + 2 * MARGIN) * (width + 2 * MARGIN)
    return max(area - _FREE_AREA, 0) // _AREA_OF_BYTE


def fits(lines: int, columns: int) -> bool:
    """Whether the mixing model takes maps of this size."""
    return (lines + 2 * MARGIN) * (columns + 2 * MARGIN) <= MOST_AREA


def _compare(head: Mapping[str, object], found: int) -> None:
    if found != head["checksum"]:
        raise ChecksumMismatch("label map", expected=f"CRC-32 {head['checksum']:08x}", found=f"{found:08x}")


def _constant(
    stream: NDArray[np.uint8], palette: NDArray[np.uint8], shape: tuple[int, int, int], head: Mapping[str, object]
) -> NDArray[np.uint8]:
    if len(stream):
        raise UnknownSyntax("label map, constant", expected="no stream", found=f"{len(stream):,} bytes")
    total, crc = math.prod(shape), head_checksum(head, palette)
    chunk = palette.tobytes() * min(total, 1 << 20)
    for start in range(0, total, len(chunk)):
        crc = zlib.crc32(chunk[: total - start], crc)
    _compare(head, crc)
    return np.full(shape, palette[0], np.uint8)


def _coded(
    method: str, stream: NDArray[np.uint8], count: int, shape: tuple[int, int, int], monitor: Monitor
) -> tuple[NDArray[np.uint8], float]:
    """Indices of labels, uint8 (T, H, W), and the information that was read."""
    least = least_bytes(shape)
    if len(stream) < least:
        raise Truncated("label map, stream", expected=f"{least:,} bytes or more", found=f"{len(stream):,}")
    coder, labels = reader(stream), np.empty(shape, np.uint8)
    if method == "counts":
        _read_counts(coder, stream, labels.reshape(-1), count)
    else:
        _read_mixing(coder, stream, labels, count, method != "mixing", monitor)
    padded = len(stream) == least and not stream[int(coder[POS]) :].any()
    if not ended(coder) and not padded:
        raise BitstreamError("label map", expected="the end of the stream", found="bytes left over or missing")
    return labels, read_bits(coder)


def _read_counts(coder: NDArray[np.int64], stream: NDArray[np.uint8], labels: NDArray[np.uint8], count: int) -> None:
    counts = np.ones(count, np.int64)
    for start in range(0, labels.size, _CHUNK):
        code_counts(True, labels[start : start + _CHUNK], coder, stream, counts)
        if coder[POS] > coder[LIMIT]:
            raise Truncated("label map", expected="more labels", found="the end of the stream")


def _read_mixing(
    coder: NDArray[np.int64],
    stream: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    count: int,
    columns_first: bool,
    monitor: Monitor,
) -> None:
    maps, height, width = labels.shape
    lines, columns = (width, height) if columns_first else (height, width)
    if not fits(lines, columns):
        raise UnknownSyntax("label map, shape", expected=f"maps of at most {MOST_AREA:,} pixels with their margins")
    model, plane, nothing = (
        new_model(count, maps, lines, columns),
        np.empty((lines, columns), np.uint8),
        np.empty(0, np.int64),
    )
    for index in range(maps):
        if code_map(True, plane, coder, stream, model, nothing) != CODED:
            raise Truncated("label map", expected=f"{maps} maps", found=f"a stream that ends in map {index}")
        labels[index] = plane.T if columns_first else plane
        monitor("decode maps", index + 1, maps)


@kernel
def code_counts(decoding, labels, coder, buffer, counts):
    """Code labels by their counts so far, which start at one each; stops early where the payload ends."""
    total = counts.sum()
    for at in range(labels.size):
        unit = coder[RANGE] // total
        below = np.int64(0)
        if decoding:
            label = 0
            while label < counts.size - 1 and coder[CODE] >= (below + counts[label]) * unit:
                below += counts[label]
                label += 1
            labels[at] = label
        else:
            label = labels[at]
            for other in range(label):
                below += counts[other]
        # the last label takes what rounding leaves of the interval
        width = counts[label] * unit if label < counts.size - 1 else coder[RANGE] - below * unit
        if decoding:
            decode_span(coder, buffer, below * unit, width)
            if coder[POS] > coder[LIMIT]:
                return
        else:
            encode_span(coder, buffer, below * unit, width)
        counts[label] += 1
        total += 1
