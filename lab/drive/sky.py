"""Painter of what is far away: sky, clouds, sun, and ridges of hills behind the haze."""

from __future__ import annotations

import math

from numba import njit

from lab.drive.noise import ramp, tap


@njit(cache=True, forceinline=True)
def sky_colour(look, noise, dx, dy, dz, time):  # type: ignore[no-untyped-def]
    """Linear RGB of the sky in a unit direction; `dy` up."""
    up = max(dy, 0.0)
    blend = 1.0 - math.exp(-up * look.sky_falloff)
    r = look.horizon[0] + (look.zenith[0] - look.horizon[0]) * blend
    g = look.horizon[1] + (look.zenith[1] - look.horizon[1]) * blend
    b = look.horizon[2] + (look.zenith[2] - look.horizon[2]) * blend
    toward = max(0.0, dx * look.sun_dir[0] + dy * look.sun_dir[1] + dz * look.sun_dir[2])
    glow = look.glow * (0.30 * toward**5 + 0.8 * toward**40)
    disc = 5.0 * look.glow * ramp(0.9970, 0.9998, toward)
    r += look.sun[0] * (glow * 0.30 + disc)
    g += look.sun[1] * (glow * 0.24 + disc)
    b += look.sun[2] * (glow * 0.18 + disc)
    if up > 0.012 and look.cloud_cover > 0.0:
        reach = 1.0 / (up + 0.06)
        cx = dx * reach * 16.0 + look.drift + time * 0.15
        cz = dz * reach * 16.0 - look.drift
        thick = 0.70 * tap(noise, cx, cz) + 0.30 * tap(noise, cx * 3.1 + 11.0, cz * 3.1)
        edge = 1.0 - look.cloud_cover
        if thick > edge:
            lit = 0.72 * tap(noise, cx + look.sun_dir[0] * 3.0, cz + look.sun_dir[2] * 3.0) + 0.14
            cover = ramp(edge, edge + 0.26, thick) * ramp(0.012, 0.12, up) * 0.92
            tone = 0.72 + 0.55 * (thick - lit) + 0.25 * (1.0 - cover)
            tone = min(1.25, max(0.45, tone))
            r += (look.cloud[0] * tone - r) * cover
            g += (look.cloud[1] * tone - g) * cover
            b += (look.cloud[2] * tone - b) * cover
    return r, g, b


@njit(cache=True, forceinline=True)
def far_colour(look, noise, grain, dx, dy, dz, time):  # type: ignore[no-untyped-def]
    """Linear RGB of the sky or of the ridge that hides it, in a unit direction."""
    if dy < look.hill_top:
        azimuth = math.atan2(dx, dz)
        for layer in range(4):  # nearest first: a low belt of trees, then three ridges
            scale = look.hill_rows[layer, 0]
            height = look.hill_rows[layer, 1]
            if dy > height * (1.29 if layer == 0 else 1.07):  # no ridge of this layer is as high
                continue
            haze = look.hill_rows[layer, 2]
            x = azimuth * scale * 6.0 + look.drift + 37.0 * layer
            ridge = height * (0.25 + 0.75 * tap(noise, x, 5.5 + 40.0 * layer))
            if layer == 0:
                ridge += height * 0.55 * (tap(noise, x * 5.0, 91.5) - 0.5)
            else:
                ridge += height * 0.10 * (tap(noise, x * 4.0, 77.5) - 0.5)
            if dy < ridge:
                depth = dy / max(ridge, 1e-4)
                leaf = tap(noise, azimuth * 260.0, dy * 420.0 + 31.0 * layer) - 0.5
                tone = 0.80 + 0.50 * leaf * (1.0 - 0.6 * haze) + 0.22 * depth
                r = look.hill[0] * tone * look.light
                g = look.hill[1] * tone * look.light
                b = look.hill[2] * tone * look.light
                veil = min(0.97, haze + 0.12 * (1.0 - depth))
                return (
                    r + (look.haze[0] - r) * veil,
                    g + (look.haze[1] - g) * veil,
                    b + (look.haze[2] - b) * veil,
                )
    return sky_colour(look, noise, dx, dy, dz, time)
