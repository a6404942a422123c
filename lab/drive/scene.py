"""What stands beside the road and who drives on it: props and traffic as plain rows for the painters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.drive import cars as car_rows
from lab.drive import props as prop_rows
from lab.drive.look import RGB, Lens, Look
from lab.drive.motion import Drive
from lab.drive.noise import FloatArray, grain_texture, smooth_texture
from lab.drive.road import STEP_M, place

CAR_PAINTS: tuple[RGB, ...] = (
    (0.62, 0.62, 0.60), (0.30, 0.31, 0.33), (0.015, 0.015, 0.018), (0.35, 0.018, 0.015), (0.02, 0.06, 0.22),
    (0.10, 0.11, 0.12), (0.05, 0.11, 0.06), (0.42, 0.30, 0.14), (0.45, 0.10, 0.02), (0.07, 0.16, 0.22),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """One other car and its plan: cruise, brake for a while, change lane once."""

    start_m: float
    speed_m_s: float
    lane_m: float
    oncoming: bool
    size: RGB
    shape: int
    paint: RGB
    brake_s: float
    brake_m_s: float
    change_s: float
    change_m: float
    lamps: float

    def at(self, t: float) -> tuple[float, float]:
        """Road coordinates (s, d) at a time."""
        slow = min(max(t - self.brake_s, 0.0), 2.2)
        s = self.start_m + (-1 if self.oncoming else 1) * self.speed_m_s * t
        s -= self.brake_m_s * (0.5 * slow * slow / 2.2 + max(t - self.brake_s - 2.2, 0.0))
        part = min(1.0, max(0.0, (t - self.change_s) / 3.2))
        return s, self.lane_m + self.change_m * part * part * (3 - 2 * part)

    def row(self, path: FloatArray, t: float) -> list[float]:
        """The painter's row of this car at a time."""
        s, d = self.at(t)
        part = min(1.0, max(0.0, (t - self.change_s) / 3.2))
        x, z, sine, cosine = place(path, s, d)
        if self.oncoming:
            sine, cosine = -sine, -cosine
        elif 0.0 < part < 1.0:  # the nose turns a little into the other lane
            slip = self.change_m * 6 * part * (1 - part) / 3.2 / self.speed_m_s
            sine, cosine = sine + cosine * slip, cosine - sine * slip
            norm = math.hypot(sine, cosine)
            sine, cosine = sine / norm, cosine / norm
        length, width, height = self.size
        braking = 1.0 if self.brake_s < t < self.brake_s + 2.2 and self.brake_m_s > 0 else 0.0
        signalling = self.change_s - 1.6 < t < self.change_s + 2.6 and self.change_m != 0
        blink = math.copysign(1.0, self.change_m) if signalling and (t * 1.5) % 1.0 < 0.55 else 0.0
        return [x, z, sine, cosine, length, width, height, float(self.shape), *self.paint, braking, blink, self.lamps]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One drive, ready to be painted at any time."""

    look: Look
    lens: Lens
    drive: Drive
    path: FloatArray
    lines: FloatArray
    props: FloatArray
    crown: FloatArray
    shade: NDArray[np.float32]
    noise: NDArray[np.float32]
    grain: NDArray[np.float32]
    traffic: tuple[Vehicle, ...]

    def cars(self, t: float) -> FloatArray:
        """Rows of all cars at a time, float64 (n, 14)."""
        rows = [vehicle.row(self.path, t) for vehicle in self.traffic]
        return np.array(rows, dtype=np.float64).reshape(-1, car_rows.N_COLUMNS)


def lane_lines(rng: np.random.Generator, look: Look, two_way: bool) -> FloatArray:
    """Lane lines: float64 (n, 5), each lateral position, half width, dashed, yellow, dash offset."""
    lanes = round((look.road_right - look.lane_left) / look.lane_width - 0.45)
    lanes = max(lanes, 1)
    half = float(rng.uniform(0.085, 0.14))
    rows = [[look.lane_left, half, 0.0, float(rng.random() < 0.3), 0.0]]
    middle = -look.lane_width * 0.5
    for k in range(1, lanes):
        d = look.lane_left + k * look.lane_width
        if two_way and abs(d - middle) < 0.1:
            yellow = float(rng.random() < 0.6)
            rows += [[d - 0.18, half * 0.8, 0.0, yellow, 0.0], [d + 0.18, half * 0.8, 0.0, yellow, 0.0]]
        else:
            rows.append([d, half, 1.0, 0.0, float(rng.uniform(0, 12))])
    rows.append([look.lane_left + lanes * look.lane_width, half, 0.0, 0.0, 0.0])
    return np.array(rows)


class _Builder:
    """Collects props and their shadows while a roadside is laid out."""

    def __init__(self, path: FloatArray) -> None:
        self.path = path
        self.rows: list[list[float]] = []
        self.shadows: list[list[float]] = []

    def facing(self, kind: int, s: float, d: float, width: float, height: float, paint: RGB, variant: int = 0) -> None:
        x, z, _, _ = place(self.path, s, d)
        self.rows.append([kind, x, 0.0, z, width, 0, 0, 0, height, 0, variant, *paint, 0])

    def between(
        self, kind: int, a: tuple[float, float], b: tuple[float, float], foot: float, height: float, paint: RGB,
        variant: int = 0, extra: float = 0.0, slope: tuple[float, float] = (0.0, 0.0),
    ) -> None:  # fmt: skip
        """A piece from road point a to b, rising from `foot` by `height`; `slope` leans v by world (x, z)."""
        ax, az, _, _ = place(self.path, *a)
        bx, bz, _, _ = place(self.path, *b)
        self.rows.append(
            [kind, ax, foot, az, bx - ax, 0.0, bz - az, slope[0], height, slope[1], variant, *paint, extra]
        )

    def shadow(self, s: float, d: float, radius: float, height: float, softness: float = 0.5) -> None:
        self.shadows.append([s, d, radius, height, softness])


def _stretches(rng: np.random.Generator, length: float, gap: float, run: float) -> Iterator[tuple[float, float]]:
    s = float(rng.exponential(gap))
    while s < length:
        end = s + float(rng.uniform(0.5, 1.5)) * run
        yield s, min(end, length)
        s = end + float(rng.exponential(gap))


def _plant(b: _Builder, rng: np.random.Generator, look: Look, length: float, side: int, lush: float) -> None:
    edge = look.road_right if side > 0 else look.road_left
    conifers = rng.random() * 0.8
    leaf = tuple(float(c) for c in np.array([0.055, 0.085, 0.022]) * np.exp(rng.normal(0, 0.25, 3)))
    for start, end in _stretches(rng, length, 40.0 / lush, 70.0):
        s = start
        while s < end:
            d = edge + side * float(rng.uniform(4.5, 10.0) + rng.exponential(9.0))
            tint = np.array(leaf) * np.exp(rng.normal(0, 0.22)) * np.exp(rng.normal(0, 0.10, 3))
            paint = (float(tint[0]), float(tint[1]), float(tint[2]))
            pick = rng.random()
            if pick < 0.22:
                size = float(rng.uniform(1.2, 3.2))
                b.facing(prop_rows.TREE, s, d, size * 1.7, size, paint, 16 + int(rng.integers(8)))
                b.shadow(s, d, size * 0.6, size * 0.4)
            elif rng.random() < conifers:
                size = float(rng.uniform(6.0, 15.0))
                dark = (paint[0] * 0.6, paint[1] * 0.75, paint[2] * 0.9)
                b.facing(prop_rows.CONIFER, s, d, size * 0.46, size, dark)
                b.shadow(s, d, size * 0.17, size * 0.42)
            else:
                size = float(rng.uniform(5.0, 12.0))
                b.facing(prop_rows.TREE, s, d, size * 0.95, size, paint, int(rng.integers(16)))
                b.shadow(s, d, size * 0.36, size * 0.62)
            s += float(rng.exponential(7.5 / lush)) + 1.5


def _furnish(b: _Builder, rng: np.random.Generator, look: Look, length: float, side: int, rails: float) -> None:
    edge = (look.road_right if side > 0 else look.road_left) + side * 0.7
    for s in np.arange(float(rng.uniform(0, 25)), length, float(rng.choice([25.0, 33.0, 50.0]))):
        b.facing(prop_rows.DELINEATOR, float(s), edge, 0.13, 1.05, (0.75, 0.75, 0.73))
    if rng.random() < rails:
        for start, end in _stretches(rng, length, 60.0, 130.0):
            s = start
            while s < end:
                points = (s, edge + side * 0.5), (s + 4.0, edge + side * 0.5)
                b.between(prop_rows.RAIL, *points, 0.0, 0.80, (0.42, 0.43, 0.45))
                b.shadow(s + 1, edge + side * 0.5, 0.45, 0.6, 0.6)
                b.shadow(s + 3, edge + side * 0.5, 0.45, 0.6, 0.6)
                s += 4.0
    if rng.random() < 0.45:
        for start, end in _stretches(rng, length, 120.0, 120.0):
            for s in np.arange(start, end, 8.0):
                b.between(prop_rows.FENCE, (s, edge + side * 4), (s + 8, edge + side * 4), 0, 1.15, (0.16, 0.12, 0.08))
    spacing = float(rng.uniform(32, 60))
    kind = rng.random()
    for s in np.arange(float(rng.uniform(0, spacing)), length, spacing) if kind < 0.6 else ():
        s = float(s)
        if kind < 0.3:  # street lamps, the arm over the road
            b.facing(prop_rows.POST, s, edge + side * 0.9, 0.20, 8.2, (0.20, 0.21, 0.22))
            b.between(prop_rows.CONCRETE, (s, edge + side), (s, edge - side * 1.4), 8.05, 0.13, (0.2, 0.2, 0.22))
            b.shadow(s, edge + side * 0.9, 0.25, 4.0, 0.8)
        else:  # wooden poles
            b.facing(prop_rows.POST, s, edge + side * 6, 0.28, 8.8, (0.10, 0.075, 0.055))
            b.between(prop_rows.CONCRETE, (s, edge + side * 5), (s, edge + side * 7), 7.9, 0.16, (0.1, 0.07, 0.05))


def _signs(b: _Builder, rng: np.random.Generator, look: Look, length: float, every: float) -> None:
    s = float(rng.uniform(20, every))
    while s < length:
        d = look.road_right + 1.9
        if rng.random() < 0.5:
            b.facing(prop_rows.POST, s, d, 0.09, 2.2, (0.4, 0.4, 0.42))
            b.between(prop_rows.DISC, (s - 0.05, d - 0.4), (s - 0.05, d + 0.4), 1.9, 0.8, (0.8, 0.8, 0.8))
        else:
            wide, high = float(rng.uniform(2.2, 4.2)), float(rng.uniform(1.4, 2.5))
            paint = ((0.015, 0.10, 0.05), (0.012, 0.05, 0.20), (0.012, 0.05, 0.20))[int(rng.integers(3))]
            for foot in (0.15, 0.85):
                b.facing(prop_rows.POST, s, d + wide * foot, 0.13, 2.0 + high, (0.38, 0.38, 0.40))
            b.between(prop_rows.BOARD, (s - 0.1, d), (s - 0.1, d + wide), 2.0, high, paint, int(rng.integers(1, 99)))
            b.shadow(s, d + wide / 2, wide / 2, 2.6, 0.4)
        s += float(rng.uniform(0.5, 1.5)) * every


def _house(b: _Builder, rng: np.random.Generator, s: float, d: float) -> None:
    wide, deep, high = float(rng.uniform(7, 13)), float(rng.uniform(6, 9)), float(rng.uniform(2.9, 5.6))
    walls = ((0.55, 0.50, 0.42), (0.62, 0.60, 0.56), (0.42, 0.22, 0.15), (0.30, 0.34, 0.38))
    paint = walls[int(rng.integers(4))]
    tiles = ((0.22, 0.07, 0.04), (0.09, 0.09, 0.10), (0.16, 0.10, 0.07))[int(rng.integers(3))]
    rise = deep * float(rng.uniform(0.30, 0.5))
    corners = [(s, d - deep / 2), (s, d + deep / 2), (s + wide, d + deep / 2), (s + wide, d - deep / 2)]
    seed, glow = int(rng.integers(1, 999)), float(rng.random() < 0.3)
    for k in range(4):
        b.between(prop_rows.WALL, corners[k], corners[(k + 1) % 4], 0.0, high, paint, seed, glow)
    for k in (0, 2):
        b.between(prop_rows.GABLE, corners[k], corners[(k + 1) % 4], high, rise, paint)
    for k in (3, 1):  # eaves of the near and the far slope; v leans to the ridge
        x, z, _, _ = place(b.path, *corners[k])
        ridge_x, ridge_z, _, _ = place(b.path, corners[k][0], d)
        a, c = corners[k], corners[(k + 1) % 4]
        b.between(prop_rows.ROOF, a, c, high, rise, tiles, slope=(ridge_x - x, ridge_z - z))
    b.shadow(s + wide / 2, d, deep * 0.62, high * 0.5, 0.3)


def _bridge(b: _Builder, look: Look, s: float) -> None:
    left, right, grey = look.road_left - 26.0, look.road_right + 26.0, (0.34, 0.33, 0.31)
    b.between(prop_rows.CONCRETE, (s, left), (s, right), 5.4, 1.5, grey, 3)
    b.between(prop_rows.RAIL, (s, left), (s, right), 6.9, 0.9, (0.30, 0.31, 0.33))
    x0, z0, _, _ = place(b.path, s, left)
    x1, z1, _, _ = place(b.path, s + 9.0, left)
    b.between(prop_rows.CONCRETE, (s, left), (s, right), 5.4, 0.0, (0.13, 0.13, 0.125), 9, slope=(x1 - x0, z1 - z0))
    for d in (look.road_left - 2.6, look.road_right + 2.0):
        for along in (1.0, 7.0):
            b.between(prop_rows.CONCRETE, (s + along, d), (s + along, d + 1.1), 0.0, 5.4, grey, 5)
            b.between(prop_rows.CONCRETE, (s + along, d + 1.1), (s + along + 1.1, d + 1.1), 0.0, 5.4, grey, 5)
            b.between(prop_rows.CONCRETE, (s + along, d), (s + along + 1.1, d), 0.0, 5.4, grey, 5)
    for d in np.arange(left, right, 3.0):  # one band of shade, made of overlapping rounds
        b.shadow(s + 2.5, float(d), 5.0, 5.2, 0.15)
        b.shadow(s + 6.5, float(d), 5.0, 5.2, 0.15)


def roadside(
    rng: np.random.Generator, look: Look, path: FloatArray, *, lush: float, bridge_m: float | None
) -> tuple[FloatArray, NDArray[np.float32]]:
    """Props (float64 (n, 15)) and shadow map (float32, half-metre cells of s and d + 30) of one road."""
    length = (path.shape[0] - 2) * STEP_M
    b = _Builder(path)
    for side in (-1, 1):
        _furnish(b, rng, look, length, side, 0.6)
        _plant(b, rng, look, length, side, lush)
    _signs(b, rng, look, length, 95.0)
    s = float(rng.uniform(20, 120))
    while s < length:
        side = 1 if rng.random() < 0.5 else -1
        edge = look.road_right if side > 0 else look.road_left
        _house(b, rng, s, edge + side * float(rng.uniform(12, 32)))
        s += float(rng.uniform(40, 190))
    if bridge_m is not None:
        _bridge(b, look, bridge_m)
    shade = np.zeros((int(length * 2), 121), np.float32)
    flat = max(look.sun_dir[1], 0.16)
    _, _, sine, cosine = place(path, length / 2, 0.0)
    toward_d = look.sun_dir[0] * cosine - look.sun_dir[2] * sine
    toward_s = look.sun_dir[0] * sine + look.sun_dir[2] * cosine
    shadows = np.array(b.shadows, np.float64).reshape(-1, 5)
    prop_rows.cast_shadows(shade, shadows, -toward_d / flat, -toward_s / flat)
    return np.array(b.rows, np.float64).reshape(-1, prop_rows.N_COLUMNS), shade


def textures(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32], FloatArray]:
    """Smooth noise, grain and tree crowns of one drive."""
    return smooth_texture(rng), grain_texture(rng), prop_rows.crown_table(rng)
