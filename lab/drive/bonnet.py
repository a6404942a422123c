"""Painter of the own car: a bonnet fixed to the camera, in which the sky and the passing light are reflected."""

from __future__ import annotations

import math

from numba import njit

from lab.drive.noise import ramp, tap
from lab.drive.sky import far_colour


@njit(cache=True, forceinline=True)
def bonnet_edge(look, u):  # type: ignore[no-untyped-def]
    """Row of the bonnet's far edge at column u (-1 to 1), as a share of the frame height from the top."""
    side = abs(u - look.bonnet_shift)
    return 1.0 - look.bonnet * (1.0 - 0.16 * side * side - 0.55 * ramp(0.80, 1.25, side))


@njit(cache=True)
def paint_bonnet(image, label, look, noise, grain, rot, lit, travel, time):  # type: ignore[no-untyped-def]
    """Paint the bonnet over the bottom of the frame.

    Args:
        lit: share of sun on the car, 0-1.
        travel: metres driven; the reflected roadside moves with it.
    """
    height, width = label.shape
    if look.bonnet <= 0.0:
        return
    for x in range(width):
        u = 2.0 * (x + 0.5) / width - 1.0
        edge = bonnet_edge(look, u) * height
        for y in range(max(0, int(edge)), height):
            if y + 0.5 < edge:
                continue
            depth = (y + 0.5 - edge) / (height * look.bonnet + 1e-9)  # 0 at the far edge, 1 at the windscreen
            side = u - look.bonnet_shift
            crease = abs(abs(side) - (0.34 + 0.16 * depth))
            tilt = 0.30 * side + 0.10 * ramp(0.05, 0.0, crease) * (1.0 if side > 0 else -1.0)
            up = 0.05 + 0.62 * depth + 0.06 * side * side
            size = math.sqrt(tilt * tilt + up * up + 1.0)
            kx, ky, kz = tilt / size, -up / size, 1.0 / size
            dx = rot[0, 0] * kx + rot[0, 1] * ky + rot[0, 2] * kz
            dz = rot[2, 0] * kx + rot[2, 1] * ky + rot[2, 2] * kz
            mr, mg, mb = far_colour(look, noise, grain, dx, up / size, dz, time)
            belt = 0.10 + 0.16 * tap(noise, travel * 0.10 + side * 3.0 + (9.0 if side > 0 else 0.0), 60.5) * abs(side)
            hidden = 1.0 - ramp(belt, belt + 0.05, up / size)
            mirror = (0.20 + 0.62 * (1.0 - ramp(0.0, 0.5, depth))) * (1.0 - 0.75 * hidden)
            gloss = (0.25 + 0.75 * lit) * look.sun_height
            fade = 1.0 - 0.45 * ramp(0.55, 1.0, depth)
            r = look.bonnet_paint[0] * (look.sun[0] * gloss + look.ambient[0])
            g = look.bonnet_paint[1] * (look.sun[1] * gloss + look.ambient[1])
            b = look.bonnet_paint[2] * (look.sun[2] * gloss + look.ambient[2])
            shine = mirror * look.bonnet_gloss
            r, g, b = r * fade + shine * min(mr, 1.1), g * fade + shine * min(mg, 1.1), b * fade + shine * min(mb, 1.1)
            seam = ramp(0.0, 0.022, depth)
            cowl = ramp(0.86, 0.90, depth + 0.04 * side * side)
            dark = (0.35 + 0.65 * seam) * (1.0 - 0.82 * cowl)
            image[y, x, 0] = r * dark
            image[y, x, 1] = g * dark
            image[y, x, 2] = b * dark
            label[y, x] = 4
