"""Class maps to bytes, and what an edit of them would cost: the encoder's side of `labelmap`.

Example:
    >>> from lab.entropy.labelmap import decode
    >>> maps = np.zeros((2, 16, 16), np.uint8); maps[:, 8:] = 1
    >>> coded = encode(maps)
    >>> coded.method, bool((decode(coded.payload) == maps).all())
    ('mixing, columns first', True)
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Section
from lab.entropy.labelmap import (
    HEADER,
    LISTED,
    MOST_LABELS,
    Monitor,
    code_counts,
    fits,
    head_checksum,
    least_bytes,
    tiles,
)
from lab.entropy.mapmodel import Model, code_map, new_model
from lab.entropy.rangecoder import WIDTH, finish, spent_bits, writer

_TRIAL = 1 << 16  # pixels after which a model that loses to plain counts is given up
_NOTHING = np.empty(0, np.int64)
_NO_BYTES = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedMaps:
    """A payload and what is known of it."""

    payload: bytes
    method: str
    sections: tuple[Section, ...]
    map_bits: tuple[float, ...]

    @property
    def ideal_bits(self) -> float:
        """Information of the labels under the model, without header and rounding to bytes."""
        return sum(self.map_bits)


def encode(labels: NDArray[np.uint8], *, monitor: Monitor = lambda stage, done, total: None) -> CodedMaps:
    """Maps of few classes as the fewest bytes.

    Args:
        labels: uint8 (T, H, W) of at most 16 distinct labels, any values.

    Raises:
        ValueError: another shape, type, an empty array, or more labels.
    """
    palette, indices = _indices(labels)
    maps, height, width = labels.shape
    method, stream, map_bits = "constant", b"", (0.0,) * maps
    if len(palette) > 1:
        least, most_bits = least_bytes(labels.shape), _counts_bits(indices)
        mixed = _by_mixing(indices, len(palette), most_bits, monitor)
        if mixed is None or 8 * len(mixed[1]) > most_bits:
            counted = _by_counts(indices, len(palette), most_bits)
            mixed = counted if mixed is None or len(counted[1]) < len(mixed[1]) else mixed
        method, stream, map_bits = mixed[0], mixed[1].ljust(least, b"\0"), mixed[2]
    listed = palette.tolist() != list(range(len(palette)))
    fields: dict[str, object] = {
        "method": method,
        "maps": maps,
        "height": height,
        "width": width,
        "labels": len(palette) + (LISTED if listed else 0),
    }
    fields["checksum"] = zlib.crc32(np.ascontiguousarray(labels).data, head_checksum(fields, palette))
    head = HEADER.write(fields) + (palette.tobytes() if listed else b"")
    sections = tiles(len(head), len(stream), method, sum(map_bits))
    return CodedMaps(payload=head + stream, method=method, sections=sections, map_bits=map_bits)


def _indices(labels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The distinct labels and every label's index among them."""
    if labels.ndim != 3 or labels.dtype != np.uint8 or not labels.size:
        raise ValueError(f"class maps are uint8 (T, H, W) and not empty, got {labels.dtype} {labels.shape}")
    palette = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256)).astype(np.uint8)
    if len(palette) > MOST_LABELS:
        raise ValueError(f"class maps hold at most {MOST_LABELS} labels, got {len(palette)}")
    table = np.zeros(256, np.uint8)
    table[palette] = np.arange(len(palette))
    return palette, table[labels]


def _counts_bits(indices: NDArray[np.uint8]) -> int:
    """Information of the labels by their counts so far, rounded up: one of all arrangements of all tables of counts."""
    counts = np.bincount(indices.reshape(-1)).tolist()
    ways = math.lgamma(sum(counts) + len(counts)) - math.lgamma(len(counts)) - sum(math.lgamma(n + 1) for n in counts)
    return math.ceil(ways / math.log(2))


def _by_counts(indices: NDArray[np.uint8], count: int, bits: int) -> tuple[str, bytes, tuple[float, ...]]:
    coder, counts = writer(), np.ones(count, np.int64)
    buffer = np.empty(bits // 8 + bits // 512 + 1024, np.uint8)  # what the coder's rounding may add, and more
    spent = [0.0]
    for plane in indices:
        code_counts(False, np.ascontiguousarray(plane).reshape(-1), coder, buffer, counts)
        spent.append(spent_bits(coder))
    return "counts", finish(coder, buffer), tuple(np.diff(spent).tolist())


def _by_mixing(
    indices: NDArray[np.uint8], count: int, most_bits: int, monitor: Monitor
) -> tuple[str, bytes, tuple[float, ...]] | None:
    """The mixing stream, or nothing where it cannot be used or has lost after a fair trial."""
    scan, columns_first = oriented(indices)
    maps, lines, columns = scan.shape
    if not fits(lines, columns):
        return None
    coder, model = writer(), new_model(count, maps, lines, columns)
    buffer = np.empty(most_bits // 8 + 1024, np.uint8)
    spent = [0.0]
    for index in range(maps):
        code_map(False, np.ascontiguousarray(scan[index]), coder, buffer, model, _NOTHING)
        spent.append(spent_bits(coder))
        share = (index + 1) / maps
        if spent[-1] > most_bits or (share * indices.size >= _TRIAL and spent[-1] > share * most_bits):
            return None
        monitor("encode maps", index + 1, maps)
    method = "mixing, columns first" if columns_first else "mixing"
    return method, finish(coder, buffer), tuple(np.diff(spent).tolist())


def oriented(indices: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
    """The maps as they are scanned, and whether that is columns first: lines should change little along themselves."""
    across = np.count_nonzero(indices[:, 1:] != indices[:, :-1])
    along = np.count_nonzero(indices[:, :, 1:] != indices[:, :, :-1])
    return (indices.transpose(0, 2, 1), True) if across > along else (indices, False)


def costs(
    labels: NDArray[np.uint8], *, monitor: Monitor = lambda stage, done, total: None
) -> Iterator[NDArray[np.float32]]:
    """Information of every pixel, map by map, float32 (H, W): one pass over uint8 (T, H, W) of 2 to 16 labels."""
    palette, indices = _indices(labels)
    scan, columns_first = oriented(indices)
    maps, lines, columns = scan.shape
    coder, model, trace = writer(), new_model(len(palette), maps, lines, columns), np.empty(lines * columns, np.int64)
    for index in range(maps):
        start = spent_bits(coder)
        code_map(False, np.ascontiguousarray(scan[index]), coder, _NO_BYTES, model, trace)
        plane = _traced(trace, start).reshape(lines, columns)
        yield np.ascontiguousarray(plane.T) if columns_first else plane
        monitor("price pixels", index + 1, maps)


def _traced(trace: NDArray[np.int64], start: float) -> NDArray[np.float32]:
    """Information of each pixel of a trace that began at `start` bits."""
    written, width = trace >> WIDTH & 0xFFFF, trace & ((1 << WIDTH) - 1)
    # positions are kept modulo 2^16 bytes, which a single pixel never spends
    steps = np.diff(written, prepend=int(start // 8) & 0xFFFF) & 0xFFFF
    after = 8.0 * np.cumsum(np.where(steps > 0x8000, steps - 0x10000, steps)) - np.log2(width.astype(np.float64))
    return np.diff(after, prepend=start - WIDTH - 8.0 * (start // 8)).astype(np.float32)


class Meter:
    """The exact cost of maps under the mixing model: in all, per pixel, and of edits proposed to them.

    Args:
        labels: uint8 (T, H, W) of 2 to 16 distinct labels.
        snapshots: states of the model to keep, evenly spread; each costs tens of megabytes and saves replaying.

    Notes:
        The model adapts, so that an edit changes what every later pixel costs. `incremental_bits` replays from the
        snapshot before the first edited map; with `horizon` it stops that many maps after the last one.
    """

    def __init__(
        self,
        labels: NDArray[np.uint8],
        *,
        snapshots: int = 4,
        monitor: Monitor = lambda stage, done, total: None,
    ) -> None:
        palette, indices = _indices(labels)
        if len(palette) < 2:
            raise ValueError("a constant map costs nothing; give maps of two labels or more")
        self._palette = palette
        self._scan, self._columns_first = oriented(indices)
        self._shape = labels.shape
        maps, lines, columns = self._scan.shape
        if not fits(lines, columns):
            raise ValueError(f"maps of {lines} x {columns} are beyond the mixing model")
        model, coder = new_model(len(palette), maps, lines, columns), writer()
        every = -(-maps // max(snapshots, 1))
        self._kept: list[tuple[Model, NDArray[np.int64]]] = []
        self._every = every
        self._spent = [0.0]
        for index in range(maps):
            if index % every == 0:
                self._kept.append((copied(model), coder.copy()))
            code_map(False, np.ascontiguousarray(self._scan[index]), coder, _NO_BYTES, model, _NOTHING)
            self._spent.append(spent_bits(coder))
            monitor("measure maps", index + 1, maps)

    @property
    def bits(self) -> float:
        """Information of all maps."""
        return self._spent[-1]

    @property
    def map_bits(self) -> tuple[float, ...]:
        """Information of each map."""
        return tuple(np.diff(self._spent).tolist())

    def pixel_bits(self, index: int) -> NDArray[np.float32]:
        """Information of every pixel of one map, float32 (H, W)."""
        model, coder = self._state_at(index)
        start = spent_bits(coder)
        plane = np.ascontiguousarray(self._scan[index])
        trace = np.empty(plane.size, np.int64)
        code_map(False, plane, coder, _NO_BYTES, model, trace)
        priced = _traced(trace, start).reshape(plane.shape)
        return np.ascontiguousarray(priced.T) if self._columns_first else priced

    def incremental_bits(self, edits: Sequence[tuple[int, int, int, int]], *, horizon: int | None = None) -> float:
        """Bits that a set of edits adds (or saves, if negative).

        Args:
            edits: (map, row, column, label) each; the label must be in use.
            horizon: maps to replay after the last edited one; all by default, which is exact.

        Raises:
            ValueError: no edits, a place outside, or an unused label.
        """
        if not edits:
            raise ValueError("no edits")
        first, last = min(edit[0] for edit in edits), max(edit[0] for edit in edits)
        end = len(self._scan) if horizon is None else min(last + 1 + horizon, len(self._scan))
        changed = self._edited(edits)
        model, coder = self._state_at(first)
        for index in range(first, end):
            plane = changed.get(index)
            code_map(
                False,
                np.ascontiguousarray(self._scan[index]) if plane is None else plane,
                coder,
                _NO_BYTES,
                model,
                _NOTHING,
            )
        return spent_bits(coder) - self._spent[end]

    def _edited(self, edits: Sequence[tuple[int, int, int, int]]) -> dict[int, NDArray[np.uint8]]:
        planes: dict[int, NDArray[np.uint8]] = {}
        for index, row, column, label in edits:
            inside = all(0 <= at < size for at, size in zip((index, row, column), self._shape, strict=True))
            if not inside or label not in self._palette:
                raise ValueError(f"edit {(index, row, column, label)} is outside {self._shape} or of an unused label")
            plane = planes.setdefault(index, np.array(self._scan[index], order="C"))
            plane[(column, row) if self._columns_first else (row, column)] = np.searchsorted(self._palette, label)
        return planes

    def _state_at(self, index: int) -> tuple[Model, NDArray[np.int64]]:
        """The model and coder before map `index`."""
        kept, coder = self._kept[index // self._every]
        model, coder = copied(kept), coder.copy()
        for earlier in range(index // self._every * self._every, index):
            code_map(False, np.ascontiguousarray(self._scan[earlier]), coder, _NO_BYTES, model, _NOTHING)
        return model, coder


def copied(model: Model) -> Model:
    """A model of its own arrays in the same state."""
    return Model._make(array.copy() for array in model)
