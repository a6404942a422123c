"""Parts of a context mixer: adaptive probabilities, histories of answers, rows of weights, refining maps.

Everything is integer arithmetic on the tables of `logistic`. Units: probabilities of 16 or 22 bits, stretched values in
1/256 nat, weights with 16 fractional bits.

References:
    M. Mahoney, "Adaptive weighing of context models for lossless data compression", 2005.
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from lab.entropy.jit import part
from lab.entropy.logistic import ONE, squash_table

HISTORIES = 4096


@part
def adapted(entry, bit, limit, rates):
    """A probability of 22 bits with its count of 10 bits, after seeing `bit`."""
    seen = np.int64(entry) & 1023
    chance = np.int64(entry) >> 10
    chance += ((((bit << 22) - bit) - chance) >> 3) * rates[seen] >> 13
    if seen < limit:
        seen += 1
    return chance << 10 | seen


@part
def dot(weights, start, inputs, count):
    """The stretched prediction of one row of 16.16 weights, within +-2815."""
    total = np.int64(0)
    row = weights[start : start + count]
    for at in range(count):
        total += np.int64(row[at]) * np.int64(inputs[at])
    return min(max(total >> 16, -2815), 2815)


@part
def train(weights, start, inputs, count, error):
    """Move one row of weights along its inputs times the error."""
    row = weights[start : start + count]
    for at in range(count):
        row[at] += (np.int64(inputs[at]) * error + 262144) >> 19


@part
def refined(maps, place, stretched, out, slot):
    """What 33 interpolated cells make of a stretched probability, in 16 bits; `out[slot]` gets the nearer cell."""
    scaled = stretched + 2816
    cell = min(scaled // 176, 31)
    part = scaled - cell * 176
    out[slot] = place * 33 + cell + (1 if part >= 88 else 0)
    low = np.int64(maps[place * 33 + cell] >> 16)
    high = np.int64(maps[place * 33 + cell + 1] >> 16)
    return (low * (176 - part) + high * part) // 176


@part
def shift_of(slots):
    """By how much a hash is shifted to become a place in a row of slots (contexts, 2^k)."""
    shift = np.uint64(64)
    size = slots.shape[1]
    while size > 1:
        shift -= np.uint64(1)
        size >>= 1
    return shift


@part
def sought(slots, k, hashed, shift, where):
    """The slot of a hash in row `k`, begun anew where another hash stands there; `where[k]` gets its place.

    A slot is probability 22 | count 10 | history 16 | check 16.
    """
    where[k] = np.int64(hashed >> shift)
    check = (hashed & np.uint64(0xFFFF)) | np.uint64(1)
    slot = slots[k, where[k]]
    if slot & np.uint64(0xFFFF) != check:
        slot = np.uint64(9223372036854775808) | check
        slots[k, where[k]] = slot
    return slot


@part
def taught(slots, k, at, histories, row, bit, limit, rates, following):
    """Move the slot at a place, and what its history says in a row of histories, towards `bit`."""
    slot = slots[k, at]
    history = np.int64(slot >> np.uint64(16)) & 4095
    histories[row, history] = adapted(histories[row, history], bit, 1023, rates)
    slots[k, at] = (
        np.uint64(adapted(slot >> np.uint64(32), bit, limit, rates)) << np.uint64(32)
        | np.uint64(following[history, bit]) << np.uint64(16)
        | slot & np.uint64(0xFFFF)
    )


@cache
def history_table() -> NDArray[np.uint16]:
    """The next history after each answer, uint16 (4096, 2).

    A history counts both answers up to 15, forgets part of the count that was wrong, and keeps the last four answers.
    """
    following = np.empty((HISTORIES, 2), np.uint16)
    for state in range(HISTORIES):
        for bit in (0, 1):
            counts = [state & 15, state >> 4 & 15]
            counts[bit] = min(counts[bit] + 1, 15)
            if counts[1 - bit] > 3:
                counts[1 - bit] = (counts[1 - bit] + 3) // 2
            following[state, bit] = counts[0] | counts[1] << 4 | (state >> 7 & 14 | bit) << 8
    return following


def history_chances(count: int) -> NDArray[np.uint32]:
    """Adaptive probabilities of all histories before anything is learnt, uint32 (count, 4096): their own counts."""
    states = np.arange(HISTORIES)
    zeros, ones = states & 15, states >> 4 & 15
    seen = (5 * ones + 2) * (ONE - 1) // (5 * (zeros + ones) + 4) << 10
    return np.tile(seen.astype(np.uint32), (count, 1))


def refining_maps(count: int) -> NDArray[np.uint32]:
    """`count` maps of 33 cells, each the identity, as one uint32 array."""
    cells = squash_table()[np.clip((np.arange(33) - 16) * 176, -4095, 4095) + 4095].astype(np.int64)
    return np.tile((cells >> 6 << 16).astype(np.uint32), count)
