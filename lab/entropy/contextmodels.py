"""Logistic mixing for streams of integers: numbers in rows, magnitudes that drift, values on a grid.

Symbols are told bit by bit, highest bit first, so that any alphabet of up to 2^14 values works; the bits told so far
name a node of a binary tree. Each bit is predicted from thirteen contexts, from how neighbouring nodes of the tree
fell and from a smoothed histogram, by four sets of weights and two refining maps. Nothing is sent but the alphabet.

References:
    M. Mahoney, the paq8 and lpaq context-mixing coders.
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

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
from lab.entropy.models import ALPHABET, Integers, alphabet_of, finished, read_alphabet

CONTEXTS = 13
INPUTS = 2 * CONTEXTS + 8
SETS = 4
SPREAD = 48  # values to each side that one occurrence makes likelier, in the smoothed histogram
TRUST = 12  # steps of how often the node was seen
DEPTHS = 14


class State(NamedTuple):
    """What one stream has taught so far; groups of the stream share it."""

    slots: NDArray[np.uint64]  # (contexts, 2^k): probability 22 | count 10 | history 16 | check 16
    histories: NDArray[np.uint32]
    weights: NDArray[np.int32]
    final: NDArray[np.int64]
    maps: NDArray[np.uint32]  # begun anew by each group, as are the next two
    leaves: NDArray[np.int64]
    smooth: NDArray[np.int64]
    squash: NDArray[np.int32]
    stretch: NDArray[np.int16]
    rates: NDArray[np.int32]
    following: NDArray[np.uint16]


@kernel
def _level(total, seen):
    """Mean magnitude on a scale of about three steps per doubling, 0 to 31."""
    if seen == 0:
        return 31
    mean = (total << 4) // seen
    step = 0
    while mean > 12 and step < 30:
        mean = mean * 13 >> 4
        step += 1
    return step


@kernel
def _contexts(symbols, at, group, columns, middle, rows, cols, recent, base):
    """Hashes of what is known before symbol `at`; returns two selectors of weights."""
    seed = np.uint64(group)
    last = symbols[at - 1] if at > 0 else 0
    before = symbols[at - 2] if at > 1 else 0
    above = symbols[at - columns] if at >= columns else 0
    column = at % columns
    row_level, past_level = _level(rows[0], rows[1]), _level(rows[2], rows[3])
    column_level, recent_level = _level(cols[column, 0], cols[column, 1]), _level(recent[0], recent[1])
    base[0] = fold(seed, 1)
    base[1] = fold(seed, last << 8 | 2)
    base[2] = fold(fold(seed, last << 8 | 3), before)
    base[3] = fold(seed, above << 8 | 4)
    base[4] = fold(fold(seed, above << 8 | 5), last)
    base[5] = fold(seed, recent_level << 8 | 6)
    base[6] = fold(seed, row_level << 8 | 7)
    base[7] = fold(seed, 8)
    base[8] = fold(seed, (row_level << 5 | past_level) << 8 | 9)
    base[9] = fold(seed, (row_level << 5 | column_level) << 8 | 10)
    base[10] = fold(seed, column << 8 | 11)
    base[11] = fold(seed, (abs(last - middle) + abs(above - middle)) << 8 | 12)
    base[12] = fold(np.uint64(13), 1 if columns > 1 else 0)  # what all matrices share, and all vectors
    return recent_level, row_level


@kernel
def _remember(value, column, middle, rows, cols, recent):
    """Take a value into the running magnitudes of its row, its column and the recent past."""
    size = abs(value - middle)
    if column == 0:
        rows[2], rows[3] = rows[0], rows[1]
        rows[0], rows[1] = 4 * rows[4] // max(rows[5], 1), 4
    rows[0] += size
    rows[1] += 1
    rows[4] += size
    rows[5] += 1
    cols[column, 0] += size
    cols[column, 1] += 1
    recent[0] += size
    recent[1] += 1
    if recent[1] >= 32:
        recent[0] >>= 1
        recent[1] >>= 1


@kernel
def _predict(state, base, node, depth, bits, cumulative, where, inputs):
    """Fill the mixer's inputs for one node; returns how well the node is known, 0 to 11."""
    slots, histories, stretch, leaves = state.slots, state.histories, state.stretch, state.leaves
    shift = shift_of(slots)
    row = min(depth, 3)
    for k in range(CONTEXTS):
        slot = sought(slots, k, fold(base[k], node), shift, where)
        chance = np.int64(slot >> np.uint64(32))
        inputs[2 * k] = stretch[chance >> 16] if chance & 1023 else 0
        inputs[2 * k + 1] = stretch[histories[4 * k + row, np.int64(slot >> np.uint64(16)) & 4095] >> 16]
    inputs[2 * CONTEXTS + 1] = stretch[leaves[max(node - 1, 1)] >> 16]
    inputs[2 * CONTEXTS + 2] = stretch[leaves[min(node + 1, leaves.size - 1)] >> 16]
    lower = (node << (depth + 1)) - (1 << bits)
    half, upper = lower + (1 << depth), lower + (2 << depth)
    mass = max(cumulative[upper] - cumulative[lower], 1)
    share = (cumulative[upper] - cumulative[half]) * 65536 // mass
    inputs[2 * CONTEXTS + 3] = stretch[min(max(share, 64), 65472)]
    seen = np.int64(slots[0, where[0]] >> np.uint64(32)) & 1023
    trust = 0
    while seen >> trust and trust < TRUST - 1:
        trust += 1
    return trust


@kernel
def _learn(state, bit, depth, where, node):
    """Move the slots, histories and the leaf of one node towards `bit`."""
    slots, histories, rates, following = state.slots, state.histories, state.rates, state.following
    state.leaves[node] = adapted(state.leaves[node], bit, 1023, rates)
    row = min(depth, 3)
    for k in range(CONTEXTS):
        taught(slots, k, where[k], histories, 4 * k + row, bit, 1023, rates, following)


@kernel
def _code_group(symbols, tape, bits, group, columns, middle, state):
    """Code one group of symbols bit by bit; stops early where a payload ends."""
    weights, final, maps, smooth, squash = state.weights, state.final, state.maps, state.smooth, state.squash
    rates = state.rates
    base, where = np.zeros(CONTEXTS, np.uint64), np.zeros(CONTEXTS, np.int64)
    inputs, mixed = np.zeros(INPUTS, np.int32), np.zeros(SETS, np.int64)
    cells, sets = np.zeros(2, np.int64), np.zeros(SETS, np.int64)
    rows, recent, cols = np.zeros(6, np.int64), np.zeros(2, np.int64), np.zeros((columns, 2), np.int64)
    cumulative = np.zeros((1 << bits) + 1, np.int64)
    inputs[2 * CONTEXTS] = 256
    for at in range(symbols.size):
        recent_level, row_level = _contexts(symbols, at, group, columns, middle, rows, cols, recent, base)
        if at % 16 == 0 or (bits > 10 and at % 256 == 0):
            for value in range(1 << bits):
                cumulative[value + 1] = cumulative[value] + smooth[value]
        node = 1
        for depth in range(bits - 1, -1, -1):
            trust = _predict(state, base, node, depth, bits, cumulative, where, inputs)
            row = min(depth, 3)
            sets[0] = depth * INPUTS
            sets[1] = (DEPTHS + row * 32 + recent_level) * INPUTS
            sets[2] = (DEPTHS + 128 + row * 32 + row_level) * INPUTS
            sets[3] = (DEPTHS + 256 + row * 16 + trust) * INPUTS
            total = np.int64(0)
            place = (depth * TRUST + trust) * SETS
            for k in range(SETS):
                mixed[k] = dot(weights, sets[k], inputs, INPUTS)
                total += final[place + k] * mixed[k]
            stretched = min(max(total >> 16, -2815), 2815)
            chance = np.int64(squash[stretched + 4095] >> 6)
            one = refined(maps, node, stretched, cells, 0)
            bit = put_bit(tape, symbols[at] >> depth & 1, min(max((3 * chance + one + 2) >> 2, 4), 65532))
            if tape.decoding and tape.state[2] > tape.state[3]:
                return
            target = 65535 if bit else 0
            for k in range(SETS):
                final[place + k] += (mixed[k] * (target - chance) + 262144) >> 19
                train(weights, sets[k], inputs, INPUTS, 2 * (target - np.int64(squash[mixed[k] + 4095] >> 6)))
            maps[cells[0]] = adapted(maps[cells[0]], bit, 1023, rates)
            _learn(state, bit, depth, where, node)
            node = 2 * node + bit
        value = node - (1 << bits)
        if tape.decoding:
            symbols[at] = value
        for near in range(max(value - SPREAD, 0), min(value + SPREAD + 1, 1 << bits)):
            smooth[near] += SPREAD + 1 - abs(near - value)
        _remember(value, at % columns, middle, rows, cols, recent)


@dataclass(frozen=True, slots=True)
class Mixing:
    """Logistic mixing of neighbours in the row and above, magnitudes so far, position, and a smoothed histogram.

    Args:
        groups: (symbols, columns) of each part of the stream that has statistics of its own, such as the tensors of a
            network; parts share how to mix. Empty for one part without rows.
    """

    groups: tuple[tuple[int, int], ...] = ()

    def encode(self, symbols: Integers) -> tuple[bytes, Shares]:
        lowest, size = alphabet_of(symbols, "mixing model")
        tape = recorder(len(symbols) * (size - 1).bit_length())
        self._run(symbols - lowest, tape, lowest, size)
        return ALPHABET.write({"lowest": lowest, "size": size}), recorded(tape)

    def decode(self, side: Reader, tape: Tape, count: int) -> Integers:
        lowest, size = read_alphabet(side)
        symbols = np.zeros(count, np.int64)
        self._run(symbols, tape, lowest, size)
        return finished(symbols, lowest, tape)

    def _run(self, symbols: Integers, tape: Tape, lowest: int, size: int) -> None:
        groups = self.groups or ((len(symbols), 1),)
        if sum(count for count, _ in groups) != len(symbols):
            raise ValueError(f"groups of {sum(count for count, _ in groups)} symbols, stream of {len(symbols)}")
        bits = (size - 1).bit_length()
        if not bits or not symbols.size:
            return
        state = _new_state(len(symbols), bits)
        middle = min(max(-lowest, 0), size - 1)
        smoothed: dict[bool, Integers] = {}
        start = 0
        for group, (count, columns) in enumerate(groups):
            # the shape of a histogram carries over to the next matrix or vector, at the weight of a few symbols
            prior = smoothed.get(columns > 1, np.zeros(1 << bits, np.int64))
            fresh = state._replace(
                maps=refining_maps(1 << bits),
                leaves=np.full(2 << bits, 1 << 31, np.int64),
                smooth=1 + prior * 10000 // max(int(prior.sum()), 1),
            )
            part = symbols[start : start + count]
            _code_group(part, tape, bits, group, columns, middle, fresh)
            smoothed[columns > 1] = fresh.smooth
            start += count


def _new_state(count: int, bits: int) -> State:
    table_bits = min(max((count * bits).bit_length(), 8), 20)
    weights = np.zeros((DEPTHS + 256 + 64, INPUTS), np.int32)
    weights[:, : 2 * CONTEXTS] = 39322 // CONTEXTS
    weights[:, 2 * CONTEXTS + 3] = 30000
    return State(
        slots=np.zeros((CONTEXTS, 1 << table_bits), np.uint64),
        histories=history_chances(4 * CONTEXTS),
        weights=weights.reshape(-1),
        final=np.full(DEPTHS * TRUST * SETS, 65536 // SETS, np.int64),
        maps=np.empty(0, np.uint32),
        leaves=np.empty(0, np.int64),
        smooth=np.empty(0, np.int64),
        squash=squash_table(),
        stretch=stretch_table(),
        rates=rate_table(),
        following=history_table(),
    )
