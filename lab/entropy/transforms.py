"""Reversible rearrangements of integers ahead of an entropy model.

Each transform is a small frozen record with `forward` and `inverse`; a tuple of them is applied first to last and
undone last to first. All work on int64 arrays and are exact.

Example:
    >>> steps = (Delta(axis=0), Zigzag())
    >>> apply(steps, np.array([5, 4, 7])).tolist()
    [10, 1, 6]
    >>> undo(steps, np.array([10, 1, 6])).tolist()
    [5, 4, 7]
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.entropy.jit import kernel

Integers = NDArray[np.int64]


class Transform(ABC):
    """A reversible map of integer arrays."""

    __slots__ = ()

    @property
    def growth(self) -> int:
        """Numbers that come out for each that goes in."""
        return 1

    @abstractmethod
    def forward(self, values: Integers) -> Integers:
        """What the entropy model sees."""

    @abstractmethod
    def inverse(self, values: Integers) -> Integers:
        """What went into `forward`."""


def apply(transforms: Sequence[Transform], values: NDArray[np.integer]) -> Integers:
    """All transforms, first to last."""
    out = np.asarray(values, np.int64)
    for transform in transforms:
        out = transform.forward(out)
    return out


def undo(transforms: Sequence[Transform], values: NDArray[np.integer]) -> Integers:
    """All inverses, last to first."""
    out = np.asarray(values, np.int64)
    for transform in reversed(transforms):
        out = transform.inverse(out)
    return out


@dataclass(frozen=True, slots=True)
class Zigzag(Transform):
    """Signed to unsigned: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""

    def forward(self, values: Integers) -> Integers:
        return np.where(values >= 0, 2 * values, -2 * values - 1)

    def inverse(self, values: Integers) -> Integers:
        return np.where(values & 1, -(values >> 1) - 1, values >> 1)


@dataclass(frozen=True, slots=True)
class Delta(Transform):
    """Differences along one axis; the first element stays."""

    axis: int = 0

    def forward(self, values: Integers) -> Integers:
        return np.diff(values, axis=self.axis, prepend=0) if values.size else values

    def inverse(self, values: Integers) -> Integers:
        return np.cumsum(values, axis=self.axis)


@dataclass(frozen=True, slots=True)
class Offset(Transform):
    """Distances from one value."""

    base: int

    def forward(self, values: Integers) -> Integers:
        return values - self.base

    def inverse(self, values: Integers) -> Integers:
        return values + self.base


@dataclass(frozen=True, slots=True)
class Transpose(Transform):
    """A flat array of `rows` x `columns` read column by column."""

    rows: int
    columns: int

    def forward(self, values: Integers) -> Integers:
        return values.reshape(self.rows, self.columns).T.reshape(-1)

    def inverse(self, values: Integers) -> Integers:
        return values.reshape(self.columns, self.rows).T.reshape(-1)


@dataclass(frozen=True, slots=True)
class Planes(Transform):
    """Unsigned numbers below 2^(8 x count) as `count` planes of bytes, lowest first."""

    count: int = 2

    @property
    def growth(self) -> int:
        return self.count

    def forward(self, values: Integers) -> Integers:
        flat = values.reshape(-1)
        if flat.size and not 0 <= int(flat.min()) <= int(flat.max()) < 1 << 8 * self.count:
            raise ValueError(f"{self.count} planes hold 0 to {(1 << 8 * self.count) - 1}")
        return np.concatenate([flat >> 8 * plane & 255 for plane in range(self.count)])

    def inverse(self, values: Integers) -> Integers:
        planes = values.reshape(self.count, -1)
        total = np.zeros(planes.shape[1], np.int64)
        for plane in range(self.count):
            total |= planes[plane] << 8 * plane
        return total


@kernel
def _predict(rows, coefficients, inverse):
    """Replace a table by its residuals or back, in place; `coefficients` holds one row of weights per column."""
    count, columns = rows.shape
    memory = np.zeros((columns, coefficients.shape[1]), np.int64)
    for at in range(count):
        for column in range(columns):
            past = memory[column]
            total = np.int64(0)
            for back in range(past.size):
                total += coefficients[column, back] * past[back]
            guess = (total + 16) >> 5
            seen = rows[at, column]
            if inverse:
                seen += guess
                rows[at, column] = seen
            else:
                rows[at, column] = seen - guess
            for back in range(past.size - 1, 0, -1):
                past[back] = past[back - 1]
            if past.size:
                past[0] = seen


@dataclass(frozen=True, slots=True)
class Predict(Transform):
    """Residuals of a flat array of rows: each column predicted from its own last values, in its own way.

    Args:
        columns: numbers per row.
        weights: one tuple per column, of the last value, the one before, ...: in 32nds. () leaves a column as it is,
            (32,) takes differences, (64, -32) continues the line through the last two. What lies before the first row
            counts as 0.
    """

    columns: int
    weights: tuple[tuple[int, ...], ...]

    def forward(self, values: Integers) -> Integers:
        return self._run(values, False)

    def inverse(self, values: Integers) -> Integers:
        return self._run(values, True)

    def _run(self, values: Integers, inverse: bool) -> Integers:
        taps = max((len(row) for row in self.weights), default=0)
        coefficients = np.array([row + (0,) * (taps - len(row)) for row in self.weights], np.int64)
        rows = values.reshape(-1, self.columns).copy()
        _predict(rows, coefficients.reshape(self.columns, taps), inverse)
        return rows.reshape(-1)
