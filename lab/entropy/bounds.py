"""What a stream could cost at best, to stand beside what it does cost.

The order-0 entropy of the very numbers that are sent is the floor of every memoryless model whose tables come for free.
It is optimistic where few numbers are spread over many values: 150 numbers that all differ seem to cost 7.2 bits each,
whatever they are. `corrected_bits` adds the first-order term of that bias.

References:
    G. A. Miller, "Note on the bias of information estimates", 1955 (the correction of Miller and Madow).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def order0_bits(values: NDArray[np.integer]) -> float:
    """Order-0 entropy of integers, all of them together."""
    if not values.size:
        return 0.0
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def corrected_bits(values: NDArray[np.integer]) -> float:
    """`order0_bits` and half a nat for every distinct value but one."""
    return order0_bits(values) + max(len(np.unique(values)) - 1, 0) / 2 / math.log(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a stream cost, what its models say it should, and its entropy bound.

    Attributes:
        n_bytes: real size, everything included.
        ideal_bits: side information, and the information of the coded symbols under the models that were sent.
        bound_bits: entropy bound; `bound` says of what.
    """

    n_bytes: int
    ideal_bits: float
    bound_bits: float
    bound: str

    @property
    def over(self) -> float:
        """Real size over the bound, less one."""
        return 8 * self.n_bytes / self.bound_bits - 1 if self.bound_bits else 0.0

    def __str__(self) -> str:
        return (
            f"{self.n_bytes:,} bytes; models {self.ideal_bits / 8:,.1f}; "
            f"{self.bound} {self.bound_bits / 8:,.1f} ({100 * self.over:+.2f} %)"
        )
