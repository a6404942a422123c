"""Painter of cars: rounded bodies marched along each ray, with glass, lamps, plates and wheels.

A car is one row of 14 numbers: foot (x, z); sine and cosine of its heading; length, width, height; shape (0 saloon,
1 estate or van, 2 lorry); colour (r, g, b); brake 0-1; indicator -1, 0, 1; night lamps 0-1. Car axes: x right, y up,
z forward.
"""

from __future__ import annotations

import math

from numba import njit

from lab.drive.noise import ramp
from lab.drive.sky import sky_colour

N_COLUMNS = 14
CLEARLY_M = 1e-6
"""What one bound must leave of another before a part is left out: far more than rounding, far less than a detail."""
NO_CABIN_M = 9.0
"""What stands for the distance to the glasshouse that a lorry does not have; it bounds a ray's steps."""
REACH_M = 14.0
"""How far from its middle, along x and z together, a car darkens the ground."""


@njit(cache=True, forceinline=True)
def rounded_box(x, y, z, hx, hy, hz, radius):  # type: ignore[no-untyped-def]
    """Signed distance to a box with rounded edges."""
    qx, qy, qz = abs(x) - hx + radius, abs(y) - hy + radius, abs(z) - hz + radius
    ax, ay, az = max(qx, 0.0), max(qy, 0.0), max(qz, 0.0)
    return math.sqrt(ax * ax + ay * ay + az * az) + min(max(qx, max(qy, qz)), 0.0) - radius


@njit(cache=True, forceinline=True)
def wheel_distance(x, y, z, half_length, half_width, radius):  # type: ignore[no-untyped-def]
    """Signed distance to the four wheels."""
    wz = abs(z) - half_length * 0.60
    wx = abs(x) - half_width + 0.14
    flat = math.sqrt(wz * wz + (y - radius) ** 2) - radius
    side = abs(wx) - 0.12
    return min(max(flat, side), 0.0) + math.sqrt(max(flat, 0.0) ** 2 + max(side, 0.0) ** 2)


@njit(cache=True, forceinline=True)
def cabin_plan(car, hl, high):  # type: ignore[no-untyped-def]
    """(height of the waist, where the glasshouse's middle is along z, half its length at the waist)."""
    if car[7] < 0.5:
        return 0.56 * high, -0.10 * hl, 0.60 * hl
    return 0.60 * high, -0.24 * hl, 0.75 * hl


@njit(cache=True, forceinline=True)
def body_alone(car, hl, hw, high, x, y, z):  # type: ignore[no-untyped-def]
    """Signed distance to the body below the glass; of a lorry, to its box and chassis."""
    if car[7] > 1.5:
        body = rounded_box(x, y - 0.62 * high, z + 0.06 * hl, hw, 0.40 * high, hl * 0.94, 0.06)
        chassis = rounded_box(x, y - 0.20 * high, z, hw * 0.92, 0.10 * high, hl * 0.97, 0.05)
        return min(body, chassis)
    waist, _, _ = cabin_plan(car, hl, high)
    tuck = 1.0 - 0.10 * max(0.0, (abs(z) / hl - 0.55)) - 0.05 * abs(y / waist - 0.55)
    return rounded_box(x / tuck, y - (0.20 + 0.5 * (waist - 0.20)), z, hw, 0.5 * (waist - 0.20), hl, 0.16)


@njit(cache=True, forceinline=True)
def cabin_alone(car, hl, hw, high, x, y, z):  # type: ignore[no-untyped-def]
    """Signed distance to the glasshouse, understated by a quarter since its sides lean."""
    waist, shift, length = cabin_plan(car, hl, high)
    rise = min(1.0, max(0.0, (y - waist) / (high - waist)))
    lean = 1.0 - 0.20 * rise
    stretch = 1.0 - 0.34 * rise if car[7] < 0.5 else 1.0 - 0.17 * rise
    cabin = rounded_box(
        x / lean, y - (waist - 0.1 + 0.5 * (high - waist + 0.1)), (z - shift) / stretch,
        hw * 0.90, 0.5 * (high - waist + 0.1), length, 0.12,
    )  # fmt: skip
    return cabin * 0.72


@njit(cache=True, forceinline=True)
def body_distance(car, x, y, z):  # type: ignore[no-untyped-def]
    """(signed distance to body, glasshouse, wheels), each in metres."""
    hl, hw, high = car[4] * 0.5, car[5] * 0.5, car[6]
    body = body_alone(car, hl, hw, high, x, y, z)
    if car[7] > 1.5:
        return body, NO_CABIN_M, wheel_distance(x, y, z, hl, hw, 0.48)
    return body, cabin_alone(car, hl, hw, high, x, y, z), wheel_distance(x, y, z, hl, hw, 0.33)


@njit(cache=True, forceinline=True)
def nearest(car, x, y, z):  # type: ignore[no-untyped-def]
    """Signed distance to the whole car: the least of `body_distance`.

    Notes:
        A part whose distance cannot be less than what is known already is left out: a distance to a box is at least
        what lies beyond the box along one axis.
    """
    hl, hw, high = car[4] * 0.5, car[5] * 0.5, car[6]
    least = body_alone(car, hl, hw, high, x, y, z)
    if car[7] < 1.5:
        waist, shift, length = cabin_plan(car, hl, high)
        beyond = max(y - high, max(waist - 0.1 - y, max(abs(x) - hw * 0.90, abs(z - shift) - length)))
        if beyond * 0.72 - CLEARLY_M < least:
            least = min(least, cabin_alone(car, hl, hw, high, x, y, z))
    else:
        least = min(least, NO_CABIN_M)
    radius = 0.48 if car[7] > 1.5 else 0.33
    if max(abs(abs(x) - hw + 0.14) - 0.12, y - 2.0 * radius) - CLEARLY_M < least:
        least = min(least, wheel_distance(x, y, z, hl, hw, radius))
    return least


@njit(cache=True, forceinline=True)
def glass_at(car, x, y, z):  # type: ignore[no-untyped-def]
    """Whether a point of the cabin is window: between waist and roof, with pillars at the corners."""
    hl, hw, high = car[4] * 0.5, car[5] * 0.5, car[6]
    waist = 0.56 * high if car[7] < 0.5 else 0.60 * high
    rise = (y - waist) / (high - waist)
    if rise < 0.10 or rise > 0.84:
        return False
    lean = hw * 0.90 * (1.0 - 0.20 * rise)
    if car[7] < 0.5:
        zc, zh = z + 0.10 * hl, 0.60 * hl * (1.0 - 0.34 * rise)
    else:
        zc, zh = z + 0.24 * hl, 0.75 * hl * (1.0 - 0.17 * rise)
    if abs(x) > lean - 0.07:  # a side window: pillars front, middle, rear
        return abs(zc) < zh - 0.22 and abs(zc) > 0.05
    return abs(x) < lean - 0.14 or abs(zc) < zh - 0.2


@njit(cache=True, forceinline=True)
def lamp_at(car, x, y, z):  # type: ignore[no-untyped-def]
    """(r, g, b, strength) of a lamp or plate at a point of the body; strength 0 where there is none."""
    hl, hw, high = car[4] * 0.5, car[5] * 0.5, car[6]
    side = abs(x) / hw
    lift = y / high
    if z < -hl + 0.30:
        low, top = (0.40, 0.50) if car[7] < 0.5 else (0.36, 0.54)
        if car[7] > 1.5:
            low, top = 0.14, 0.20
        blink = car[12] * x > 0.0 and side > 0.80
        if side > (0.62 if car[7] < 0.5 else 0.74) and low < lift < top:
            if blink:
                return 1.0, 0.45, 0.03, 2.2
            return 0.40, 0.012, 0.012, 0.10 + 0.9 * car[13] + 4.0 * car[11]
        if car[7] < 1.5 and side < 0.22 and 0.80 < lift < 0.835:
            return 0.20, 0.008, 0.008, 0.02 + 9.0 * car[11]
        if side < 0.26 and 0.30 < lift < 0.375 and car[7] < 1.5:
            return 0.80, 0.80, 0.76, 0.0
        if car[7] > 1.5 and side < 0.93 and 0.225 < lift < 0.25:
            return 0.9, 0.12, 0.05, 0.25
    if z > hl - 0.34 and side > 0.52 and 0.36 < lift < 0.47:
        return 1.0, 0.96, 0.85, 0.5 + 3.5 * car[13]
    return 0.0, 0.0, 0.0, -1.0


@njit(cache=True, forceinline=True)
def shade_car(car, look, noise, x, y, z, nx, ny, nz, dx, dy, dz, lit, time):  # type: ignore[no-untyped-def]
    """Linear RGB of a point of a car; normal and ray are in car axes, `lit` is the share of sun."""
    sine, cosine = car[2], car[3]
    sx = look.sun_dir[0] * cosine - look.sun_dir[2] * sine
    sz = look.sun_dir[0] * sine + look.sun_dir[2] * cosine
    sun = max(0.0, nx * sx + ny * look.sun_dir[1] + nz * sz) * lit
    sky = 0.42 + 0.5 * ny + 0.16 * (1.0 - abs(ny))
    body, cabin, wheels = body_distance(car, x, y, z)
    high = car[6]
    dot = dx * nx + dy * ny + dz * nz
    rx, ry, rz = dx - 2 * dot * nx, dy - 2 * dot * ny, dz - 2 * dot * nz
    fresnel = 0.05 + 0.95 * (1.0 - min(1.0, abs(dot))) ** 5
    r, g, b = car[8], car[9], car[10]
    gloss = 0.5
    if wheels < body and wheels < cabin:
        hub = math.sqrt((abs(z) - car[4] * 0.30) ** 2 + (y - 0.33) ** 2) < 0.19
        r = g = b = 0.25 if hub and abs(nx) > 0.7 else 0.018
        gloss = 0.1
    elif cabin < body and glass_at(car, x, y, z):
        r, g, b = 0.012, 0.015, 0.018
        fresnel = 0.12 + 0.88 * (1.0 - min(1.0, abs(dot))) ** 4
        gloss = 1.0
    elif y < 0.235 * high and car[7] < 1.5:
        r = g = b = 0.03
        gloss = 0.1
    elif car[7] > 1.5 and y < 0.24 * high:
        r = g = b = 0.025
        gloss = 0.05
    elif car[7] > 1.5 and nz < -0.7 and abs(x) < 0.02:
        r, g, b = r * 0.3, g * 0.3, b * 0.3
    sky = max(0.06, sky * ramp(-0.1, 0.55, y / high + 0.25 * max(0.0, ny)))
    lr, lg, lb, power = lamp_at(car, x, y, z)
    if power >= 0.0:
        r, g, b = lr, lg, lb
    cr = r * (look.sun[0] * sun + look.ambient[0] * sky)
    cg = g * (look.sun[1] * sun + look.ambient[1] * sky)
    cb = b * (look.sun[2] * sun + look.ambient[2] * sky)
    if ry > -0.05:
        wx, wz = rx * cosine + rz * sine, -rx * sine + rz * cosine
        mr, mg, mb = sky_colour(look, noise, wx, max(ry, 0.02), wz, time)
        mirror = gloss * min(1.0, fresnel) * ramp(-0.05, 0.1, ry) * (0.35 + 0.65 * lit)
        cr, cg, cb = cr + mirror * min(mr, 2.5), cg + mirror * min(mg, 2.5), cb + mirror * min(mb, 2.5)
    if power > 0.0:
        cr, cg, cb = cr + lr * power, cg + lg * power, cb + lb * power
    return cr, cg, cb


@njit(cache=True, forceinline=True)
def slab(at, along, low, high):  # type: ignore[no-untyped-def]
    """Where along a ray one coordinate lies within bounds: (from, to) in metres; empty where from > to."""
    if abs(along) < 1e-12:
        return (-1e9, 1e9) if low <= at <= high else (1e9, -1e9)
    a, b = (low - at) / along, (high - at) / along
    return min(a, b), max(a, b)


@njit(cache=True)
def paint_car(image, label, depth, look, noise, car, lit, eye, rot, focal, cx, cy, time):  # type: ignore[no-untyped-def]
    """Paint one car into linear RGB, class and depth maps."""
    sine, cosine = car[2], car[3]
    hl, hw, high = car[4] * 0.5 + 0.05, car[5] * 0.5 + 0.05, car[6] + 0.05
    left = top = 1e9
    right = bottom = -1e9
    closest = 1e9
    for corner in range(8):
        lx = hw if corner & 1 else -hw
        lz = hl if corner & 2 else -hl
        px = car[0] + lx * cosine + lz * sine - eye[0]
        py = (high if corner & 4 else 0.0) - eye[1]
        pz = car[1] - lx * sine + lz * cosine - eye[2]
        qx = rot[0, 0] * px + rot[1, 0] * py + rot[2, 0] * pz
        qy = rot[0, 1] * px + rot[1, 1] * py + rot[2, 1] * pz
        qz = rot[0, 2] * px + rot[1, 2] * py + rot[2, 2] * pz
        closest = min(closest, qz)
        qz = max(qz, 0.4)
        left, right = min(left, cx + focal * qx / qz), max(right, cx + focal * qx / qz)
        top, bottom = min(top, cy + focal * qy / qz), max(bottom, cy + focal * qy / qz)
    height, width = depth.shape
    if right < 0 or bottom < 0 or left > width or top > height or closest < -hl or bottom < 1:
        return
    ex = (eye[0] - car[0]) * cosine - (eye[2] - car[1]) * sine
    ez = (eye[0] - car[0]) * sine + (eye[2] - car[1]) * cosine
    start = max(0.3, math.hypot(ex, ez) - hl - hw - 1.0)
    for v in range(max(0, int(top)), min(height, int(bottom) + 2)):
        for u in range(max(0, int(left)), min(width, int(right) + 2)):
            kx, ky = (u + 0.5 - cx) / focal, (v + 0.5 - cy) / focal
            wx = rot[0, 0] * kx + rot[0, 1] * ky + rot[0, 2]
            wy = rot[1, 0] * kx + rot[1, 1] * ky + rot[1, 2]
            wz = rot[2, 0] * kx + rot[2, 1] * ky + rot[2, 2]
            unit = math.sqrt(wx * wx + wy * wy + wz * wz)
            dx, dy, dz = (wx * cosine - wz * sine) / unit, wy / unit, (wx * sine + wz * cosine) / unit
            # no point of the car lies outside its box, so neither does a hit: most rays end here
            enter, leave = slab(ex, dx, -hw, hw)
            near, far = slab(ez, dz, -hl, hl)
            enter, leave = max(enter, near), min(leave, far)
            near, far = slab(eye[1], dy, -0.05, 1.03 * high)
            enter, leave = max(enter, near), min(leave, far, depth[v, u] * unit)
            if leave < enter - 0.01:
                continue
            t = start
            found = False
            for _ in range(48):
                if t > leave + 0.01:
                    break
                gap = nearest(car, ex + dx * t, eye[1] + dy * t, ez + dz * t)
                if gap < 0.012:
                    found = True
                    break
                t += gap * 0.95
                if t > 1000.0 or gap > 30.0:
                    break
            if not found or t / unit >= depth[v, u]:
                continue
            x, y, z = ex + dx * t, eye[1] + dy * t, ez + dz * t
            e = 0.03
            nx = nearest(car, x + e, y, z) - nearest(car, x - e, y, z)
            ny = nearest(car, x, y + e, z) - nearest(car, x, y - e, z)
            nz = nearest(car, x, y, z + e) - nearest(car, x, y, z - e)
            size = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
            r, g, b = shade_car(car, look, noise, x, y, z, nx / size, ny / size, nz / size, dx, dy, dz, lit, time)
            veil = 1.0 - math.exp(-t * look.haze_density)
            image[v, u, 0] = r + (look.haze[0] - r) * veil
            image[v, u, 1] = g + (look.haze[1] - g) * veil
            image[v, u, 2] = b + (look.haze[2] - b) * veil
            label[v, u] = 3
            depth[v, u] = t / unit


@njit(cache=True, forceinline=True)
def clear_way(cars, x, z):  # type: ignore[no-untyped-def]
    """How far |dx| + |dz| a ground point may move before `under_car` can differ from 1, in metres; may be < 0."""
    way = 1e9
    for k in range(cars.shape[0]):
        way = min(way, abs(x - cars[k, 0]) + abs(z - cars[k, 1]))
    return way - REACH_M - CLEARLY_M


@njit(cache=True, forceinline=True)
def under_car(cars, x, z, sun_x, sun_z):  # type: ignore[no-untyped-def]
    """Share of light that cars leave on a ground point: a soft contact shadow and one cast by the sun."""
    light = 1.0
    for k in range(cars.shape[0]):
        dx, dz = x - cars[k, 0], z - cars[k, 1]
        if abs(dx) + abs(dz) > REACH_M:
            continue
        for cast in range(2):
            shift = 0.45 * cars[k, 6] * cast
            px, pz = dx - sun_x * shift, dz - sun_z * shift
            lx = abs(px * cars[k, 3] - pz * cars[k, 2]) - cars[k, 5] * 0.5 + 0.1
            lz = abs(px * cars[k, 2] + pz * cars[k, 3]) - cars[k, 4] * 0.5 + 0.1
            out = math.hypot(max(lx, 0.0), max(lz, 0.0)) + min(0.0, max(lx, lz))
            light = min(light, 1.0 - (0.82 - 0.26 * cast) * (1.0 - ramp(-0.45, 0.42, out)))
    return light
