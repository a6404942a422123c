"""A decoded picture as interleaved RGB, in one compiled pass over its samples: value for value what `colour` gives.

Chroma doubled by two has the weights 1/4 and 3/4 only, so sixteen times a doubled sample is a whole number below 2^12
and float32 holds it exactly; the conversion is `colour`'s, one rounded operation after the other.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lab.video import colour
from lab.video.colour import Plane

# Adding and taking away 1.5 * 2^23 rounds a float32 of 0 to 255 half to even.
_ROUND = np.float32(12582912.0)
_LUMA_GAIN, _CHROMA_GAIN = np.float32(colour.LUMA_GAIN), np.float32(colour.CHROMA_GAIN)
_RED_V, _GREEN_U = np.float32(colour.RED_V), np.float32(colour.GREEN_U)
_GREEN_V, _BLUE_U = np.float32(colour.GREEN_V), np.float32(colour.BLUE_U)
_ZERO, _ONE, _WHITE = np.float32(0.0), np.float32(1.0), np.float32(255.0)
_BLACK, _MIDDLE, _SIXTEENTH = np.float32(16.0), np.float32(128.0), np.float32(0.0625)


def frame(y: Plane, u: Plane, v: Plane, *, full_range: bool = False) -> NDArray[np.uint8]:
    """`colour.to_uint8` of `colour.yuv_to_rgb`, value for value.

    Args:
        y: uint8 (H, W).
        u, v: uint8, (ceil(H/2), ceil(W/2)) or (H, W).
        full_range: samples span 0-255 instead of 16-235 and 16-240.

    Returns:
        uint8 (H, W, 3), contiguous.
    """
    height, width = y.shape
    out = np.empty((height, width, 3), np.uint8)
    if u.shape not in ((height, width), ((height + 1) // 2, (width + 1) // 2)) or v.shape != u.shape:
        raise ValueError(f"chroma of {u.shape} and {v.shape} does not belong to luma of {y.shape}")
    _convert(y, u, v, u.shape != y.shape, full_range, out)
    return out


@njit(cache=True, nogil=True)
def _doubled(plane, row, halved, near, line):  # type: ignore[no-untyped-def]
    """Row `row` of a chroma plane at luma size, minus 128, into `line`; `near` is room for a row of the plane."""
    width = line.shape[0]
    if not halved:
        for x in range(width):
            line[x] = np.float32(plane[row, x]) - _MIDDLE
        return
    rows, columns = plane.shape
    here = row >> 1
    there = min(max(here + (1 if row & 1 else -1), 0), rows - 1)
    for x in range(columns):
        near[x] = 3 * np.int32(plane[here, x]) + np.int32(plane[there, x])
    for x in range(columns - 1):
        line[2 * x + 1] = np.float32(3 * near[x] + near[x + 1]) * _SIXTEENTH - _MIDDLE
        line[2 * x + 2] = np.float32(near[x] + 3 * near[x + 1]) * _SIXTEENTH - _MIDDLE
    line[0] = np.float32(4 * near[0]) * _SIXTEENTH - _MIDDLE
    if width & 1 == 0:
        line[width - 1] = np.float32(4 * near[columns - 1]) * _SIXTEENTH - _MIDDLE


@njit(cache=True, nogil=True)
def _convert(y, u, v, halved, full_range, out):  # type: ignore[no-untyped-def]
    height, width = y.shape
    near = np.empty(u.shape[1], np.int32)
    blue, red = np.empty(width, np.float32), np.empty(width, np.float32)
    line = np.empty((3, width), np.uint8)
    gains = (_ONE, _ONE) if full_range else (_LUMA_GAIN, _CHROMA_GAIN)
    black = _ZERO if full_range else _BLACK
    for row in range(height):
        _doubled(u, row, halved, near, blue)
        _doubled(v, row, halved, near, red)
        for x in range(width):  # planes first: these three are computed many samples at once
            luma, b, r = (np.float32(y[row, x]) - black) * gains[0], blue[x] * gains[1], red[x] * gains[1]
            line[0, x] = np.int32(min(max(r * _RED_V + luma, _ZERO), _WHITE) + _ROUND - _ROUND)
            line[1, x] = np.int32(min(max(luma - b * _GREEN_U - r * _GREEN_V, _ZERO), _WHITE) + _ROUND - _ROUND)
            line[2, x] = np.int32(min(max(b * _BLUE_U + luma, _ZERO), _WHITE) + _ROUND - _ROUND)
        for x in range(width):
            out[row, x, 0], out[row, x, 1], out[row, x, 2] = line[0, x], line[1, x], line[2, x]
