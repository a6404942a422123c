"""Pairs of frames from drives drawn at random, with class maps and ego motion: what the two networks learn from.

Each drive has its own seed, look, road, roadside, traffic and camera; a few pairs are taken from it. Frames are
painted at the model grid with several samples per pixel, which is what the evaluator's resize makes of a camera frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.drive import look as looks
from lab.drive.film import expose
from lab.drive.look import Look
from lab.drive.motion import Drive, camera, draw_drive, pose_change
from lab.drive.noise import FloatArray
from lab.drive.painter import paint_frame
from lab.drive.road import lay_path
from lab.drive.scene import CAR_PAINTS, Scene, Vehicle, lane_lines, roadside, textures

Monitor = Callable[[str, int, int], None]
FPS = 20
PAIRS_PER_DRIVE = 3
SHARD_DRIVES = 50
ROAD_M = 620.0
SPAN_S = 4.5
"""Pairs of a drive are taken from its first seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Painted pairs: frames uint8 (n, 2, h, w, 3) RGB; classes uint8 (n, 2, h, w); poses float32 (n, 6)."""

    frames: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    poses: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.frames)


def draw_traffic(
    rng: np.random.Generator, look: Look, two_way: bool, s_ego: float, v_ego: float, lamps: float
) -> tuple[Vehicle, ...]:
    """Cars around the camera at time 0; the own lane stays clear for a few metres ahead."""
    vehicles = []
    lanes = max(1, round((look.road_right - look.lane_left) / look.lane_width - 0.45))
    for lane in range(lanes):
        d = look.lane_left + (lane + 0.5) * look.lane_width
        oncoming = two_way and d < -0.6 * look.lane_width
        s = s_ego + float(rng.uniform(8.0, 45.0)) if abs(d) < 1.0 else s_ego - float(rng.uniform(-6, 12))
        while s < s_ego + 190.0:
            shape = int(rng.choice(3, p=[0.5, 0.33, 0.17]))
            length, width, height = (
                (float(rng.uniform(4.1, 4.9)), 1.82, float(rng.uniform(1.38, 1.52))),
                (float(rng.uniform(4.2, 5.2)), 1.90, float(rng.uniform(1.60, 2.0))),
                (float(rng.uniform(7.0, 13.0)), 2.45, float(rng.uniform(3.1, 3.9))),
            )[shape]
            paint = CAR_PAINTS[int(rng.integers(len(CAR_PAINTS)))]
            gain = float(np.exp(rng.normal() * 0.25))
            brakes, changes = rng.random() < 0.25, rng.random() < 0.12 and not oncoming and abs(d) > 1.0
            vehicles.append(
                Vehicle(
                    start_m=s + length / 2, speed_m_s=max(1.0, v_ego + float(rng.normal()) * 2.5),
                    lane_m=d + float(rng.normal()) * 0.2, oncoming=oncoming, size=(length, width, height),
                    shape=shape, paint=(paint[0] * gain, paint[1] * gain, paint[2] * gain),
                    brake_s=-0.6 if brakes else 99.0, brake_m_s=2.0 if brakes else 0.0,
                    change_s=float(rng.uniform(-2.5, 0.0)) if changes else 99.0,
                    change_m=(-1.0 if d > 0 else 1.0) * look.lane_width if changes else 0.0, lamps=lamps,
                )
            )  # fmt: skip
            s += length + float(rng.uniform(5.0, 20.0) + rng.exponential(38.0))
    return tuple(vehicles)


def keep_clear(traffic: tuple[Vehicle, ...], drive: Drive) -> tuple[Vehicle, ...]:
    """The cars that never come within five metres of the camera's nose in its own track."""

    def clear(vehicle: Vehicle) -> bool:
        for t in np.arange(0.0, SPAN_S + 0.5, 0.25):
            s, d = vehicle.at(float(t))
            gap = abs(s - drive.along(float(t))) - vehicle.size[0] / 2
            if gap < 5.0 and abs(d - drive.across(float(t))) < 2.4:
                return False
        return True

    return tuple(vehicle for vehicle in traffic if clear(vehicle))


def draw_scene(rng: np.random.Generator, lens_spread: float = 1.0) -> Scene:
    """One random drive, ready to be painted near time 0.

    Args:
        lens_spread: how far focal length and mounting height may lie from the clip's, as a share of their full range.
            One camera cannot tell a longer lens or a lower mount from a higher speed, so motion is learnt with less.
    """
    look, lens = looks.draw(rng)
    _, own = looks.feature()
    lens = lens._replace(
        focal=lens.focal if lens_spread == 1.0 else own.focal + (lens.focal - own.focal) * lens_spread,
        height_m=lens.height_m if lens_spread == 1.0 else own.height_m + (lens.height_m - own.height_m) * lens_spread,
    )
    path = lay_path(rng, ROAD_M, float(np.exp(rng.uniform(np.log(0.0004), np.log(0.007)))))
    two_way = bool(rng.random() < 0.4)
    bridge = float(rng.uniform(60.0, 300.0)) if rng.random() < 0.15 else None
    lush = float(np.exp(rng.uniform(np.log(0.35), np.log(2.6))))
    props, shade = roadside(rng, look, path, lush=lush, bridge_m=bridge)
    speed = float(rng.uniform(2.0, 34.0))
    start = float(rng.uniform(40.0, 180.0))
    change = float(rng.choice([0.0, -1.0, 1.0], p=[0.6, 0.2, 0.2])) * look.lane_width
    rough = float(np.exp(rng.uniform(np.log(0.4), np.log(2.2))))
    drive = draw_drive(rng, start_m=start, speed_m_s=speed, rough=rough, change_m=change)
    lamps = float(rng.random() < 0.2) if look.light > 0.4 else 1.0
    noise, grain, crown = textures(rng)
    traffic = draw_traffic(rng, look, two_way, start, speed, lamps)
    return Scene(
        look=look, lens=lens, drive=drive, path=path, lines=lane_lines(rng, look, two_way), props=props, crown=crown,
        shade=shade, noise=noise, grain=grain, traffic=keep_clear(traffic, drive),
    )  # fmt: skip


def paint_pair(
    scene: Scene, rng: np.random.Generator, t: float, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], FloatArray]:
    """Frames uint8 (2, h, w, 3), classes uint8 (2, h, w) and pose change (6,) of the pair that starts at t."""
    shutter = float(rng.uniform(0.0, 0.016))
    vignette = float(rng.uniform(0.0, 0.45))
    frames, classes = [], []
    for instant in (t, t + 1.0 / FPS):
        linear, label = paint_frame(scene, scene.look, instant, size, samples=2, shutter_s=shutter)
        frames.append(np.rint(expose(linear, scene.lens, vignette) * 255.0).astype(np.uint8))
        classes.append(label)
    poses = [camera(scene.drive, scene.lens, scene.path, instant) for instant in (t, t + 1.0 / FPS)]
    return np.stack(frames), np.stack(classes), pose_change(poses[0], poses[1], 1.0 / FPS)


def paint_pairs(
    seeds: range, size: tuple[int, int], monitor: Monitor = lambda *_: None, lens_spread: float = 1.0
) -> Pairs:
    """Pairs of the drives with these seeds, `PAIRS_PER_DRIVE` of each."""
    frames, classes, poses = [], [], []
    for done, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        scene = draw_scene(rng, lens_spread)
        for t in rng.uniform(0.0, SPAN_S, PAIRS_PER_DRIVE):
            frame, label, pose = paint_pair(scene, rng, float(t), size)
            frames.append(frame)
            classes.append(label)
            poses.append(pose)
        monitor("drives", done + 1, len(seeds))
    return Pairs(frames=np.stack(frames), classes=np.stack(classes), poses=np.array(poses, np.float32))


def paint_shard(
    cache: Path, first_seed: int, size: tuple[int, int], drives: int = SHARD_DRIVES, lens_spread: float = 1.0
) -> Path:
    """One file of painted drives in the cache, painted only if it is not there."""
    path = cache / f"drives-{size[0]}x{size[1]}-{first_seed:08d}{'' if drives == SHARD_DRIVES else f'-{drives}'}.npz"
    if not path.is_file():
        pairs = paint_pairs(range(first_seed, first_seed + drives), size, lens_spread=lens_spread)
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.npz")
        np.savez(partial, frames=pairs.frames, classes=pairs.classes, poses=pairs.poses)
        partial.rename(path)
    return path


def load_shards(paths: list[Path]) -> Pairs:
    """All pairs of painted shards, in order."""
    parts = []
    for path in paths:
        with np.load(path) as data:
            parts.append((data["frames"], data["classes"], data["poses"]))
    frames, classes, poses = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Pairs(frames=frames, classes=classes, poses=poses)
