"""Sparse context-tree weighting for streams of integers.

Each bit of a symbol is predicted by every suffix of the last symbols at once, up to `depth` of them, and the suffixes
are weighted by how well they have done: a node of the tree mixes its own estimate with that of its longer suffix. Nodes
exist only where the stream has been, which makes the tree sparse. Weights are kept as logarithms in 1/256 nat.

References:
    F. Willems, Y. Shtarkov, T. Tjalkens, "The context-tree weighting method: basic properties", 1995.
    P. Volf, "Weighting techniques in data compression", 2002 (weights as ratios, from the longest suffix to none).
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.bitstream import Reader
from lab.entropy.coders import Shares, Tape, put_bit, recorded, recorder
from lab.entropy.contours import fold
from lab.entropy.jit import kernel
from lab.entropy.logistic import log_table, squash_table
from lab.entropy.models import ALPHABET, Integers, alphabet_of, finished, read_alphabet

_DEEPEST = 16


@kernel
def _code_tree(symbols, tape, bits, depth, nodes, shift, squash, logs):
    """Code symbols bit by bit; `nodes` holds check, zeros, ones (in halves) and log weight of each node."""
    suffix, where = np.zeros(_DEEPEST + 1, np.uint64), np.zeros(_DEEPEST + 1, np.int64)
    own, mixed = np.zeros(_DEEPEST + 1, np.int64), np.zeros(_DEEPEST + 2, np.int64)
    for at in range(symbols.size):
        suffix[0] = np.uint64(7)
        reach = min(depth, at)
        for back in range(reach):
            suffix[back + 1] = fold(suffix[back], symbols[at - 1 - back] + 1)
        node = 1
        for level in range(bits - 1, -1, -1):
            mixed[reach + 1] = 32768
            for k in range(reach, -1, -1):
                hashed = fold(suffix[k], node)
                where[k] = np.int64(hashed >> shift)
                row = nodes[where[k]]
                check = np.int64(hashed & np.uint64(0x7FFFFFFF)) | 1
                if row[0] != check:
                    row[0], row[1], row[2], row[3] = check, 0, 0, 0
                # the Krichevsky-Trofimov estimate, (ones + 1/2) / (all + 1), of 2^16
                own[k] = (2 * row[2] + 1) * 65536 // (2 * (row[1] + row[2]) + 2)
                trust = 4194303 if k == reach else np.int64(squash[row[3] + 4095])
                mixed[k] = (own[k] * trust + mixed[k + 1] * (4194304 - trust)) >> 22
                mixed[k] = min(max(mixed[k], 4), 65532)
            bit = put_bit(tape, symbols[at] >> level & 1, mixed[0])
            if tape.decoding and tape.state[2] > tape.state[3]:
                return
            for k in range(reach + 1):
                row = nodes[where[k]]
                mine = min(max(own[k] if bit else 65536 - own[k], 1), 65535)
                longer = min(max(mixed[k + 1] if bit else 65536 - mixed[k + 1], 1), 65535)
                row[3] = min(max(row[3] + logs[longer] - logs[mine], -2000), 2000)
                row[1 + bit] += 1
                if row[1 + bit] > 1000:
                    row[1], row[2] = row[1] >> 1, row[2] >> 1
            node = 2 * node + bit
        if tape.decoding:
            symbols[at] = node - (1 << bits)


@dataclass(frozen=True, slots=True)
class ContextTree:
    """Weighted suffixes of up to `depth` symbols (at most 16)."""

    depth: int = 3

    def encode(self, symbols: Integers) -> tuple[bytes, Shares]:
        lowest, size = alphabet_of(symbols, "context tree")
        tape = recorder(len(symbols) * (size - 1).bit_length())
        self._run(symbols - lowest, tape, size)
        return ALPHABET.write({"lowest": lowest, "size": size}), recorded(tape)

    def decode(self, side: Reader, tape: Tape, count: int) -> Integers:
        lowest, size = read_alphabet(side)
        symbols = np.zeros(count, np.int64)
        self._run(symbols, tape, size)
        return finished(symbols, lowest, tape)

    def _run(self, symbols: Integers, tape: Tape, size: int) -> None:
        if not 0 <= self.depth <= _DEEPEST:
            raise ValueError(f"a context tree is 0 to {_DEEPEST} symbols deep, got {self.depth}")
        bits = (size - 1).bit_length()
        table_bits = min(max((len(symbols) * bits * (self.depth + 1)).bit_length(), 8), 20)
        nodes = np.zeros((1 << table_bits, 4), np.int32)
        if bits and symbols.size:
            _code_tree(symbols, tape, bits, self.depth, nodes, np.uint64(64 - table_bits), squash_table(), log_table())
