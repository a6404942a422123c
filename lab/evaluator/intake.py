"""Both networks' inputs from decoded pairs, in one compiled pass on the processor: `preprocess`, value for value.

What the evaluator does in a dozen sweeps over large float planes is done here row by row: four taps a pixel, straight
from the decoded bytes, and the twelve planes from the small picture while it is in the cache. Both inputs come out
channels-last, as the networks read them.

Notes:
    torch's separable kernel multiplies and adds in one rounding (`_fused`), and so does this: along a row first, then
    between two rows, the first tap by the fused operation. Everything after the resize is separate operations, each
    rounded. On grids whose sides add up to 128 or less torch takes another kernel, whose last digit differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Taps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]

_KR, _KG, _KB = np.float32(0.299), np.float32(0.587), np.float32(0.114)
_BLUE, _RED = np.float32(1.772), np.float32(1.402)
_ZERO, _QUARTER, _WHITE, _MIDDLE = np.float32(0.0), np.float32(0.25), np.float32(255.0), np.float32(128.0)
_MEAN, _DEVIATION = np.float32(127.5), np.float32(63.75)
N_PLANES = 12
SEPARABLE_FROM_PX = 128


def exact(size: tuple[int, int]) -> bool:
    """Whether `inputs` equals `preprocess` bit for bit on a model grid of this (height, width)."""
    return sum(size) > SEPARABLE_FROM_PX


def inputs(pairs: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the semantic and the pose network read of N pairs.

    Args:
        pairs: uint8 (2, H, W, 3) RGB each, all of one size.
        size: (height, width) of the model grid; `exact` says where the values are those of `preprocess`.

    Returns:
        (float32 (N, 3, h, w), float32 (N, 12, h // 2, w // 2)), as `preprocess.segnet_input` and
        `preprocess.posenet_input` give them, in channels-last memory.
    """
    height, width = size
    seen = np.empty((len(pairs), height, width, 3), np.float32)
    planes = np.empty((len(pairs), height // 2, width // 2, N_PLANES), np.float32)
    rows, columns = _taps(pairs[0].shape[1], height), _taps(pairs[0].shape[2], width)
    for n, pair in enumerate(pairs):
        _prepare(pair, rows, columns, seen[n], planes[n])
    return torch.from_numpy(seen).movedim(-1, 1), torch.from_numpy(planes).movedim(-1, 1)


@lru_cache(maxsize=8)
def _taps(length: int, wanted: int) -> Taps:
    """Which two samples each wanted sample reads, and how much of them: bilinear, corners not aligned."""
    places = np.arange(wanted)
    if length == wanted:
        return places, places, np.ones(wanted, np.float32), np.zeros(wanted, np.float32)
    # In float64 the product is exact, so that rounding happens once: a fused multiply-add of float32.
    scale = float(np.float32(length) / np.float32(wanted))
    at = np.maximum((scale * (places + 0.5) - 0.5).astype(np.float32), np.float32(0.0))
    first = np.minimum(at.astype(np.int64), length - 1)
    second = np.minimum(first + 1, length - 1)
    part = np.clip(at - first.astype(np.float32), 0.0, 1.0).astype(np.float32)
    return first, second, np.float32(1.0) - part, part


@intrinsic
def _multiply_add(_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


_fused: Any = _multiply_add  # numba's stubs count the context among the arguments


@njit(cache=True, nogil=True)
def _along(pixels, columns, line):  # type: ignore[no-untyped-def]
    """One row of pixels, uint8 (W, 3), at the wanted columns, float32 (w, 3)."""
    first, second, near, far = columns
    for j in range(line.shape[0]):
        left, right, a, b = first[j], second[j], near[j], far[j]
        for c in range(3):
            line[j, c] = _fused(np.float32(pixels[left, c]), a, np.float32(pixels[right, c]) * b)


@njit(cache=True, nogil=True)
def _shrink(frame, rows, columns, lines, small):  # type: ignore[no-untyped-def]
    """One frame, uint8 (H, W, 3), on the model grid, float32 (h, w, 3); `lines` is room for two rows of it."""
    first, second, near, far = rows
    for i in range(small.shape[0]):
        _along(frame[first[i]], columns, lines[0])
        _along(frame[second[i]], columns, lines[1])
        a, b = near[i], far[i]
        for j in range(small.shape[1]):
            for c in range(3):
                small[i, j, c] = _fused(lines[0, j, c], a, lines[1, j, c] * b)


@njit(cache=True, nogil=True)
def _clamp(x):  # type: ignore[no-untyped-def]
    return min(max(x, _ZERO), _WHITE)


@njit(cache=True, nogil=True)
def _six(small, first, planes):  # type: ignore[no-untyped-def]
    """Six normalized planes of one frame from plane `first` on."""
    for i in range(planes.shape[0]):
        for j in range(planes.shape[1]):
            blue_sum, red_sum = _ZERO, _ZERO
            for phase in range(4):  # (0,0), (1,0), (0,1), (1,1)
                row, column = 2 * i + phase % 2, 2 * j + phase // 2
                red, green, blue = small[row, column, 0], small[row, column, 1], small[row, column, 2]
                luma = _clamp(red * _KR + green * _KG + blue * _KB)
                blue_sum += _clamp((blue - luma) / _BLUE + _MIDDLE)
                red_sum += _clamp((red - luma) / _RED + _MIDDLE)
                planes[i, j, first + phase] = (luma - _MEAN) / _DEVIATION
            planes[i, j, first + 4] = (blue_sum * _QUARTER - _MEAN) / _DEVIATION
            planes[i, j, first + 5] = (red_sum * _QUARTER - _MEAN) / _DEVIATION


@njit(cache=True, nogil=True)
def _prepare(pair, rows, columns, seen, planes):  # type: ignore[no-untyped-def]
    """Both inputs of one pair: its last frame, float32 (h, w, 3), and both as twelve planes, last."""
    lines = np.empty((2, *seen.shape[1:]), np.float32)
    before = np.empty(seen.shape, np.float32)
    _shrink(pair[0], rows, columns, lines, before)
    _shrink(pair[1], rows, columns, lines, seen)
    _six(before, 0, planes)
    _six(seen, 6, planes)
