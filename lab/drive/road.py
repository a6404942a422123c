"""Where the road runs: a plan curve as a table, and the way from the ground back to road coordinates."""

from __future__ import annotations

import numpy as np
from numba import njit

from lab.drive.noise import FloatArray

STEP_M = 0.5
"""Spacing of the rows of a path table."""


def lay_path(rng: np.random.Generator, length_m: float, bend: float) -> FloatArray:
    """A plan curve as a table with one row each half metre.

    Args:
        rng: decides the bends.
        length_m: length of the reference line.
        bend: standard scale of the curvature, 1/m.

    Returns:
        float64 (n, 5): x, z, sine and cosine of the heading, curvature (positive turns right).
    """
    n = int(length_m / STEP_M) + 2
    s = np.arange(n) * STEP_M
    curvature = np.zeros(n)
    for wavelength in (900.0, 420.0, 230.0):
        curvature += np.sin(2 * np.pi * (s / wavelength + rng.random())) * rng.normal() * bend * 0.6
    heading = np.cumsum(curvature) * STEP_M
    heading -= heading[0]
    x = np.cumsum(np.sin(heading)) * STEP_M
    z = np.cumsum(np.cos(heading)) * STEP_M
    return np.stack([x, z, np.sin(heading), np.cos(heading), curvature], axis=1)


@njit(cache=True, forceinline=True)
def place(path, s, d):  # type: ignore[no-untyped-def]
    """World (x, z) and (sine, cosine) of the heading at road coordinates."""
    row = min(max(s / STEP_M, 0.0), path.shape[0] - 2.0)
    k = int(row)
    part = row - k
    x = path[k, 0] + part * (path[k + 1, 0] - path[k, 0])
    z = path[k, 1] + part * (path[k + 1, 1] - path[k, 1])
    sine = path[k, 2] + part * (path[k + 1, 2] - path[k, 2])
    cosine = path[k, 3] + part * (path[k + 1, 3] - path[k, 3])
    return x + d * cosine, z - d * sine, sine, cosine


@njit(cache=True, forceinline=True)
def locate(path, x, z, guess):  # type: ignore[no-untyped-def]
    """Road coordinates (s, d) of a ground point, by two Newton steps from a guess of s."""
    s = guess
    d = 0.0
    for _ in range(2):
        px, pz, sine, cosine = place(path, s, 0.0)
        dx = x - px
        dz = z - pz
        d = dx * cosine - dz * sine
        k = int(min(max(s / STEP_M, 0.0), path.shape[0] - 2.0))
        s += (dx * sine + dz * cosine) / max(0.4, 1.0 - path[k, 4] * d)
    return s, d
