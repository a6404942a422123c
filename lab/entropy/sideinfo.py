"""Side information of pairs: selectors, a few bits each, and latents, a vector of small integers each.

Both are tables of `columns`, so that each selector and each latent dimension finds its own prediction and model; a
selector that repeats is coded by the frequencies of what followed before, a latent by the spread of its residuals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.entropy import columns
from lab.entropy.models import Integers
from lab.errors import EntropyError, UnknownSyntax

MOST_BITS = 10


def encode_selectors(symbols: NDArray[np.integer], bits: int) -> columns.CodedTable:
    """The bytes of symbols of `bits` bits, (pairs,) or (pairs, selectors).

    Raises:
        EntropyError: empty, or symbols out of range.
    """
    _check_bits(bits)
    table = symbols.reshape(len(symbols), -1)
    if not table.size or int(table.min()) < 0 or int(table.max()) >> bits:
        raise EntropyError("selectors", expected=f"0 to {(1 << bits) - 1}", found=str(symbols.shape))
    return columns.encode(table)


def decode_selectors(payload: bytes, bits: int, *, most_values: int = columns.MOST_VALUES) -> Integers:
    """Symbols (pairs, selectors) of a payload.

    Raises:
        BitstreamError: not a payload of ours, cut short, damaged, or with symbols of more bits.
    """
    _check_bits(bits)
    return _within(columns.decode(payload, most_values=most_values), 0, (1 << bits) - 1, "selectors")


def encode_latents(latents: NDArray[np.uint8] | NDArray[np.int8]) -> columns.CodedTable:
    """The bytes of latents, (pairs, dimensions).

    Raises:
        EntropyError: empty, or too many.
    """
    return columns.encode(latents)


def decode_latents(payload: bytes, *, signed: bool, most_values: int = columns.MOST_VALUES) -> Integers:
    """Latents (pairs, dimensions) of a payload, -128 to 127 where `signed`, else 0 to 255.

    Raises:
        BitstreamError: not a payload of ours, cut short, damaged, or with larger numbers.
    """
    lowest = -128 if signed else 0
    return _within(columns.decode(payload, most_values=most_values), lowest, lowest + 255, "latents")


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= MOST_BITS:
        raise ValueError(f"a selector has 1 to {MOST_BITS} bits, got {bits}")


def _within(values: Integers, least: int, most: int, where: str) -> Integers:
    if int(values.min()) < least or int(values.max()) > most:
        raise UnknownSyntax(where, expected=f"{least} to {most}", found=f"{values.min()} to {values.max()}")
    return values
