"""Probabilities in the logistic domain as exact integers: the same tables on every machine.

Units: stretch(p) = ln(p / (1 - p)) in 1/256 nat, from -4095 to 4095; squash is its inverse, a 22-bit probability.
The tables come from integer arithmetic of unbounded precision (no libm), so that every decoder holds the same bits.

References:
    M. Mahoney, "Adaptive weighing of context models for lossless data compression", 2005 (the paq6 to lpaq lineage).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

STEPS = 256
LIMIT = 4095
BITS = 22
ONE = 1 << BITS
_FRACTION = 160


@cache
def _powers() -> list[int]:
    """e^(k/256) for k = 0 to 4095 with 160 fractional bits."""
    # e^(1/256) by its series; the remainder after 24 terms is far below 2^-160
    term = growth = 1 << _FRACTION
    for order in range(1, 25):
        term = term // (STEPS * order)
        growth += term
    powers = [1 << _FRACTION]
    for _ in range(LIMIT):
        powers.append(powers[-1] * growth >> _FRACTION)
    return powers


@cache
def squash_table() -> NDArray[np.int32]:
    """P(1) in 22 bits of every stretched value; index stretch + 4095, int32 (8191,), from 1 to 2^22 - 1."""
    unit, powers = 1 << _FRACTION, _powers()
    upper = [(ONE * power + (power + unit) // 2) // (power + unit) for power in powers]
    lower = [ONE - value for value in reversed(upper[1:])]
    return np.clip(np.array(lower + upper, np.int64), 1, ONE - 1).astype(np.int32)


@cache
def stretch_table() -> NDArray[np.int16]:
    """Stretched value of a 16-bit probability, int16 (65536,), within +-2815 (11 nat)."""
    return _nearest(np.arange(65536, dtype=np.int64) << (BITS - 16)).clip(-2815, 2815).astype(np.int16)


@cache
def rare_table() -> NDArray[np.int16]:
    """Stretched value of a small 22-bit probability, at full resolution: int16 (65536,), negative."""
    return _nearest(np.arange(65536, dtype=np.int64)).astype(np.int16)


def _nearest(probability: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stretched value whose squash lies nearest, the lower one of two."""
    squash = squash_table().astype(np.int64)
    above = np.searchsorted(squash, probability).clip(1, 2 * LIMIT)
    nearer = (probability - squash[above - 1] > squash[above] - probability).astype(np.int64)
    return np.asarray(above - 1 + nearer - LIMIT, np.int64)


@cache
def rate_table() -> NDArray[np.int32]:
    """Adaptation rate of a probability seen n times, 65536 / (n + 1.6): int32 (1024,)."""
    return np.array([655360 // (10 * seen + 16) for seen in range(1024)], np.int32)


@cache
def log_table() -> NDArray[np.int32]:
    """-ln(p) of a 16-bit probability in 1/256 nat, int32 (65536,); entry 0 stands for the least probability."""
    powers = _powers()
    # e^(-k/256) in 40 bits, falling with k
    falling = np.array([(1 << 40 + _FRACTION) // power for power in powers], np.int64)
    wanted = np.maximum(np.arange(65536, dtype=np.int64), 1) << 24
    return np.searchsorted(-falling, -wanted).astype(np.int32)
