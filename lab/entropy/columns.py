"""A table of integers, (rows, columns): every column predicted and modelled in its own way, all coded in one stream.

For each column the encoder tries predictions from its last values (none, differences, lines, least squares) and every
model of `MODELS`, and keeps what takes the fewest bytes. A payload is

    HEADER | per column: COLUMN, weights (i8, in 32nds), what its model sends | coded symbols of all columns in turn

Poses, latents and selectors are tables of this kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Field, Reader, Section, Table
from lab.entropy.bounds import Account, order0_bits
from lab.entropy.coders import Coder, Shares, check_end, emit, joined, player
from lab.entropy.models import Adaptive, GolombRice, Integers, Model
from lab.entropy.shapemodels import Gaussian, Laplace, Student
from lab.entropy.streams import check, checksum
from lab.entropy.transforms import Delta, Offset, Predict, Transform, Zigzag, apply, undo
from lab.errors import EntropyError, UnknownSyntax

MODELS: tuple[Model, ...] = (
    Laplace(centred=True),
    Gaussian(centred=True),
    Student(centred=True),
    Adaptive(step=24),
    Adaptive(step=8, most=1 << 15),
    Adaptive(step=24, order=1),
    Adaptive(step=24, order=2),
    GolombRice(),
)
MOST_TAPS = 8
MOST_VALUES = 1 << 20
HEADER = Table(
    "table of integers",
    (
        Field("rows", "varint", "numbers per column"),
        Field("columns", "varint", "columns"),
        Field("checksum", "u32", "CRC-32 of all numbers as int64, row by row"),
        Field("side", "varint", "bytes of side information of all columns"),
    ),
)
COLUMN = Table(
    "column",
    (
        Field("method", "u8", "index into MODELS, and 16 for every weight that follows"),
        Field("base", "svarint", "what is subtracted first"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How a column is coded."""

    model: int
    base: int
    weights: tuple[int, ...]

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """What stands ahead of the model."""
        chain: tuple[Transform, ...] = (Offset(self.base), Predict(1, (self.weights,)))
        return (*chain, Zigzag()) if isinstance(MODELS[self.model], GolombRice) else chain

    def side(self) -> bytes:
        """These choices as bytes."""
        head = COLUMN.write({"method": self.model + 16 * len(self.weights), "base": self.base})
        return head + np.array(self.weights, np.int8).tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedTable:
    """The bytes of a table and what they are made of."""

    payload: bytes
    account: Account
    sections: tuple[Section, ...]
    choices: tuple[Choice, ...]


def encode(values: NDArray[np.integer], *, sealed: bytes = b"", coder: Coder = Coder.RANGE) -> CodedTable:
    """The bytes of a table, integers (rows, columns).

    Args:
        values: at most MOST_VALUES numbers.
        sealed: bytes sent elsewhere that the checksum covers as well.
        coder: makes the bytes; not sent.

    Raises:
        EntropyError: empty, more than MOST_VALUES numbers, or a column that no model holds.
    """
    if values.ndim != 2 or not 0 < values.size <= MOST_VALUES:
        raise EntropyError("table of integers", expected=f"two axes, up to {MOST_VALUES:,}", found=str(values.shape))
    parts = [_smallest(np.ascontiguousarray(values[:, at], np.int64), at) for at in range(values.shape[1])]
    sides = [choice.side() + side for choice, side, _ in parts]
    shares = [found for _, _, found in parts]
    head = HEADER.write(
        {
            "rows": values.shape[0],
            "columns": values.shape[1],
            "checksum": checksum(values, sealed),
            "side": sum(map(len, sides)),
        }
    )
    coded = emit(coder, joined(shares))
    payload = head + b"".join(sides) + coded
    ideal = joined(shares).ideal_bits
    return CodedTable(
        payload=payload,
        account=Account(
            n_bytes=len(payload),
            ideal_bits=8.0 * (len(payload) - len(coded)) + ideal,
            bound_bits=bound_bits(values),
            bound="order-0 entropy of each column or its differences",
        ),
        sections=_sections(len(head), [len(side) for side in sides], len(coded), ideal),
        choices=tuple(choice for choice, _, _ in parts),
    )


def decode(
    payload: bytes, *, sealed: bytes = b"", most_values: int = MOST_VALUES, coder: Coder = Coder.RANGE
) -> Integers:
    """The table of a payload, int64 (rows, columns).

    Args:
        payload: what `encode` wrote.
        sealed: as at `encode`.
        most_values: larger declared tables are refused before memory is taken.
        coder: the one it was written with.

    Raises:
        BitstreamError: not a payload of ours, cut short, or damaged.
    """
    reader = Reader(payload, "table of integers")
    head = HEADER.read(reader)
    rows, columns = int(head["rows"]), int(head["columns"])
    if not 0 < rows * columns <= most_values:
        raise UnknownSyntax(
            "table of integers, shape", expected=f"1 to {most_values:,} numbers", found=f"{rows:,} x {columns:,}"
        )
    side = Reader(reader.take(int(head["side"]), "side information"), "table of integers, side information")
    if columns * 2 > side.remaining:
        raise UnknownSyntax(
            "table of integers, columns", expected=f"{side.remaining // 2:,} or fewer", found=f"{columns:,}"
        )
    tape = player(coder, reader.take(reader.remaining, "symbols"))
    out = np.empty((rows, columns), np.int64)
    for at in range(columns):
        choice = _read_choice(side)
        out[:, at] = undo(choice.transforms, MODELS[choice.model].decode(side, tape, rows))
    side.end()
    check_end(tape)
    check(out, int(head["checksum"]), "table of integers", sealed)
    return out


def bound_bits(values: NDArray[np.integer]) -> float:
    """The order-0 entropy of each column, or of its differences where that is less."""
    delta = Delta()
    return sum(min(order0_bits(column), order0_bits(delta.forward(column))) for column in values.T.astype(np.int64))


def _read_choice(side: Reader) -> Choice:
    head = COLUMN.read(side)
    model, taps = int(head["method"]) & 15, int(head["method"]) >> 4
    if model >= len(MODELS) or taps > MOST_TAPS:
        raise UnknownSyntax(side.where, expected=f"a model below {len(MODELS)}", found=f"{model}, {taps} weights")
    weights = np.frombuffer(side.take(taps, "weights"), np.int8)
    return Choice(model=model, base=int(head["base"]), weights=tuple(weights.tolist()))


def _smallest(column: Integers, at: int) -> tuple[Choice, bytes, Shares]:
    """The best choice for a column, what its model sends, and its shares."""
    best: tuple[float, Choice, bytes, Shares] | None = None
    for base, weights in _predictions(column):
        for model, kind in enumerate(MODELS):
            choice = Choice(model=model, base=base, weights=weights)
            try:
                side, shares = kind.encode(apply(choice.transforms, column))
            except EntropyError:
                continue
            cost = 8.0 * (len(choice.side()) + len(side)) + shares.ideal_bits
            if best is None or cost < best[0]:
                best = cost, choice, side, shares
    if best is None:
        raise EntropyError(f"column {at}", expected="numbers that a model holds", found="a wider range")
    return best[1:]


def _predictions(column: Integers) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Bases and weights worth trying: the plain column, and the four with the least spread for their own cost."""
    base = round(float(np.median(column)))
    centred = column - base
    tried = {(32,), (64, -32)} | {_least_squares(centred, taps) for taps in range(1, MOST_TAPS + 1)}

    def cost(weights: tuple[int, ...]) -> float:
        residuals = Predict(1, (weights,)).forward(centred)
        spread = min(float(np.abs(residuals).mean()) * 2 * np.e, float(residuals.std()) * 4.133)
        return len(column) * float(np.log2(spread + 1)) + 8 * len(weights)

    yield base, ()
    for weights in sorted(tried, key=lambda weights: (cost(weights), weights))[:4]:
        yield base, weights


def _least_squares(centred: Integers, taps: int) -> tuple[int, ...]:
    """Weights of the last `taps` values that predict a column best, in 32nds."""
    if len(centred) < 4 * taps:
        return (32,)
    past = np.stack([centred[taps - 1 - back : len(centred) - 1 - back] for back in range(taps)], axis=1)
    weights = np.linalg.lstsq(past.astype(np.float64), centred[taps:].astype(np.float64), rcond=None)[0]
    return tuple(int(weight) for weight in np.clip(np.rint(32 * weights), -127, 127))


def _sections(head: int, sides: list[int], coded: int, ideal_bits: float) -> tuple[Section, ...]:
    at = head + sum(sides)
    return (
        Section(name="header", kind="field table", offset=0, n_bytes=head),
        Section(name="models", kind="side information", offset=head, n_bytes=sum(sides)),
        Section(name="symbols", kind="entropy coded", offset=at, n_bytes=coded, ideal_bits=ideal_bits),
    )
