"""Laplace and Gaussian models: a shape and a coded scale, for the whole stream or for each row of it.

Scales lie on a grid of eight steps per doubling, (8 + k mod 8) x 2^(k div 8) / 64. The distribution over the alphabet
is built from the scale by exact integer arithmetic, so that no libm decides a bit.

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
from lab.entropy.models import (
    ALPHABET,
    Integers,
    alphabet_of,
    code_counts,
    code_fixed,
    finished,
    quantised,
    read_alphabet,
)
from lab.errors import UnknownSyntax

SCALES = 112
_CENTRE = Field("centre", "svarint", "symbol at the middle of the shape")
_BITS = 96


def scale_64ths(index: int) -> int:
    """The scale of a grid index, in 64ths of a symbol."""
    return (8 + index % 8) << index // 8


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
def shape_starts(kind: str, index: int, below: int, above: int) -> NDArray[np.int64]:
    """Where each symbol's share of 2^16 starts, int64 (below + above + 2,), for `below` symbols under the centre and
    `above` over it.

    Args:
        kind: "laplace", with the scale as mean magnitude, or "gaussian", with the scale as standard deviation.
    """
    scale, unit = scale_64ths(index), 1 << _BITS
    reach = max(below, above)
    side = [unit]
    if kind == "laplace":
        factor = _decay(64, scale)
        for _ in range(reach):
            side.append(side[-1] * factor >> _BITS)
    else:
        first = _decay(64 * 64, 2 * scale * scale)
        square, ratio = first * first >> _BITS, first
        for _ in range(reach):
            side.append(side[-1] * ratio >> _BITS)
            ratio = ratio * square >> _BITS
    coarse = [(value >> _BITS - 40) + 1 for value in side]
    weights = coarse[below:0:-1] + coarse[: above + 1]
    return quantised(np.array(weights, np.int64))


@dataclass(frozen=True, slots=True)
class Laplace:
    """Two-sided geometric decay around a coded centre.

    Args:
        columns: symbols per row, each row with a scale of its own; 0 for one scale.
    """

    columns: int = 0

    def encode(self, symbols: Integers) -> tuple[bytes, Shares]:
        return _encode("laplace", self.columns, symbols)

    def decode(self, side: Reader, tape: Tape, count: int) -> Integers:
        return _decode("laplace", self.columns, side, tape, count)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A bell around a coded centre.

    Args:
        columns: symbols per row, each row with a scale of its own; 0 for one scale.
    """

    columns: int = 0

    def encode(self, symbols: Integers) -> tuple[bytes, Shares]:
        return _encode("gaussian", self.columns, symbols)

    def decode(self, side: Reader, tape: Tape, count: int) -> Integers:
        return _decode("gaussian", self.columns, side, tape, count)


def _encode(kind: str, columns: int, symbols: Integers) -> tuple[bytes, Shares]:
    lowest, size = alphabet_of(symbols, f"{kind} model")
    centre = min(max(round(float(np.median(symbols))) if symbols.size else 0, lowest), lowest + size - 1)
    rows = [symbols[start : start + columns] for start in range(0, len(symbols), columns)] if columns else [symbols]
    chosen = np.array([_best_scale(kind, row, centre, lowest, size) for row in rows], np.int64)
    tape = recorder(len(chosen) + len(symbols))
    _code_scales(chosen, tape)
    used, table_of = np.unique(chosen, return_inverse=True)
    starts = np.stack([shape_starts(kind, int(k), centre - lowest, lowest + size - 1 - centre) for k in used])
    lengths = [len(row) for row in rows]
    code_fixed(symbols - lowest, tape, starts, np.repeat(table_of.astype(np.int64), lengths))
    return ALPHABET.write({"lowest": lowest, "size": size}) + _CENTRE.write(centre), recorded(tape)


def _decode(kind: str, columns: int, side: Reader, tape: Tape, count: int) -> Integers:
    lowest, size = read_alphabet(side)
    centre = int(_CENTRE.read(side))
    if not lowest <= centre < lowest + size:
        raise UnknownSyntax(f"{side.where}, centre", expected="a symbol of the alphabet", found=str(centre))
    rows = -(-count // columns) if columns else 1
    chosen = np.zeros(rows, np.int64)
    _code_scales(chosen, tape)
    used, table_of = np.unique(chosen, return_inverse=True)
    starts = np.stack([shape_starts(kind, int(k), centre - lowest, lowest + size - 1 - centre) for k in used])
    symbols = np.zeros(count, np.int64)
    table = np.repeat(table_of.astype(np.int64), columns or count)[:count]
    code_fixed(symbols, tape, starts, table)
    return finished(symbols, lowest, tape)


def _code_scales(chosen: Integers, tape: Tape) -> None:
    counts = np.ones((1, SCALES + 1), np.int64)
    counts[0, SCALES] = SCALES
    code_counts(chosen, tape, counts, 24, 4096, 0)


def _best_scale(kind: str, row: Integers, centre: int, lowest: int, size: int) -> int:
    """The grid index that codes a row in the fewest bits, searched around its own magnitude."""
    away = np.abs(row - centre).astype(float)
    guess = float(away.mean() if kind == "laplace" else np.sqrt((away**2).mean())) if row.size else 1.0
    near = min(range(SCALES), key=lambda index: abs(scale_64ths(index) / 64 - guess))
    bits = {}
    for index in range(max(near - 6, 0), min(near + 7, SCALES)):
        widths = np.diff(shape_starts(kind, index, centre - lowest, lowest + size - 1 - centre))
        bits[index] = -float(np.log2(widths[row - lowest]).sum())
    return min(bits, key=lambda index: bits[index])
