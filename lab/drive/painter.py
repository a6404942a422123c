"""One frame: props and cars against a depth map, ground and sky by ray where none stands, then the bonnet.

A frame is the mean of sub-frames, spread over the time that the shutter is open.

Numba keeps compiled kernels beside the source and looks only at the outermost kernel's file: after editing a kernel
that others call, delete the `*.nbi` and `*.nbc` files of `__pycache__`, or the old one is still painted.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lab.drive.bonnet import bonnet_edge, paint_bonnet
from lab.drive.cars import clear_way, paint_car, under_car
from lab.drive.ground import ground_colour, sun_share
from lab.drive.look import Look
from lab.drive.motion import Nudge, camera, nudged
from lab.drive.noise import FloatArray
from lab.drive.props import paint_props
from lab.drive.road import locate
from lab.drive.scene import Scene
from lab.drive.sky import far_colour

N_CLASSES = 5
FAR_M = 700.0
FAR_AWAY_M = 1e8
"""Deeper than anything that stands on the ground."""
ROWS_AT_ONCE = 4
LINE_VOTE = 1.35
"""Weight of a lane line's samples in a pixel's vote: thin things would lose every vote near the horizon."""


@njit(cache=True)
def find_road(reach, road, top, bottom, last, path, columns, s_eye, eye, rot, focal, cy):  # type: ignore[no-untyped-def]
    """Distance along each ray of a few rows to the ground, and road coordinates there, down to where the bonnet begins.

    Args:
        reach: float64 (rows, w), metres; 1e9 where a ray never comes down. road: float64 (rows, w, 2), s and d.

    Notes:
        Along a row each search begins at its neighbour's answer, so one row after the other would mostly wait.
    """
    guess = np.full(bottom - top, s_eye)
    for x in range(columns.shape[0]):
        for y in range(top, bottom):
            if y + 0.5 >= last[x]:
                break
            kx, ky = columns[x], (y + 0.5 - cy) / focal
            dx = rot[0, 0] * kx + rot[0, 1] * ky + rot[0, 2]
            dy = rot[1, 0] * kx + rot[1, 1] * ky + rot[1, 2]
            dz = rot[2, 0] * kx + rot[2, 1] * ky + rot[2, 2]
            t = -eye[1] / dy if dy < -1e-6 else 1e9
            reach[y - top, x] = t
            if t < FAR_M:
                if x == 0:
                    guess[y - top] = s_eye + t
                s, d = locate(path, eye[0] + t * dx, eye[2] + t * dz, guess[y - top])
                guess[y - top] = s
                road[y - top, x, 0], road[y - top, x, 1] = s, d


@njit(cache=True)
def paint_world(  # type: ignore[no-untyped-def]
    image, label, depth, edges, look, path, lines, noise, grain, shade, cars, s_eye, eye, rot, focal, cx, cy, time
):
    """Ground, sky and hills into linear RGB and class, where nothing nearer stands in the depth map.

    Args:
        edges: float64 (w,), rows of the bonnet's far edge, in pixels.
    """
    height, width = depth.shape
    last = np.empty(width)  # how far down a pixel at this column, or right of it, stays in sight
    for x in range(width - 1, -1, -1):
        last[x] = edges[x] if x == width - 1 else max(edges[x], last[x + 1])
    flat = max(look.sun_dir[1], 0.16)
    sun_x, sun_z = -look.sun_dir[0] / flat, -look.sun_dir[2] / flat
    columns = (np.arange(width) + 0.5 - cx) / focal
    reach, road = np.empty((ROWS_AT_ONCE, width)), np.empty((ROWS_AT_ONCE, width, 2))
    for y in range(height):
        if y % ROWS_AT_ONCE == 0:
            find_road(reach, road, y, min(y + ROWS_AT_ONCE, height), last, path, columns, s_eye, eye, rot, focal, cy)
        row = y % ROWS_AT_ONCE
        seen_x, seen_z, way = 0.0, 0.0, -1.0  # how far from a point of this row no car darkens the ground
        for x in range(width):
            if y + 0.5 >= last[x]:
                break
            t = reach[row, x]
            if depth[y, x] < t and (t < FAR_M or depth[y, x] <= FAR_AWAY_M):
                continue
            kx, ky = columns[x], (y + 0.5 - cy) / focal
            dx = rot[0, 0] * kx + rot[0, 1] * ky + rot[0, 2]
            dy = rot[1, 0] * kx + rot[1, 1] * ky + rot[1, 2]
            dz = rot[2, 0] * kx + rot[2, 1] * ky + rot[2, 2]
            if t < FAR_M:
                gx, gz = eye[0] + t * dx, eye[2] + t * dz
                s, d = road[row, x]
                r, g, b, kind = ground_colour(look, lines, noise, grain, shade, s, d, gx, gz, t)
                if t < 160.0 and abs(gx - seen_x) + abs(gz - seen_z) >= way:
                    seen_x, seen_z, way = gx, gz, clear_way(cars, gx, gz)
                    if way < 0.0:
                        dark = under_car(cars, gx, gz, sun_x, sun_z)
                        r, g, b = r * dark, g * dark, b * dark
                veil = 1.0 - math.exp(-t * look.haze_density)
                image[y, x, 0] = r + (look.haze[0] - r) * veil
                image[y, x, 1] = g + (look.haze[1] - g) * veil
                image[y, x, 2] = b + (look.haze[2] - b) * veil
                label[y, x] = kind
            elif depth[y, x] > FAR_AWAY_M:
                size = math.sqrt(dx * dx + dy * dy + dz * dz)
                r, g, b = far_colour(look, noise, grain, dx / size, max(dy / size, 0.0), dz / size, time)
                image[y, x, 0], image[y, x, 1], image[y, x, 2] = r, g, b
                label[y, x] = 2


@njit(cache=True)
def open_view(look, depth, edges):  # type: ignore[no-untyped-def]
    """A depth map with nothing in sight yet: 0 behind the bonnet's far edge, which goes into `edges` by column."""
    height, width = depth.shape
    for x in range(width):
        edges[x] = bonnet_edge(look, 2.0 * (x + 0.5) / width - 1.0) * height if look.bonnet > 0.0 else height + 1.0
    for y in range(height):
        for x in range(width):
            depth[y, x] = 0.0 if y + 0.5 >= edges[x] else 1e9


def paint_instant(
    scene: Scene,
    look: Look,
    t: float,
    size: tuple[int, int],
    jitter: tuple[float, float] = (0.0, 0.0),
    nudge: Nudge | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """One instant with one sample per pixel.

    Args:
        jitter: (right, down) offset of the sample from the pixel's middle, pixels.
        nudge: a small extra motion of the camera, in its own axes.

    Returns:
        linear RGB float32 (H, W, 3) and class uint8 (H, W).
    """
    height, width = size
    eye, rot = camera(scene.drive, scene.lens, scene.path, t)
    if nudge is not None:
        eye, rot = nudged((eye, rot), nudge)
    focal = scene.lens.focal * width
    cx, cy = width * 0.5 - jitter[0], height * 0.44 - jitter[1]
    image = np.empty((height, width, 3), np.float32)
    label = np.empty((height, width), np.uint8)
    depth = np.empty((height, width), np.float64)
    cars = scene.cars(t)
    s_eye, d_eye = scene.drive.along(t), scene.drive.across(t)
    edges = np.empty(width, np.float64)
    open_view(look, depth, edges)
    paint_props(
        image, label, depth, look, scene.noise, scene.grain, scene.crown, scene.shade, scene.props,
        eye, rot, focal, cx, cy,
    )  # fmt: skip
    for row in cars:
        if math.hypot(row[0] - eye[0], row[1] - eye[2]) < 260.0:
            s, d = locate(scene.path, row[0], row[1], s_eye)
            lit = sun_share(look, scene.shade, s, d)
            paint_car(image, label, depth, look, scene.noise, row, lit, eye, rot, focal, cx, cy, t)
    paint_world(
        image, label, depth, edges, look, scene.path, scene.lines, scene.noise, scene.grain, scene.shade, cars,
        s_eye, eye, rot, focal, cx, cy, t,
    )  # fmt: skip
    lit = sun_share(look, scene.shade, s_eye + 1.2, d_eye)
    paint_bonnet(image, label, look, scene.noise, scene.grain, rot, lit, s_eye, t)
    return image, label


@njit(cache=True)
def gather(image, label, total, votes):  # type: ignore[no-untyped-def]
    """Add a sub-frame's light to the sum (h, w, 3), and one vote of each pixel to its class (5, h, w)."""
    for y in range(label.shape[0]):
        for x in range(label.shape[1]):
            for channel in range(3):
                total[y, x, channel] += image[y, x, channel]
            votes[label[y, x], y, x] += 1.0


def paint_frame(
    scene: Scene,
    look: Look,
    t: float,
    size: tuple[int, int],
    *,
    samples: int = 2,
    shutter_s: float = 0.0,
    nudge: Nudge | None = None,
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """One frame: samples x samples sub-frames, spread over the pixel and over the time the shutter is open.

    Returns:
        linear RGB float64 (H, W, 3) and the class with most votes uint8 (H, W).
    """
    total = np.zeros((*size, 3))
    votes = np.zeros((N_CLASSES, *size), np.float32)
    count = samples * samples
    for k in range(count):
        across, down = (k % samples + 0.5) / samples - 0.5, (k // samples + 0.5) / samples - 0.5
        instant = t + shutter_s * (((k * 7) % count + 0.5) / count - 0.5)
        image, label = paint_instant(scene, look, instant, size, (across, down), nudge)
        gather(image, label, total, votes)
    votes[1] *= LINE_VOTE
    return total / count, votes.argmax(axis=0).astype(np.uint8)
