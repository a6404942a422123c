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

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class Transform(Protocol):
    """A reversible map of integer arrays."""

    def forward(self, values: Integers) -> Integers:
        """What the entropy model sees."""
        ...

    def inverse(self, values: Integers) -> Integers:
        """What went into `forward`."""
        ...


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
class Zigzag:
    """Signed to unsigned: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""

    def forward(self, values: Integers) -> Integers:
        return np.where(values >= 0, 2 * values, -2 * values - 1)

    def inverse(self, values: Integers) -> Integers:
        return np.where(values & 1, -(values >> 1) - 1, values >> 1)


@dataclass(frozen=True, slots=True)
class Delta:
    """Differences along one axis; the first element stays."""

    axis: int = 0

    def forward(self, values: Integers) -> Integers:
        return np.diff(values, axis=self.axis, prepend=0) if values.size else values

    def inverse(self, values: Integers) -> Integers:
        return np.cumsum(values, axis=self.axis)


@dataclass(frozen=True, slots=True)
class Transpose:
    """A flat array of `rows` x `columns` read column by column."""

    rows: int
    columns: int

    def forward(self, values: Integers) -> Integers:
        return values.reshape(self.rows, self.columns).T.reshape(-1)

    def inverse(self, values: Integers) -> Integers:
        return values.reshape(self.columns, self.rows).T.reshape(-1)


@dataclass(frozen=True, slots=True)
class Planes:
    """Unsigned numbers below 2^(8 x count) as `count` planes of bytes, lowest first."""

    count: int = 2

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


@dataclass(frozen=True, slots=True)
class Predict:
    """Residuals of a flat array of rows, each column predicted in its own way from the rows before.

    Args:
        columns: numbers per row.
        orders: one per column: 0 as it is, 1 minus the last row, 2 minus the line through the last two rows.
    """

    columns: int
    orders: tuple[int, ...]

    def forward(self, values: Integers) -> Integers:
        rows = values.reshape(-1, self.columns)
        out = rows.copy()
        for column, order in enumerate(self.orders):
            for _ in range(order):
                out[1:, column] = np.diff(out[:, column])
        return out.reshape(-1)

    def inverse(self, values: Integers) -> Integers:
        out = values.reshape(-1, self.columns).copy()
        for column, order in enumerate(self.orders):
            for _ in range(order):
                out[:, column] = np.cumsum(out[:, column])
        return out.reshape(-1)
