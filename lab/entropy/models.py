"""Entropy models of integer streams, each with both directions in one kernel.

A model is a frozen record of its parameters. `encode` gives the side information it must send and the shares of its
symbols; `decode` reads both back. Here stand the models that count (`Static`, `Adaptive` of any order) and
`GolombRice`; shapes with a coded scale stand in `shapemodels`, the context tree in `treemodels`, logistic mixing in
`contextmodels`. All but `GolombRice`, which holds numbers from 0 to 2^33 - 1, hold alphabets of a limited size around
any offset.

Every distribution is built by integer arithmetic from numbers in the stream, so that both sides hold the same one.
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Field, Reader, Table
from lab.entropy.coders import WHOLE, Shares, Tape, exhausted, peek, put, put_bit, recorded, recorder
from lab.entropy.jit import kernel
from lab.errors import EntropyError, Truncated, UnknownSyntax

Integers = NDArray[np.int64]
MOST_VALUES = 1 << 14
MOST_COUNTED = 1 << 10  # under `Adaptive`, which walks its counts at every symbol
MOST_COUNTS = 1 << 22  # of `Adaptive`, over all contexts
ALPHABET = Table(
    "alphabet",
    (Field("lowest", "svarint", "smallest symbol"), Field("size", "varint", "symbols from there on")),
)


class Model(Protocol):
    """An entropy model of a stream of integers."""

    def encode(self, symbols: Integers) -> tuple[bytes, Shares]:
        """Side information and the shares of all symbols."""
        ...

    def decode(self, side: Reader, tape: Tape, count: int) -> Integers:
        """`count` symbols, from the side information and a played tape, which may go on after them."""
        ...


def alphabet_of(symbols: Integers, where: str, most: int = MOST_VALUES) -> tuple[int, int]:
    """The smallest symbol and the number of values up to the largest.

    Raises:
        EntropyError: more values than a table of shares can hold.
    """
    if not symbols.size:
        return 0, 1
    lowest, size = int(symbols.min()), int(symbols.max()) - int(symbols.min()) + 1
    if size > most:
        raise EntropyError(where, expected=f"at most {most:,} values", found=f"{size:,}", fix="split into planes first")
    return lowest, size


def read_alphabet(side: Reader, most: int = MOST_VALUES) -> tuple[int, int]:
    """What `ALPHABET` holds, checked.

    Raises:
        UnknownSyntax: an alphabet that no encoder writes.
    """
    head = ALPHABET.read(side)
    lowest, size = int(head["lowest"]), int(head["size"])
    if not 1 <= size <= most:
        raise UnknownSyntax(f"{side.where}, alphabet", expected=f"1 to {most:,} values", found=f"{size:,}")
    return lowest, size


def quantised(weights: Integers) -> Integers:
    """Shares of 2^16 in proportion to non-negative weights, at least 1 each where a weight is positive; int64 (n + 1,)
    of where each share starts.

    Notes:
        Exact integer arithmetic: floors first, then what is left goes to the largest share.
    """
    used = weights > 0
    spare, total = WHOLE - int(used.sum()), int(weights.sum())
    scale = max(total.bit_length() - 40, 0)  # products below stay within 63 bits
    small = weights >> scale
    shares = np.where(used, 1 + small * spare // max(int(small.sum()), 1), 0)
    shares[int(np.argmax(weights))] += WHOLE - int(shares.sum())
    return np.concatenate([[0], np.cumsum(shares)])


def finished(symbols: Integers, lowest: int, tape: Tape) -> Integers:
    """Decoded symbols, at their place in the alphabet.

    Raises:
        Truncated: the payload ended before the symbols.
    """
    if exhausted(tape):
        raise Truncated("coded stream", expected=f"{len(symbols):,} symbols", found="the end of the stream")
    return symbols + lowest


@kernel
def code_fixed(symbols, tape, starts, rows):
    """Code symbols by fixed shares; `starts` holds one table per row kind, `rows` says which one each symbol uses."""
    for at in range(symbols.size):
        table = starts[rows[at]]
        symbol = symbols[at]
        if tape.decoding:
            place = peek(tape)
            low, high = 0, table.size - 1
            while high - low > 1:
                middle = (low + high) >> 1
                if table[middle] <= place:
                    low = middle
                else:
                    high = middle
            symbol = low
            symbols[at] = symbol
        put(tape, table[symbol], table[symbol + 1] - table[symbol])
        if tape.decoding and tape.state[2] > tape.state[3]:
            return


@dataclass(frozen=True, slots=True)
class Static:
    """Frequencies of the whole stream, sent ahead of it as one varint each."""

    def encode(self, symbols: Integers) -> tuple[bytes, Shares]:
        lowest, size = alphabet_of(symbols, "static model")
        counts = np.bincount(symbols - lowest, minlength=size).astype(np.int64)
        coarse = np.where(counts > 0, np.maximum(counts * 4096 // max(len(symbols), 1), 1), 0)
        counts = counts if len(symbols) < 4096 else coarse
        side = ALPHABET.write({"lowest": lowest, "size": size})
        side += b"".join(_COUNT.write(int(count)) for count in counts)
        return side, _fixed(symbols - lowest, quantised(counts)[None], np.zeros(len(symbols), np.int64))

    def decode(self, side: Reader, tape: Tape, count: int) -> Integers:
        lowest, size = read_alphabet(side)
        counts = np.array([side.varint("frequency") for _ in range(size)], np.int64)
        if counts.sum() < 1 and count:
            raise UnknownSyntax(f"{side.where}, frequencies", expected="one above 0")
        return _unfixed(quantised(counts)[None], np.zeros(count, np.int64), lowest, tape)


_COUNT = Field("frequency", "varint", "how often a symbol occurs")


def _fixed(indices: Integers, starts: Integers, rows: Integers) -> Shares:
    tape = recorder(len(indices))
    code_fixed(np.ascontiguousarray(indices), tape, starts, rows)
    return recorded(tape)


def _unfixed(starts: Integers, rows: Integers, lowest: int, tape: Tape) -> Integers:
    symbols = np.zeros(len(rows), np.int64)
    code_fixed(symbols, tape, starts, rows)
    return finished(symbols, lowest, tape)


@kernel
def code_counts(symbols, tape, counts, step, most, order):
    """Code symbols by their counts so far, per context of the last `order` symbols."""
    size = counts.shape[1] - 1
    context = 0
    for at in range(symbols.size):
        row = counts[context]
        total = row[size]
        symbol = symbols[at]
        below = np.int64(0)
        if tape.decoding:
            # the share that holds the place: the last one that starts at or before it
            place = peek(tape)
            symbol = 0
            while symbol < size - 1 and ((below + row[symbol]) << 16) // total <= place:
                below += row[symbol]
                symbol += 1
            symbols[at] = symbol
        else:
            for other in range(symbol):
                below += row[other]
        start = (below << 16) // total
        put(tape, start, ((below + row[symbol]) << 16) // total - start)
        if tape.decoding and tape.state[2] > tape.state[3]:
            return
        row[symbol] += step
        row[size] += step
        if row[size] > most:
            row[size] = 0
            for other in range(size):
                row[other] = (row[other] + 1) >> 1
                row[size] += row[other]
        context = (context * size + symbol) % counts.shape[0] if order else 0


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Frequencies learnt while coding, no side information but the alphabet.

    Args:
        step: what one occurrence adds to counts that start at 1.
        most: total at which counts are halved; lower forgets faster. At most 2^16.
        order: previous symbols that select a table, 0 to 3.
    """

    step: int = 32
    most: int = 8192
    order: int = 0

    def encode(self, symbols: Integers) -> tuple[bytes, Shares]:
        lowest, size = alphabet_of(symbols, "adaptive model", self._largest())
        tape = recorder(len(symbols))
        code_counts(symbols - lowest, tape, self._counts(size), self.step, self._most(size), self.order)
        return ALPHABET.write({"lowest": lowest, "size": size}), recorded(tape)

    def decode(self, side: Reader, tape: Tape, count: int) -> Integers:
        lowest, size = read_alphabet(side, self._largest())
        symbols = np.zeros(count, np.int64)
        code_counts(symbols, tape, self._counts(size), self.step, self._most(size), self.order)
        return finished(symbols, lowest, tape)

    def _largest(self) -> int:
        """Values that the counts have room for."""
        return next(size for size in range(MOST_COUNTED, 0, -1) if size**self.order * (size + 1) <= MOST_COUNTS)

    def _most(self, size: int) -> int:
        return min(max(self.most, 2 * size + 2 * self.step), WHOLE - self.step)

    def _counts(self, size: int) -> Integers:
        counts = np.ones((size**self.order, size + 1), np.int64)
        counts[:, size] = size
        return counts


@kernel
def _rice_step(symbols, at, tape, parameter):
    """Code one number: ones for the quotient, a zero, the rest; 32 ones announce 33 plain bits instead."""
    value = symbols[at]
    quotient = min(value >> parameter, 32)
    ones = np.int64(0)
    while ones < 32 and put_bit(tape, 1 if ones < quotient else 0, 32768):
        ones += 1
    rest = np.int64(0)
    for bit in range((33 if ones == 32 else parameter) - 1, -1, -1):
        rest = rest << 1 | put_bit(tape, value >> bit & 1, 32768)
    return rest if ones == 32 else ones << parameter | rest


@kernel
def _code_rice(symbols, tape, memory):
    """Golomb-Rice codes whose parameter follows the mean of what was coded."""
    total, seen = np.int64(4), np.int64(1)
    for at in range(symbols.size):
        parameter = 0
        while seen << parameter < total and parameter < 32:
            parameter += 1
        symbols[at] = _rice_step(symbols, at, tape, parameter)
        if tape.decoding and tape.state[2] > tape.state[3]:
            return
        total += symbols[at]
        seen += 1
        if seen > memory:
            total = (total + 1) >> 1
            seen = (seen + 1) >> 1


@dataclass(frozen=True, slots=True)
class GolombRice:
    """Unary quotient and binary rest of non-negative numbers below 2^33, adaptive; no tables.

    Args:
        memory: symbols after which the running mean is halved.
    """

    memory: int = 64

    def encode(self, symbols: Integers) -> tuple[bytes, Shares]:
        if symbols.size and (int(symbols.min()) < 0 or int(symbols.max()) >= 1 << 33):
            raise EntropyError(
                "Golomb-Rice", expected="0 to 2^33 - 1", found=f"{symbols.min()} to {symbols.max()}", fix="zigzag first"
            )
        tape = recorder(66 * len(symbols))
        _code_rice(symbols.copy(), tape, self.memory)
        return b"", recorded(tape)

    def decode(self, side: Reader, tape: Tape, count: int) -> Integers:
        symbols = np.zeros(count, np.int64)
        _code_rice(symbols, tape, self.memory)
        return finished(symbols, 0, tape)
