"""Painter of what stands beside the road: flat pieces in space, cut out and shaded by their kind, against a depth map.

A prop is one row of 15 numbers: kind; corner (x, y, z); edge vectors u and v; variant; colour (r, g, b); extra.
A kind below `FIRST_FIXED` always turns to the camera: its corner is the middle of its foot, u[0] its width, v[1] its
height.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from lab.drive.noise import FloatArray, chance, ramp, tap

TREE, CONIFER, POST, DELINEATOR, FIRST_FIXED = 0, 1, 2, 3, 4
RAIL, WALL, ROOF, GABLE, BOARD, DISC, CONCRETE, FENCE = 4, 5, 6, 7, 8, 9, 10, 11
N_COLUMNS = 15
N_BLOBS = 18


def crown_table(rng: np.random.Generator, variants: int = 24) -> FloatArray:
    """Crowns of broad-leaved trees: float64 (variants, blobs, 4), each blob x, y, radius, depth in a unit square.

    The last third of the variants are bushes: their blobs lie at the foot.
    """
    table = np.zeros((variants, N_BLOBS, 4))
    for variant in range(variants):
        bush = variant >= variants * 2 // 3
        for blob in range(N_BLOBS):
            angle = rng.random() * 2 * np.pi
            out = np.sqrt(rng.random())
            if bush:
                x, y, r = 0.5 + 0.36 * out * np.cos(angle), 0.32 + 0.26 * out * np.sin(angle), rng.uniform(0.10, 0.22)
            else:
                x, y, r = 0.5 + 0.33 * out * np.cos(angle), 0.64 + 0.24 * out * np.sin(angle), rng.uniform(0.07, 0.17)
            table[variant, blob] = x, y, r, rng.uniform(-0.15, 0.15)
    return table


@njit(cache=True)
def tree_point(crown, noise, grain, variant, a, b, row):  # type: ignore[no-untyped-def]
    """(covered, bark, tone, side, up): crown or trunk at (a, b) of a tree's unit square, and its rough normal."""
    rough = 0.8 * (tap(noise, a * 90.0 + 13.0 * row, b * 90.0 + 7.0 * row) - 0.5)
    rough += 0.5 * (tap(grain, a * 34.0 + 5.0 * row, b * 34.0) - 0.5)
    best = -9.0
    side = 0.0
    up = 0.0
    for k in range(N_BLOBS):
        dx = a - crown[variant, k, 0]
        dy = b - crown[variant, k, 1]
        r = crown[variant, k, 2]
        q = (dx * dx + dy * dy) / (r * r) + rough * 1.7
        if q < 1.0:
            nz = math.sqrt(1.0 - max(q, 0.0))
            score = crown[variant, k, 3] + nz * r
            if score > best:
                best = score
                side = dx / r
                up = dy / r
    if best > -9.0:
        leaf = tap(grain, a * 60.0 + row, b * 60.0)
        return True, False, 0.66 + 0.50 * leaf - 0.5 * rough, side, up
    if variant < 16 and abs(a - 0.5 - 0.02 * math.sin(b * 9.0)) < 0.028 - 0.012 * b and b < 0.6:
        return True, True, 0.8 + 0.4 * rough, (a - 0.5) * 20.0, 0.0
    return False, False, 0.0, 0.0, 0.0


@njit(cache=True)
def conifer_point(noise, grain, a, b, row):  # type: ignore[no-untyped-def]
    """(covered, bark, tone, side, up) of a conifer: tiers of branches around a straight trunk."""
    rough = tap(noise, a * 30.0 + 3.0 * row, b * 44.0 + row) - 0.5
    tier = b * 9.0
    saw = 1.0 - (tier - math.floor(tier))
    half = 0.48 * (1.0 - b) * (0.62 + 0.38 * saw) + 0.13 * rough
    if b > 0.06 and abs(a - 0.5) < half:
        tone = 0.58 + 0.42 * tap(grain, a * 50.0 + row, b * 70.0) + 0.30 * (1.0 - saw) + 0.4 * rough
        return True, False, tone, (a - 0.5) / max(half, 0.05), 0.35
    if b <= 0.1 and abs(a - 0.5) < 0.03:
        return True, True, 0.8, 0.0, 0.0
    return False, False, 0.0, 0.0, 0.0


@njit(cache=True)
def wall_tone(kind, noise, variant, a, b, wide, high, extra):  # type: ignore[no-untyped-def]
    """(covered, r, g, b factors): cut-out and pattern of a fixed piece at (a, b) of its unit square."""
    x = a * wide
    y = b * high
    if kind == RAIL:
        post = (x + extra) / 4.0
        if (post - math.floor(post)) * 4.0 < 0.14 and b < 0.95:
            return True, 0.62, 0.62, 0.64
        if b < 0.52:
            return False, 0.0, 0.0, 0.0
        wave = (b - 0.52) / 0.48
        tone = 0.80 + 0.30 * math.cos(wave * 12.6)
        return True, tone, tone, tone * 1.03
    if kind == GABLE and b > 1.0 - 2.0 * abs(a - 0.5):
        return False, 0.0, 0.0, 0.0
    if kind == WALL:
        cx = x / 2.6
        cy = y / 2.8
        inside = 0.28 < cx - math.floor(cx) < 0.70 and 0.35 < cy - math.floor(cy) < 0.80
        if inside and wide - x > 0.9 and x > 0.5:
            lamp = chance(int(cx) * 5 + int(cy), int(variant))
            glow = 1.6 * extra if lamp > 0.6 else 0.0
            return True, 0.16 + glow, 0.19 + glow * 0.75, 0.24 + glow * 0.4
        course = 0.93 + 0.14 * tap(noise, x * 1.5, y * 4.0)
        return True, course, course, course
    if kind == ROOF:
        tile = y * 3.0
        tone = 0.78 + 0.20 * (tile - math.floor(tile)) + 0.2 * tap(noise, x * 2.0, y * 2.0)
        return True, tone, tone, tone
    if kind == BOARD:
        rim = min(min(x, wide - x), min(y, high - y))
        if 0.05 < rim < 0.13:
            return True, 6.0, 6.0, 6.0
        line = (high - y - 0.30) / 0.55
        row = math.floor(line)
        if rim > 0.3 and 0.12 < line - row < 0.62 and x < wide * (0.55 + 0.38 * chance(row, int(variant))):
            letter = x / 0.21
            if (letter - math.floor(letter)) < 0.72 and chance(int(letter), row + int(variant)) > 0.14:
                return True, 6.0, 6.0, 6.0
        return True, 1.0, 1.0, 1.0
    if kind == DISC:
        radius = 2.0 * math.sqrt((a - 0.5) ** 2 + (b - 0.5) ** 2)
        if radius > 1.0:
            return False, 0.0, 0.0, 0.0
        if radius > 0.76:
            return True, 0.95, 0.06, 0.06
        digit = 0.12 < abs(a - 0.5) < 0.24 and abs(b - 0.5) < 0.22
        return (True, 0.05, 0.05, 0.05) if digit else (True, 1.0, 1.0, 1.0)
    if kind == FENCE:
        cell = x / 1.6
        if (cell - math.floor(cell)) * 1.6 < 0.10 or 0.34 < b < 0.44 or 0.78 < b < 0.88:
            return True, 1.0, 1.0, 1.0
        return False, 0.0, 0.0, 0.0
    tone = 0.88 + 0.22 * tap(noise, x * 0.8, y * 1.7 + variant)
    return True, tone, tone, tone


@njit(cache=True)
def paint_prop(image, label, depth, look, noise, grain, crown, shade, prop, row, eye, rot, focal, cx, cy):  # type: ignore[no-untyped-def]
    """Paint one prop into linear RGB, class and depth maps."""
    kind = int(prop[0])
    ox, oy, oz = prop[1], prop[2], prop[3]
    ux, uy, uz = prop[4], prop[5], prop[6]
    vx, vy, vz = prop[7], prop[8], prop[9]
    if kind < FIRST_FIXED:
        away = math.hypot(ox - eye[0], oz - eye[2]) + 1e-6
        ux, uz = prop[4] * (oz - eye[2]) / away, -prop[4] * (ox - eye[0]) / away
        ox -= 0.5 * ux
        oz -= 0.5 * uz
    left = top = 1e9
    right = bottom = -1e9
    behind = 0
    for corner in range(4):
        px = ox - eye[0] + ux * (corner & 1) + vx * (corner >> 1)
        py = oy - eye[1] + uy * (corner & 1) + vy * (corner >> 1)
        pz = oz - eye[2] + uz * (corner & 1) + vz * (corner >> 1)
        qx = rot[0, 0] * px + rot[1, 0] * py + rot[2, 0] * pz
        qy = rot[0, 1] * px + rot[1, 1] * py + rot[2, 1] * pz
        qz = rot[0, 2] * px + rot[1, 2] * py + rot[2, 2] * pz
        if qz < 0.4:
            behind += 1
            qz = 0.4
        left = min(left, cx + focal * qx / qz)
        right = max(right, cx + focal * qx / qz)
        top = min(top, cy + focal * qy / qz)
        bottom = max(bottom, cy + focal * qy / qz)
    height, width = depth.shape
    if behind == 4 or right < 0 or bottom < 0 or left > width or top > height:
        return
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    size = math.sqrt(nx * nx + ny * ny + nz * nz)
    nx, ny, nz = nx / size, ny / size, nz / size
    plane = nx * (ox - eye[0]) + ny * (oy - eye[1]) + nz * (oz - eye[2])
    if plane > 0.0:  # the normal looks at the camera
        nx, ny, nz, plane = -nx, -ny, -nz, -plane
    uu, uv, vv = ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz, vx * vx + vy * vy + vz * vz
    det = uu * vv - uv * uv
    wide, high = math.sqrt(uu), math.sqrt(vv)
    facing = max(0.0, nx * look.sun_dir[0] + ny * look.sun_dir[1] + nz * look.sun_dir[2])
    across = (ux * look.sun_dir[0] + uz * look.sun_dir[2]) / wide
    variant = int(prop[10])
    for y in range(max(0, int(top)), min(height, int(bottom) + 2)):
        for x in range(max(0, int(left)), min(width, int(right) + 2)):
            kx, ky = (x + 0.5 - cx) / focal, (y + 0.5 - cy) / focal
            dx = rot[0, 0] * kx + rot[0, 1] * ky + rot[0, 2]
            dy = rot[1, 0] * kx + rot[1, 1] * ky + rot[1, 2]
            dz = rot[2, 0] * kx + rot[2, 1] * ky + rot[2, 2]
            slope = nx * dx + ny * dy + nz * dz
            if slope > -1e-9:
                continue
            t = plane / slope
            if t < 0.3 or t >= depth[y, x]:
                continue
            px, py, pz = t * dx + eye[0] - ox, t * dy + eye[1] - oy, t * dz + eye[2] - oz
            pu, pv = px * ux + py * uy + pz * uz, px * vx + py * vy + pz * vz
            a, b = (pu * vv - pv * uv) / det, (pv * uu - pu * uv) / det
            if a < 0.0 or a > 1.0 or b < 0.0 or b > 1.0:
                continue
            r, g, bl = prop[11], prop[12], prop[13]
            if kind in (TREE, CONIFER):
                if kind == TREE:
                    covered, bark, tone, side, up = tree_point(crown, noise, grain, variant, a, b, row)
                else:
                    covered, bark, tone, side, up = conifer_point(noise, grain, a, b, row)
                if not covered:
                    continue
                if bark:
                    r, g, bl = 0.10, 0.075, 0.055
                front = math.sqrt(max(0.0, 1.0 - min(1.0, side * side + up * up)))
                sun = max(0.0, side * across + up * look.sun_dir[1] + front * facing) * (0.55 + 0.45 * b)
                sky = 0.55 + 0.45 * max(-0.4, up) * (0.5 + 0.5 * b)
                r, g, bl = r * tone, g * tone, bl * tone
            elif kind in (POST, DELINEATOR):
                sun, sky = 0.55 + 0.4 * a, 0.8
                if kind == DELINEATOR and 0.66 < b < 0.86:
                    r, g, bl = (0.9, 0.45, 0.08) if (0.70 < b < 0.80 and 0.3 < a < 0.7) else (0.03, 0.03, 0.03)
            else:
                covered, fr, fg, fb = wall_tone(kind, noise, variant, a, b, wide, high, prop[14])
                if not covered:
                    continue
                sun, sky = facing, 0.70 + 0.25 * b + 0.35 * min(0.0, ny)
                r, g, bl = r * fr, g * fg, bl * fb
            veil = 1.0 - math.exp(-t * look.haze_density)
            r = r * (look.sun[0] * sun + look.ambient[0] * sky)
            g = g * (look.sun[1] * sun + look.ambient[1] * sky)
            bl = bl * (look.sun[2] * sun + look.ambient[2] * sky)
            image[y, x, 0] = r + (look.haze[0] - r) * veil
            image[y, x, 1] = g + (look.haze[1] - g) * veil
            image[y, x, 2] = bl + (look.haze[2] - bl) * veil
            label[y, x] = 2
            depth[y, x] = t


@njit(cache=True)
def paint_props(image, label, depth, look, noise, grain, crown, shade, props, eye, rot, focal, cx, cy):  # type: ignore[no-untyped-def]
    """Paint every prop within sight."""
    for row in range(props.shape[0]):
        dx, dz = props[row, 1] - eye[0], props[row, 3] - eye[2]
        if dx * dx + dz * dz < 420.0**2:
            paint_prop(image, label, depth, look, noise, grain, crown, shade, props[row], row, eye, rot, focal, cx, cy)


@njit(cache=True)
def cast_shadows(shade, path_props, sun_x, sun_z):  # type: ignore[no-untyped-def]
    """Darken the shadow map under round things.

    Args:
        shade: float32 (n, m), half-metre cells of (s, d + 30); raised in place towards 1.
        path_props: float64 (k, 5): s, d, radius, height of the crown's middle, softness of one thing each.
        sun_x, sun_z: ground offset (along d, along s) of a shadow per metre of height.
    """
    for k in range(path_props.shape[0]):
        s = path_props[k, 0] + sun_z * path_props[k, 3]
        d = path_props[k, 1] + sun_x * path_props[k, 3]
        r = path_props[k, 2]
        stretch = 1.0 + 0.5 * math.hypot(sun_x, sun_z)
        for i in range(max(0, int((s - 2.5 * r) * 2)), min(shade.shape[0], int((s + 2.5 * r) * 2) + 2)):
            for j in range(max(0, int((d + 30 - 2.5 * r) * 2)), min(shade.shape[1], int((d + 30 + 2.5 * r) * 2) + 2)):
                ds, dd = i * 0.5 - s, j * 0.5 - 30.0 - d
                q = math.sqrt(ds * ds + dd * dd) / (r * stretch)
                q += 0.45 * (chance(i // 2 + 3 * k, j // 2) - 0.5)
                dark = 1.0 - ramp(1.0 - path_props[k, 4], 1.0, q)
                shade[i, j] = max(shade[i, j], dark)
