"""Painter of the ground: asphalt and its wear, lane lines, verges, fields, and the shadows that lie on them."""

from __future__ import annotations

import math

from numba import njit

from lab.drive.noise import chance, ramp, tap

ROAD, LINE, UNDRIVABLE, MOVABLE, OWN_CAR = 0, 1, 2, 3, 4


@njit(cache=True, forceinline=True)
def sun_share(look, shade, s, d):  # type: ignore[no-untyped-def]
    """Share of the sun that reaches a ground point, 0-1, from the drive's shadow map (half-metre cells)."""
    row = s * 2.0
    column = (d + 30.0) * 2.0
    k = int(row)
    j = int(column)
    if k < 0 or j < 0 or k >= shade.shape[0] - 1 or j >= shade.shape[1] - 1:
        return 1.0
    u = row - k
    v = column - j
    top = shade[k, j] * (1.0 - v) + shade[k, j + 1] * v
    bottom = shade[k + 1, j] * (1.0 - v) + shade[k + 1, j + 1] * v
    return 1.0 - look.shadow_depth * (top * (1.0 - u) + bottom * u)


@njit(cache=True, forceinline=True)
def line_at(look, lines, noise, s, d):  # type: ignore[no-untyped-def]
    """(index of the lane line at this point or -1, how much paint is left 0-1)."""
    for k in range(lines.shape[0]):
        if abs(d - lines[k, 0]) < lines[k, 1]:
            if lines[k, 2] > 0.5:
                cycle = (s + lines[k, 4]) / look.dash_period
                if (cycle - math.floor(cycle)) * look.dash_period > look.dash_length:
                    continue
            wear = tap(noise, s * 2.3, d * 5.0 + 17.0 * k)
            return k, 1.0 - look.wear * ramp(0.55, 0.95, wear)
    return -1, 0.0


@njit(cache=True, forceinline=True)
def asphalt(look, noise, grain, s, d, reach):  # type: ignore[no-untyped-def]
    """Reflectance factor of asphalt; detail fades where a pixel is larger than it."""
    tone = 1.0 + look.texture * 0.55 * (tap(noise, s * 0.22, d * 0.9) - 0.5)
    near = 1.0 - ramp(18.0, 70.0, reach)
    if near > 0.0:
        tone += near * look.texture * 0.26 * (tap(noise, s * 1.9, d * 2.6) - 0.5)
    fine = 1.0 - ramp(8.0, 30.0, reach)
    if fine > 0.0:
        tone += fine * look.texture * 0.80 * (tap(grain, s * 10.0, d * 14.0) - 0.5)
    lane = (d - look.lane_left) / look.lane_width
    track = abs(abs(lane - math.floor(lane) - 0.5) * look.lane_width - 0.8)
    if track < 0.5:
        tone -= look.tracks * (1.0 - ramp(0.1, 0.5, track)) * (0.6 + 0.8 * tap(noise, s * 0.05, d))
    cell = math.floor(s / 9.0)
    if chance(cell, look.seed) < look.patches:  # a rectangle of younger, darker asphalt
        left = look.road_left + (look.road_right - look.road_left) * chance(cell, look.seed + 7) * 0.8
        wide = 1.2 + 3.0 * chance(cell, look.seed + 3)
        along = s - 9.0 * cell
        if left < d < left + wide and along < 2.5 + 6.0 * chance(cell, look.seed + 5):
            tone *= 0.80 + 0.05 * chance(cell, look.seed + 9)
    joint = s / look.joint_period
    if (joint - math.floor(joint)) * look.joint_period < 0.10:
        tone *= 1.0 - 0.35 * near
    if near * look.cracks > 0.0:
        crack = abs(tap(noise, s * 0.35 + 3.0 * tap(noise, d * 0.7, s * 0.4), d * 0.35) - 0.5)
        if crack < 0.016:
            tone *= 1.0 - look.cracks * near * (1.0 - crack / 0.016)
    return max(0.2, tone)


@njit(cache=True, forceinline=True)
def ground_colour(look, lines, noise, grain, shade, s, d, x, z, reach):  # type: ignore[no-untyped-def]
    """(linear RGB, class) of a ground point at road coordinates (s, d), world (x, z), `reach` metres away."""
    edge = 0.0
    if abs(d - look.road_left) < 0.2 or abs(d - look.road_right) < 0.2:  # elsewhere a ragged edge decides nothing
        edge = 0.25 * (tap(noise, s * 0.9, 3.0) - 0.5)
    if look.road_left + edge < d < look.road_right + edge:
        tone = asphalt(look, noise, grain, s, d, reach)
        r = look.asphalt[0] * tone
        g = look.asphalt[1] * tone
        b = look.asphalt[2] * tone
        label = ROAD
        k, paint = line_at(look, lines, noise, s, d)
        if k >= 0:
            label = LINE
            white = 0.9 + 0.15 * (tap(noise, s * 1.3, d * 4.0) - 0.5)
            yellow = lines[k, 3]
            r += (look.paint[0] * white - r) * paint
            g += (look.paint[1] * (1.0 - 0.28 * yellow) * white - g) * paint
            b += (look.paint[2] * (1.0 - 0.80 * yellow) * white - b) * paint
    else:
        label = UNDRIVABLE
        beyond = max(look.road_left - d, d - look.road_right)
        mottle = tap(noise, x * 0.35, z * 0.35)
        broad = tap(noise, x * 0.035 + 9.0, z * 0.035)
        pick = ramp(0.25, 0.75, 0.55 * mottle + 0.45 * broad)
        r = look.grass[0] + (look.straw[0] - look.grass[0]) * pick
        g = look.grass[1] + (look.straw[1] - look.grass[1]) * pick
        b = look.grass[2] + (look.straw[2] - look.grass[2]) * pick
        if beyond > 16.0:  # fields in strips, furrows along the road
            strip = math.floor(x / 60.0) * 31 + math.floor(z / 140.0)
            kind = chance(strip, look.seed)
            far = ramp(16.0, 22.0, beyond)
            furrow = 1.0
            if reach < 110.0:
                furrow += 0.10 * math.sin(d * 2.4) * (1.0 - ramp(30.0, 110.0, reach))
            r += (look.crop[0] * (0.7 + 0.7 * kind) * furrow - r) * far * 0.8
            g += (look.crop[1] * (0.8 + 0.4 * kind) * furrow - g) * far * 0.8
            b += (look.crop[2] * (1.1 - 0.5 * kind) * furrow - b) * far * 0.8
        fade = 1.0 - ramp(15.0, 60.0, reach)
        blades = 1.0
        if fade > 0.0:
            blades += fade * 0.8 * (tap(grain, x * 5.0, z * 4.0) - 0.5)
        blades += 0.35 * (tap(noise, x * 1.6, z * 1.6) - 0.5)
        if beyond < 1.4:  # gravel shoulder
            gravel = (1.0 - ramp(0.5, 1.4, beyond)) * 0.75
            r += (look.gravel[0] - r) * gravel
            g += (look.gravel[1] - g) * gravel
            b += (look.gravel[2] - b) * gravel
        r *= blades
        g *= blades
        b *= blades
    lit = sun_share(look, shade, s, d) * look.sun_height
    return (
        r * (look.sun[0] * lit + look.ambient[0]),
        g * (look.sun[1] * lit + look.ambient[1]),
        b * (look.sun[2] * lit + look.ambient[2]),
        label,
    )
