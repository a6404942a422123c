"""Headerless raw RGB files, (N, H, W, 3) uint8 in C order: what a packet inflates to and the evaluator measures.

Strict in both directions: exactly the frames that the contract asks for, not one byte more or less. The contest's own
reader drops a partial frame silently and scores a short file on fewer samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.errors import RawSizeMismatch, SampleCountMismatch, VideoError

Pair = NDArray[np.uint8]


def write_pairs(path: Path, pairs: Iterable[Pair], *, n_pairs: int, size: tuple[int, int]) -> int:
    """Write pairs one after the other and return the file's size in bytes.

    Args:
        path: the file; it appears under this name only when complete.
        pairs: uint8 (2, H, W, 3) RGB each, display order.
        n_pairs: how many there must be.
        size: (height, width) of every frame.

    Raises:
        VideoError: a pair of another shape or type.
        SampleCountMismatch: more or fewer pairs; nothing is left behind.
    """
    shape = (2, *size, 3)
    partial = path.with_name(path.name + ".partial")
    done = 0
    try:
        with partial.open("wb") as stream:
            for pair in pairs:
                if pair.shape != shape or pair.dtype != np.uint8:
                    raise VideoError(
                        f"{path.name}, pair {done}",
                        expected=f"uint8 {shape}",
                        found=f"{pair.dtype} {tuple(pair.shape)}",
                    )
                done += 1
                if done > n_pairs:
                    break
                stream.write(np.ascontiguousarray(pair).data)
        if done != n_pairs:
            found = f"{done:,}" if done < n_pairs else "more"
            raise SampleCountMismatch(path.name, expected=f"{n_pairs:,} pairs", found=found)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return raw_bytes(n_pairs, size)


def read_pairs(path: Path, *, n_pairs: int, size: tuple[int, int]) -> Iterator[Pair]:
    """The pairs of a raw file, uint8 (2, H, W, 3), read only as they are asked for.

    Raises:
        RawSizeMismatch: the file is missing, or is not exactly `n_pairs` pairs long; raised before the first pair.
    """
    expected = raw_bytes(n_pairs, size)
    if not path.is_file():
        raise RawSizeMismatch(path.name, expected=f"{expected:,} bytes", found="no file", fix="inflate again")
    found = path.stat().st_size
    if found != expected:
        frame_bytes = size[0] * size[1] * 3
        whole, rest = divmod(found, frame_bytes)
        raise RawSizeMismatch(
            path.name,
            expected=f"{expected:,} bytes, {2 * n_pairs:,} frames of {size[0]}x{size[1]}",
            found=f"{found:,}, {whole:,} frames" + (f" and {rest:,} bytes of a partial one" if rest else ""),
            fix="the decoder must write every frame of the contract and nothing else",
        )
    return _iterate(path, n_pairs, size)


def _iterate(path: Path, n_pairs: int, size: tuple[int, int]) -> Iterator[Pair]:
    pairs = np.memmap(path, dtype=np.uint8, mode="r", shape=(n_pairs, 2, *size, 3))
    for index in range(n_pairs):
        yield np.array(pairs[index])


def raw_bytes(n_pairs: int, size: tuple[int, int]) -> int:
    """Exact size of a raw file."""
    return 2 * n_pairs * size[0] * size[1] * 3
