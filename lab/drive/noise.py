"""Value noise: two small wrapping textures and their bilinear reader."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

SIDE = 256
FloatArray = NDArray[np.float64]


def smooth_texture(rng: np.random.Generator, octaves: int = 5) -> NDArray[np.float32]:
    """Wrapping fractal noise, float32 (256, 256), spread evenly over 0-1."""
    total = np.zeros((SIDE, SIDE))
    for octave in range(octaves):
        cells = 8 << octave
        coarse = rng.random((cells, cells))
        position = np.arange(SIDE) * cells / SIDE
        low = position.astype(int)
        part = position - low
        part = part * part * (3 - 2 * part)
        high = (low + 1) % cells
        rows = coarse[low] * (1 - part)[:, None] + coarse[high] * part[:, None]
        total += (rows[:, low] * (1 - part) + rows[:, high] * part) * 0.55**octave
    order = total.ravel().argsort(kind="stable").argsort(kind="stable")
    return (order / (SIDE * SIDE - 1)).reshape(SIDE, SIDE).astype(np.float32)


def grain_texture(rng: np.random.Generator) -> NDArray[np.float32]:
    """White noise, float32 (256, 256), 0-1: grit of asphalt, leaves, blades of grass."""
    return rng.random((SIDE, SIDE)).astype(np.float32)


@njit(cache=True, forceinline=True)
def tap(texture, x, y):  # type: ignore[no-untyped-def]
    """Texture value at real coordinates, bilinear, wrapping every 256 cells."""
    column = np.floor(x)
    row = np.floor(y)
    fx = x - column
    fy = y - row
    x0 = int(column) & 255
    y0 = int(row) & 255
    x1 = (x0 + 1) & 255
    y1 = (y0 + 1) & 255
    top = texture[y0, x0] * (1.0 - fx) + texture[y0, x1] * fx
    bottom = texture[y1, x0] * (1.0 - fx) + texture[y1, x1] * fx
    return top * (1.0 - fy) + bottom * fy


@njit(cache=True, forceinline=True)
def ramp(low, high, x):  # type: ignore[no-untyped-def]
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = (x - low) / (high - low)
    t = min(1.0, max(0.0, t))
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, forceinline=True)
def chance(a, b):  # type: ignore[no-untyped-def]
    """A repeatable number in 0-1 of two integers."""
    h = (a * 374761393 + b * 668265263) & 0x7FFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0x7FFFFFFF
    return float((h ^ (h >> 16)) & 0xFFFF) / 65535.0
