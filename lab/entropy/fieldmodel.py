"""Logistic mixing for fields: small integers on the planes of a coarse grid, one field after another along time.

A code is first asked whether it equals the one before it in time, and only where it does not bit by bit which it is.
Each decision is predicted from contexts of what lies around it: left and above in this field, around it in the two
fields before, and in the other planes of its cell. Nothing is sent but the alphabet.

References:
    M. Mahoney, the paq8 and lpaq context-mixing coders.
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Reader
from lab.entropy.coders import Shares, Tape, put_bit, recorded, recorder
from lab.entropy.contours import fold
from lab.entropy.jit import kernel
from lab.entropy.logistic import rate_table, squash_table, stretch_table
from lab.entropy.mixing import (
    adapted,
    dot,
    history_chances,
    history_table,
    refined,
    refining_maps,
    shift_of,
    sought,
    taught,
    train,
)
from lab.entropy.models import ALPHABET, MOST_VALUES, Integers, alphabet_of, finished, read_alphabet

CONTEXTS = 20
INPUTS = 2 * CONTEXTS + 1
SETS = 3
KINDS = 1 + (MOST_VALUES - 1).bit_length()  # whether a code stays, and the bits of one that does not
ROOM = 64  # planes and states of the surroundings that choose weights


class State(NamedTuple):
    """What a stream has taught so far."""

    slots: NDArray[np.uint64]  # (contexts, 2^k): probability 22 | count 10 | history 16 | check 16
    histories: NDArray[np.uint32]
    weights: NDArray[np.int32]
    final: NDArray[np.int64]
    maps: NDArray[np.uint32]
    squash: NDArray[np.int32]
    stretch: NDArray[np.int16]
    rates: NDArray[np.int32]
    following: NDArray[np.uint16]


@kernel
def _near(size):
    """A difference on a scale of five steps."""
    return min(max(size, -2), 2) + 2


@kernel
def _contexts(now, before, earlier, row, column, plane, base):
    """Hashes of what is known before a code; returns how restless its surroundings are, 0 to 15.

    Fields have a margin of one cell on every side; `row` and `column` count it.
    """
    here, last = now[row, column], before[row, column]
    left, above = now[row, column - 1, plane], now[row - 1, column, plane]
    left_above, right_above = now[row - 1, column - 1, plane], now[row - 1, column + 1, plane]
    p, q = last[plane], earlier[row, column, plane]
    east, south = before[row, column + 1, plane], before[row + 1, column, plane]
    west, north = before[row, column - 1, plane], before[row - 1, column, plane]
    south_east, south_west = before[row + 1, column + 1, plane], before[row + 1, column - 1, plane]
    north_west, north_east = before[row - 1, column - 1, plane], before[row - 1, column + 1, plane]
    others, beside, over = np.uint64(1), np.uint64(2), np.uint64(3)
    drift = np.int64(0)
    for other in range(here.size):
        if other != plane:
            others = fold(others, here[other] if other < plane else last[other])
            beside = fold(beside, now[row, column - 1, other])
            over = fold(over, now[row - 1, column, other])
        if other < plane:
            drift += here[other] - last[other]
    moved_left, moved_above = left - west, above - north
    moved = _near(moved_left) * 5 + _near(moved_above)
    moved_far = _near(left_above - north_west) * 5 + _near(right_above - north_east)
    seed = fold(np.uint64(plane), p)
    pair = fold(fold(seed, left), above)
    after = fold(fold(seed, east), south)
    whole = fold(fold(after, west), north)
    base[0] = fold(seed, 0)
    base[1] = fold(pair, 1)
    base[2] = fold(after, 2)
    base[3] = fold(fold(seed, q), 3)
    base[4] = fold(fold(seed, moved), 4)
    base[5] = fold(fold(fold(pair, east), south), 5)
    base[6] = fold(whole, 6)
    base[7] = fold(fold(seed, others), 7)
    base[8] = fold(fold(pair, others), 8)
    base[9] = fold(fold(fold(pair, left_above), right_above), 9)
    base[10] = fold(fold(fold(seed, moved), moved_far), 10)
    base[11] = fold(fold(fold(seed, row), column), 11)
    base[12] = fold(fold(fold(after, q), moved), 12)
    base[13] = fold(fold(fold(seed, beside), left), 13)
    base[14] = fold(fold(fold(seed, over), above), 14)
    base[15] = fold(fold(fold(after, south_east), south_west), 15)
    base[16] = fold(fold(fold(seed, drift + 64), moved), 16)
    base[17] = fold(fold(seed, row), 17)
    base[18] = fold(fold(fold(whole, south_east), moved), 18)
    base[19] = fold(fold(fold(others, moved), plane), p << 8 | 19)
    slope = abs(east - west) + abs(south - north)
    return min(slope, 3) * 4 + min(abs(moved_left) + abs(moved_above), 3)


@kernel
def _decide(bit, node, kind, plane, restless, tape, base, shift, where, inputs, mixed, sets, cells, state):
    """Code one decision and learn from it; returns the decision, or -1 where a payload has ended."""
    slots, histories, weights, final, maps = state.slots, state.histories, state.weights, state.final, state.maps
    squash, stretch, rates, following = state.squash, state.stretch, state.rates, state.following
    row = min(kind, 3)
    sure = np.int64(0)
    for k in range(CONTEXTS):
        slot = sought(slots, k, fold(base[k], node), shift, where)
        chance = np.int64(slot >> np.uint64(32))
        sure += 1 if chance & 1023 > 2 else 0
        inputs[2 * k] = stretch[chance >> 16] if chance & 1023 else 0
        inputs[2 * k + 1] = stretch[histories[4 * k + row, np.int64(slot >> np.uint64(16)) & 4095] >> 16]
    sets[0] = (kind * ROOM + min(plane, ROOM - 1)) * INPUTS
    sets[1] = ((KINDS + kind) * ROOM + restless) * INPUTS
    sets[2] = ((2 * KINDS + kind) * ROOM + sure) * INPUTS
    place = (kind * 16 + restless) * SETS
    total = np.int64(0)
    for k in range(SETS):
        mixed[k] = dot(weights, sets[k], inputs, INPUTS)
        total += final[place + k] * mixed[k]
    stretched = min(max(total >> 16, -2815), 2815)
    chance = np.int64(squash[stretched + 4095] >> 6)
    one = refined(maps, (plane * KINDS + kind) * 16 + restless, stretched, cells, 0)
    bit = put_bit(tape, bit, min(max((3 * chance + one + 2) >> 2, 1), 65535))
    if tape.decoding and tape.state[2] > tape.state[3]:
        return np.int64(-1)
    target = 65535 if bit else 0
    for k in range(SETS):
        final[place + k] += (mixed[k] * (target - chance) + 262144) >> 19
        train(weights, sets[k], inputs, INPUTS, 2 * (target - np.int64(squash[mixed[k] + 4095] >> 6)))
    maps[cells[0]] = adapted(maps[cells[0]], bit, 1023, rates)
    for k in range(CONTEXTS):
        taught(slots, k, where[k], histories, 4 * k + row, bit, 255, rates, following)
    return np.int64(bit)


@kernel
def _code(symbols, tape, bits, rest, state):
    """Code fields (n, rows, columns, planes); stops early where a payload ends."""
    n_fields, rows, columns, planes = symbols.shape
    base, where = np.zeros(CONTEXTS, np.uint64), np.zeros(CONTEXTS, np.int64)
    inputs, mixed = np.zeros(INPUTS, np.int32), np.zeros(SETS, np.int64)
    cells, sets = np.zeros(2, np.int64), np.zeros(SETS, np.int64)
    inputs[2 * CONTEXTS] = 256
    shift = shift_of(state.slots)
    fields = np.full((3, rows + 2, columns + 2, planes), rest, np.int64)
    for at in range(n_fields):
        now, before, earlier = fields[at % 3], fields[(at + 2) % 3], fields[(at + 1) % 3]
        now[:] = rest
        for row in range(rows):
            for column in range(columns):
                for plane in range(planes):
                    known = before[row + 1, column + 1, plane]
                    restless = _contexts(now, before, earlier, row + 1, column + 1, plane, base)
                    value = symbols[at, row, column, plane]
                    changed = _decide(
                        np.int64(value != known), np.uint64(0), np.int64(0), plane, restless,
                        tape, base, shift, where, inputs, mixed, sets, cells, state,
                    )  # fmt: skip
                    node = np.int64(1)
                    if changed == 1:
                        for depth in range(bits - 1, -1, -1):
                            bit = _decide(
                                np.int64(value >> depth & 1), np.uint64(node), np.int64(bits - depth), plane, restless,
                                tape, base, shift, where, inputs, mixed, sets, cells, state,
                            )  # fmt: skip
                            if bit < 0:
                                return
                            node = 2 * node + bit
                        known = node - (1 << bits)
                    elif changed < 0:
                        return
                    now[row + 1, column + 1, plane] = known
                    symbols[at, row, column, plane] = known


@dataclass(frozen=True, slots=True)
class FieldMixing:
    """Logistic mixing of what lies around a code in space, time and the other planes.

    Args:
        grid: (rows, columns, planes) of a field; symbols are those of one field after another, in this order.
    """

    grid: tuple[int, int, int]

    def encode(self, symbols: Integers) -> tuple[bytes, Shares]:
        lowest, size = alphabet_of(symbols, "field model")
        bits = (size - 1).bit_length()
        tape = recorder(len(symbols) * (bits + 1))
        self._run(symbols - lowest, tape, lowest, size)
        return ALPHABET.write({"lowest": lowest, "size": size}), recorded(tape)

    def decode(self, side: Reader, tape: Tape, count: int) -> Integers:
        lowest, size = read_alphabet(side)
        symbols = np.zeros(count, np.int64)
        self._run(symbols, tape, lowest, size)
        return finished(symbols, lowest, tape)

    def _run(self, symbols: Integers, tape: Tape, lowest: int, size: int) -> None:
        if len(symbols) % math.prod(self.grid):
            raise ValueError(f"{len(symbols)} symbols for fields of {math.prod(self.grid)}")
        bits = (size - 1).bit_length()
        if not bits or not symbols.size:
            return
        rest = min(max(-lowest, 0), size - 1)
        _code(symbols.reshape(-1, *self.grid), tape, bits, rest, _new_state(len(symbols), self.grid[2]))


def _new_state(count: int, planes: int) -> State:
    table_bits = min(max((count // 2).bit_length(), 10), 18)
    weights = np.zeros((3 * KINDS * ROOM, INPUTS), np.int32)
    weights[:, : 2 * CONTEXTS] = 65536 * 5 // 8 // CONTEXTS
    return State(
        slots=np.zeros((CONTEXTS, 1 << table_bits), np.uint64),
        histories=history_chances(4 * CONTEXTS),
        weights=weights.reshape(-1),
        final=np.full(KINDS * 16 * SETS, 65536 // SETS, np.int64),
        maps=refining_maps(planes * KINDS * 16),
        squash=squash_table(),
        stretch=stretch_table(),
        rates=rate_table(),
        following=history_table(),
    )
