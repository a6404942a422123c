"""Shapes with a coded scale: Laplace, Gaussian and Student's t, for the whole stream or for each row of it.

A stream sends its centre and how far its values reach from there; each scale is one symbol of the coded stream, on a
grid of eight steps per doubling, (8 + k mod 8) x 2^(k div 8) / 64. The distribution over the alphabet is built from
the scale by exact integer arithmetic, so that no libm decides a bit.

References:
    Public entries code pose and latent deltas under a discretised Laplace with transmitted scales.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Field, Reader
from lab.entropy.coders import Shares, Tape, recorded, recorder
from lab.entropy.models import Integers, code_counts, code_fixed, finished, quantised
from lab.errors import EntropyError, UnknownSyntax

SCALES = 112
_REACHES = 89
_CENTRE = Field("centre", "svarint", "symbol at the middle of the shape")
_REACH = Field("reach", "u8", "grid index of the largest distance from there")
_BITS = 96
_TAILS = {"student": (5, 3), "heavy": (3, 2)}
"""Degrees of freedom, and half of one more than that."""


def scale_64ths(index: int) -> int:
    """The scale of a grid index, in 64ths of a symbol."""
    return (8 + index % 8) << index // 8


def reach_of(index: int) -> int:
    """The distance that a grid index stands for: exact up to 16, then eight steps per doubling, up to 2^13."""
    return index if index < 16 else (8 + index % 8) << index // 8 - 1


def _decay(numerator: int, denominator: int) -> int:
    """e^(-numerator / denominator) with 96 fractional bits, by its series: exact integer arithmetic."""
    # halve the exponent until the series converges fast, then square back
    halvings = max((4 * numerator // denominator).bit_length(), 0)
    unit = 1 << _BITS + 32
    term = total = unit
    for order in range(1, 40):
        term = -term * numerator // (denominator * order << halvings)
        total += term
        if abs(term) <= 1:
            break
    for _ in range(halvings):
        total = total * total >> _BITS + 32
    return total >> 32


@lru_cache(maxsize=512)
def shape_starts(kind: str, index: int, reach: int) -> NDArray[np.int64]:
    """Where each symbol's share of 2^16 starts, int64 (2 reach + 2,), for the symbols up to `reach` from the centre.

    Args:
        kind: "laplace", with the scale as mean magnitude; "gaussian", with the scale as standard deviation; "student",
            (1 + x^2 / 5)^-3 with x in scales; "heavy", (1 + x^2 / 3)^-2.
    """
    scale, unit = scale_64ths(index), 1 << _BITS
    if kind in _TAILS:
        freedom, power = _TAILS[kind]
        square = freedom * scale * scale
        side = [unit * square**power // (square + 4096 * away * away) ** power for away in range(reach + 1)]
    else:
        # each share is a ratio times the one before it; the ratio is fixed, or falls by a fixed ratio
        laplace = kind == "laplace"
        ratio = _decay(64, scale) if laplace else _decay(64 * 64, 2 * scale * scale)
        falls = unit if laplace else ratio * ratio >> _BITS
        side = [unit]
        for _ in range(reach):
            side.append(side[-1] * ratio >> _BITS)
            ratio = ratio * falls >> _BITS
    coarse = [(value >> _BITS - 40) + 1 for value in side]
    return quantised(np.array(coarse[:0:-1] + coarse, np.int64))


@dataclass(frozen=True, slots=True)
class Shape:
    """A symmetric shape around a coded centre.

    Args:
        columns: symbols per row, each row with a scale of its own; 0 for one scale.
        centred: the middle is 0 and is not sent.
    """

    columns: int = 0
    centred: bool = False

    @property
    def kind(self) -> str:
        """Its name in `shape_starts`."""
        return type(self).__name__.lower()

    def encode(self, symbols: Integers) -> tuple[bytes, Shares]:
        centre = 0 if self.centred or not symbols.size else round(float(np.median(symbols)))
        away = int(np.abs(symbols - centre).max()) if symbols.size else 0
        index = next((index for index in range(_REACHES) if reach_of(index) >= away), None)
        if index is None:
            raise EntropyError(
                f"{self.kind} model",
                expected=f"values up to {reach_of(_REACHES - 1):,} from their median",
                found=f"{away:,}",
                fix="split into planes first",
            )
        reach = reach_of(index)
        width = self.columns or max(len(symbols), 1)
        rows = [symbols[start : start + width] - centre for start in range(0, len(symbols), width)]
        chosen = np.array([_best_scale(self.kind, row, reach) for row in rows], np.int64)
        tape = recorder(len(chosen) + len(symbols))
        _code_scales(chosen, tape)
        code_fixed(symbols - centre + reach, tape, *self._tables(chosen, reach, len(symbols)))
        side = _REACH.write(index) if self.centred else _CENTRE.write(centre) + _REACH.write(index)
        return side, recorded(tape)

    def decode(self, side: Reader, tape: Tape, count: int) -> Integers:
        centre = 0 if self.centred else int(_CENTRE.read(side))
        index = int(_REACH.read(side))
        if index >= _REACHES:
            raise UnknownSyntax(f"{side.where}, reach", expected=f"0 to {_REACHES - 1}", found=str(index))
        reach = reach_of(index)
        chosen = np.zeros(-(-count // (self.columns or max(count, 1))), np.int64)
        _code_scales(chosen, tape)
        symbols = np.zeros(count, np.int64)
        code_fixed(symbols, tape, *self._tables(chosen, reach, count))
        return finished(symbols, centre - reach, tape)

    def _tables(self, chosen: Integers, reach: int, count: int) -> tuple[Integers, Integers]:
        """Starts of the shares for each scale in use, and which of them each symbol takes."""
        used, table_of = np.unique(chosen, return_inverse=True)
        starts = np.array([shape_starts(self.kind, int(index), reach) for index in used], np.int64)
        return starts.reshape(-1, 2 * reach + 2), np.repeat(table_of.astype(np.int64), self.columns or count)[:count]


class Laplace(Shape):
    """Two-sided geometric decay around a coded centre."""


class Gaussian(Shape):
    """A bell around a coded centre."""


class Student(Shape):
    """A bell with heavy tails around a coded centre: Student's t of five degrees of freedom."""


def _code_scales(chosen: Integers, tape: Tape) -> None:
    counts = np.ones((1, SCALES + 1), np.int64)
    counts[0, SCALES] = SCALES
    code_counts(chosen, tape, counts, 24, 4096, 0)


def _best_scale(kind: str, row: Integers, reach: int) -> int:
    """The grid index that codes a row's distances in the fewest bits, found downhill from its own magnitude."""
    away = np.abs(row).astype(float)
    guess = float(np.sqrt((away**2).mean()) if kind == "gaussian" else away.mean())
    at = min(range(SCALES), key=lambda index: abs(scale_64ths(index) / 64 - guess))

    def bits(index: int) -> float:
        return -float(np.log2(np.diff(shape_starts(kind, index, reach))[row + reach]).sum())

    best = bits(at)
    for step in (-1, 1):
        while 0 <= at + step < SCALES and (tried := bits(at + step)) < best:
            at, best = at + step, tried
    return at
