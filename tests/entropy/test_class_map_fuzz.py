"""Damaged class-map payloads end in an error of ours: no wrong map, no crash, no hang, no memory beyond the shape."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from lab.entropy import labelmap, mapwriter
from lab.errors import BitstreamError

# What one mutation may take: a second or two of a busy machine, and arrays of the shapes that payloads of this
# length may declare.
_MOST_S = 2.0
_MOST_PIXELS = 1 << 22


def _maps(kind: str) -> np.ndarray:
    rng = np.random.default_rng(5)
    if kind == "noise":
        return rng.integers(0, 5, (2, 20, 30)).astype(np.uint8)
    if kind == "constant":
        return np.full((3, 20, 30), 4, np.uint8)
    time_, rows, columns = np.ogrid[:3, :24, :40]
    labels = ((rows * 3 + columns * 2 + 2 * time_) // 31 % 4).astype(np.uint8)
    return labels * 60 if kind == "listed" else labels


def _mutated(payload: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """A payload with one to four kinds of damage."""
    data = bytearray(payload)
    for _ in range(int(rng.integers(1, 5))):
        kind, size = int(rng.integers(6)), max(len(data), 1)
        place = int(rng.integers(size))
        if kind == 0 and data:
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            data += rng.bytes(int(rng.integers(1, 40)))
        elif kind == 3 and data:
            data[min(place, 6)] = int(rng.integers(256))  # the header's lengths
        elif kind == 4:
            data[place : place + 1] = bytes([0x80 | int(rng.integers(128)), int(rng.integers(1, 128))])
        else:
            cut = int(rng.integers(min(len(data), len(other)) + 1))
            data = data[:cut] + bytearray(other[cut:])  # the end of another payload
    return bytes(data)


def _check(rounds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = [_maps(kind) for kind in ("smooth", "listed", "noise", "constant")]
    payloads = [mapwriter.encode(labels).payload for labels in maps]
    known = {(labels.shape, labels.tobytes()) for labels in maps}
    slowest = 0.0
    for payload in _cases(payloads, rounds, rng):
        started = time.process_time()
        try:
            found = labelmap.decode(payload, most_pixels=_MOST_PIXELS)
        except BitstreamError:
            pass
        else:  # a change that means nothing, or the whole of another payload
            assert (found.shape, found.tobytes()) in known, payload.hex()
        slowest = max(slowest, time.process_time() - started)
    assert slowest < _MOST_S


def _cases(payloads: list[bytes], rounds: int, rng: np.random.Generator) -> Iterator[bytes]:
    for _ in range(rounds):
        first, second = rng.integers(len(payloads), size=2)
        yield _mutated(payloads[first], payloads[second], rng)


def test_damaged_payloads_are_refused() -> None:
    _check(300, seed=1)


@pytest.mark.slow
def test_ten_thousand_damaged_payloads_are_refused() -> None:
    _check(10_000, seed=2)


@pytest.mark.parametrize("method", labelmap.METHODS)
def test_memory_stays_within_what_the_shape_and_the_length_allow(method: str) -> None:
    head = {"method": method, "maps": 100, "height": 1 << 13, "width": 1 << 13, "labels": 2, "checksum": 0}
    payload = labelmap.HEADER.write(head) + bytes(60)
    tracemalloc.start()
    try:
        with pytest.raises(BitstreamError):
            labelmap.decode(payload)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()
