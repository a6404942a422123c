"""Exact class maps as bytes: the syntax and its decoder.

A payload is a header of `HEADER`, the labels in use where they are not 0, 1, 2, ..., and one range-coded stream:

* `mixing`: maps line by line through `mapmodel`; with columns first each map is coded transposed, where it changes
  more from line to line than along lines;
* `counts`: every label by its frequency so far, which no noise can inflate;
* `constant`: nothing more, one label everywhere.

The header carries a CRC-32 of the labels, so that damaged bytes end in an error and not in a wrong map.
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Field, Reader, Table
from lab.entropy.jit import kernel
from lab.entropy.mapmodel import CODED, code_map, new_model
from lab.entropy.rangecoder import CODE, LIMIT, POS, RANGE, decode_span, encode_span, ended, reader
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
        Field("checksum", "u32", "CRC-32 of the labels, one byte each, map by map, line by line"),
    ),
)
MOST_LABELS = 16
LISTED = 128
MOST_PIXELS = 1 << 28  # what `decode` takes by default: over twice the 600 maps of the contest
MOST_AREA = 1 << 24  # of one map with its margins, under mixing; bounds the model's memory


def decode(
    payload: bytes, *, most_pixels: int = MOST_PIXELS, monitor: Monitor = lambda stage, done, total: None
) -> NDArray[np.uint8]:
    """The maps of a payload, uint8 (T, H, W).

    Args:
        payload: what `mapwriter.encode` wrote.
        most_pixels: larger declared shapes are refused before memory is taken.

    Raises:
        BitstreamError: not a payload of ours, cut short, or damaged.
    """
    bits = Reader(payload, "label map")
    head = HEADER.read(bits)
    maps, height, width = (int(head[name]) for name in ("maps", "height", "width"))
    if not 0 < maps * height * width <= most_pixels:
        raise UnknownSyntax(
            "label map, shape", expected=f"1 to {most_pixels:,} labels", found=f"{maps:,} x {height:,} x {width:,}"
        )
    listed, count = int(head["labels"]) & LISTED, int(head["labels"]) & (LISTED - 1)
    palette = (
        np.frombuffer(bits.take(count, "list of labels"), np.uint8) if listed else np.arange(count, dtype=np.uint8)
    )
    if not 1 <= count <= MOST_LABELS or (np.diff(palette.astype(int)) <= 0).any():
        raise UnknownSyntax("label map, labels", expected="1 to 16, ascending", found=str(palette.tolist()))
    stream = np.frombuffer(bits.take(bits.remaining, "stream"), np.uint8).copy()
    method, checksum = str(head["method"]), int(head["checksum"])
    if method == "constant":
        return _constant(stream, palette, (maps, height, width), checksum)
    if method == "counts":
        indices = _counted(stream, count, (maps, height, width))
    else:
        indices = _mixed(stream, count, (maps, height, width), method != "mixing", monitor)
    labels = palette[indices] if listed else indices
    found = zlib.crc32(labels.data)
    if found != checksum:
        raise ChecksumMismatch("label map", expected=f"CRC-32 {checksum:08x}", found=f"{found:08x}")
    return labels


def _constant(
    stream: NDArray[np.uint8], palette: NDArray[np.uint8], shape: tuple[int, int, int], checksum: int
) -> NDArray[np.uint8]:
    if len(palette) != 1 or len(stream):
        raise UnknownSyntax("label map, constant", expected="one label and no stream")
    total, crc = shape[0] * shape[1] * shape[2], 0
    chunk = bytes([int(palette[0])]) * min(total, 1 << 20)
    for start in range(0, total, len(chunk)):
        crc = zlib.crc32(chunk[: total - start], crc)
    if crc != checksum:
        raise ChecksumMismatch("label map", expected=f"CRC-32 {checksum:08x}", found=f"{crc:08x}")
    return np.full(shape, palette[0], np.uint8)


def _counted(stream: NDArray[np.uint8], count: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    labels = np.empty(shape, np.uint8)
    coder, counts = reader(stream), np.ones(count, np.int64)
    for plane in labels:
        code_counts(True, plane.reshape(-1), coder, stream, counts)
        _check_place(coder)
    return _finished(labels, coder)


def _mixed(
    stream: NDArray[np.uint8], count: int, shape: tuple[int, int, int], columns_first: bool, monitor: Monitor
) -> NDArray[np.uint8]:
    maps, height, width = shape
    lines, columns = (width, height) if columns_first else (height, width)
    if not fits(lines, columns) or count < 2:
        raise UnknownSyntax("label map, shape", expected=f"maps of at most {MOST_AREA:,} pixels, two labels or more")
    labels = np.empty(shape, np.uint8)
    coder, model = reader(stream), new_model(count, maps, lines, columns)
    plane, nothing = np.empty((lines, columns), np.uint8), np.empty(0, np.int64)
    for index in range(maps):
        if code_map(True, plane, coder, stream, model, nothing) != CODED:
            raise Truncated("label map", expected=f"{maps} maps", found=f"a stream that ends in map {index}")
        labels[index] = plane.T if columns_first else plane
        monitor("decode maps", index + 1, maps)
    return _finished(labels, coder)


def fits(lines: int, columns: int) -> bool:
    """Whether the mixing model takes maps of this size."""
    return (lines + 24) * (columns + 24) <= MOST_AREA


def _check_place(coder: NDArray[np.int64]) -> None:
    if coder[POS] > coder[LIMIT]:
        raise Truncated("label map", expected="more labels", found="the end of the stream")


def _finished(labels: NDArray[np.uint8], coder: NDArray[np.int64]) -> NDArray[np.uint8]:
    if not ended(coder):
        raise BitstreamError("label map", expected="the end of the stream", found="bytes left over or missing")
    return labels


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
