"""Columns of poses with next to no side information: two bytes each, beside the step or the middle of their grid.

A payload is

    columns (u8) | rows (varint) | CRC-32 | per column: method, spread (a byte each), step (f16) or middle (i16) |
    symbols of all columns in turn

    method    bits 0-1 shape, bit 2 whether the grid is halves, bits 3-7 prediction
    spread    bits 0-5 scale, four steps per doubling; bits 6-7 reach, 6, 12, 24 or 48 scales

A column of halves has its middle taken off first; an int8 column lies around 0 as it is. Predictions are a fixed table:
none, one tap in eighths, means of the last values, and lines through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Field, Reader, Section, Table
from lab.entropy.coders import Coder, Shares, Tape, check_end, emit, joined, player, recorded, recorder
from lab.entropy.models import Integers, code_fixed, finished
from lab.entropy.shapemodels import scale_64ths, shape_starts
from lab.entropy.streams import check, checksum
from lab.entropy.transforms import Predict
from lab.errors import EntropyError, UnknownSyntax

SHAPES = ("laplace", "gaussian", "student", "heavy")
MOST_COLUMNS = 8
"""So many at most, so that the first byte is never that of a table behind its length."""
MOST_REACH = 8192
SPREADS = 56
_HALVES = 4
_TRIED = 12
HEADER = Table(
    "pose columns",
    (
        Field("columns", "u8", "columns"),
        Field("rows", "varint", "numbers per column"),
        Field("checksum", "u32", "CRC-32 of steps, then of all numbers as int64, row by row"),
    ),
)
COLUMN = Table(
    "pose column", (Field("method", "u8", "shape, grid, prediction"), Field("spread", "u8", "scale and reach"))
)


@cache
def predictions() -> tuple[tuple[int, ...], ...]:
    """Weights of the last value, the one before, ..., in 32nds; each row but the taps below one sums to 32."""
    taps = [(4 * eighth,) for eighth in range(1, 9)]
    means = [_whole([1.0 / n] * n) for n in range(2, 10)]
    lines = [_whole([2.0 * (2 * n + 1 - 3 * at) / (n * (n - 1)) for at in range(1, n + 1)]) for n in range(2, 11)]
    falling = [(24, 8), (16, 8), (24, -8), (12, 4), (8, 8), (40, -8)]
    return ((), *taps, *means, *lines, *falling)


def encode(codes: Integers, steps: NDArray[np.float16]) -> tuple[bytes, tuple[Section, ...], float]:
    """(bytes, the sections that tile them, information in all) of codes (rows, columns) on their grids.

    Args:
        steps: per column; 0 where codes are ordered halves.

    Raises:
        EntropyError: a column that reaches further than this syntax can say.
    """
    n_rows, n_columns = codes.shape
    if not 0 < n_columns <= MOST_COLUMNS:
        raise EntropyError("pose columns", expected=f"1 to {MOST_COLUMNS} columns", found=str(n_columns))
    head = HEADER.write({"rows": n_rows, "columns": n_columns, "checksum": checksum(codes, steps.tobytes())})
    side, parts = b"", list[Shares]()
    for at in range(n_columns):
        half = bool(steps[at] == 0)
        middle = round(float(np.median(codes[:, at]))) if half else 0
        method, spread, shares = _smallest(np.ascontiguousarray(codes[:, at], np.int64) - middle, at)
        grid = middle.to_bytes(2, "little", signed=True) if half else steps[at : at + 1].astype("<f2").tobytes()
        side += COLUMN.write({"method": method | _HALVES * half, "spread": spread}) + grid
        parts.append(shares)
    shares = joined(parts)
    coded = emit(Coder.RANGE, shares)
    sections = (
        Section(name="header", kind="field table", offset=0, n_bytes=len(head)),
        Section(name="columns", kind="side information", offset=len(head), n_bytes=len(side)),
        Section(
            name="symbols",
            kind="entropy coded",
            offset=len(head) + len(side),
            n_bytes=len(coded),
            ideal_bits=shares.ideal_bits,
        ),
    )
    return head + side + coded, sections, 8.0 * (len(head) + len(side)) + shares.ideal_bits


def decode(reader: Reader, most_values: int) -> tuple[Integers, NDArray[np.float16]]:
    """(codes, int64 (rows, columns); steps, float16 (columns,)) of what `encode` wrote.

    Raises:
        BitstreamError: not a payload of ours, cut short, or damaged.
    """
    head = HEADER.read(reader)
    n_rows, n_columns = int(head["rows"]), int(head["columns"])
    if n_columns > MOST_COLUMNS or not 0 < n_rows * n_columns <= most_values:
        raise UnknownSyntax(
            "pose columns, shape", expected=f"1 to {most_values:,} numbers", found=f"{n_rows:,} x {n_columns:,}"
        )
    methods, spreads, grids = [], [], []
    for _ in range(n_columns):
        column = COLUMN.read(reader)
        methods.append(int(column["method"]))
        spreads.append(int(column["spread"]))
        grids.append(reader.take(2, "step or middle"))
        if methods[-1] >> 3 >= len(predictions()) or spreads[-1] & 63 >= SPREADS:
            raise UnknownSyntax("pose columns", expected="a known prediction and spread", found=f"column {column}")
    tape = player(Coder.RANGE, reader.take(reader.remaining, "symbols"))
    codes = np.empty((n_rows, n_columns), np.int64)
    steps = np.zeros(n_columns, np.float16)
    for at, (method, spread, grid) in enumerate(zip(methods, spreads, grids, strict=True)):
        half = bool(method & _HALVES)
        symbols = np.zeros(n_rows, np.int64)
        _code(symbols, tape, method, spread)
        residuals = finished(symbols, -_reach(spread), tape)
        middle = int.from_bytes(grid, "little", signed=True) if half else 0
        codes[:, at] = Predict(1, (predictions()[method >> 3],)).inverse(residuals) + middle
        steps[at] = 0 if half else np.frombuffer(grid, "<f2")[0]
        if not half and not (np.isfinite(steps[at]) and steps[at] > 0):
            raise UnknownSyntax("pose columns, step", expected="a step above 0", found=str(steps[at]))
    check_end(tape)
    check(codes, int(head["checksum"]), "pose columns", steps.tobytes())
    return codes, steps


def _whole(shares: Sequence[float]) -> tuple[int, ...]:
    """Shares that sum to 1 in 32nds that sum to 32; what rounding leaves goes to the last value."""
    rounded = [round(32 * share) for share in shares]
    return (rounded[0] + 32 - sum(rounded), *rounded[1:])


def _index(spread: int) -> int:
    return 2 * (spread & 63)


def _reach(spread: int) -> int:
    """The largest distance from the middle that a spread allows."""
    return min(MOST_REACH, 1 + (scale_64ths(_index(spread)) * (6 << (spread >> 6)) >> 6))


def _code(symbols: Integers, tape: Tape, method: int, spread: int) -> None:
    starts = shape_starts(SHAPES[method & 3], _index(spread), _reach(spread))
    code_fixed(symbols, tape, starts.reshape(1, -1), np.zeros(len(symbols), np.int64))


def _smallest(column: Integers, at: int) -> tuple[int, int, Shares]:
    """(method, spread, shares) of a column around 0 in the fewest bits."""
    ahead = [Predict(1, (weights,)).forward(column) for weights in predictions()]
    order = sorted(range(len(ahead)), key=lambda index: (float(np.abs(ahead[index]).mean()), index))
    best: tuple[float, int, int, int] | None = None
    for index in order[:_TRIED]:
        for shape in range(len(SHAPES)):
            for spread in _spreads(SHAPES[shape], ahead[index]):
                bits = _bits(shape, spread, ahead[index])
                if best is None or bits < best[0]:
                    best = bits, index, shape, spread
    if best is None:
        raise EntropyError(f"pose column {at}", expected=f"residuals up to {MOST_REACH:,}", found="larger ones")
    _, index, shape, spread = best
    tape = recorder(len(column))
    _code(ahead[index] + _reach(spread), tape, index << 3 | shape, spread)
    return index << 3 | shape, spread, recorded(tape)


def _spreads(kind: str, residuals: Integers) -> list[int]:
    """Spreads around the residuals' own that reach far enough, each with its shortest reach."""
    away = np.abs(residuals).astype(float)
    guess = float(np.sqrt((away**2).mean()) if kind == "gaussian" else away.mean())
    near = min(range(SPREADS), key=lambda scale: abs(np.log((scale_64ths(2 * scale) / 64) / max(guess, 1e-3))))
    found = []
    for scale in range(max(0, near - 3), min(SPREADS, near + 4)):
        fits = [scale | far << 6 for far in range(4) if _reach(scale | far << 6) >= away.max(initial=0.0)]
        found += fits[:1]
    return found


def _bits(shape: int, spread: int, residuals: Integers) -> float:
    starts = shape_starts(SHAPES[shape], _index(spread), _reach(spread))
    return -float(np.log2(np.diff(starts)[residuals + _reach(spread)] / starts[-1]).sum())
