"""Bursts of frames of one moment, each from a slightly moved camera: what the pose network learns motion from.

Any two frames of a burst are a pair of their own, and their true motion follows from the two cameras. The same place
is therefore seen at many speeds and turns, so that neither the look of a place nor the car's habits give motion away.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.drive.dataset import FPS, SHARD_DRIVES, SPAN_S, draw_scene
from lab.drive.film import expose
from lab.drive.motion import Nudge, camera, nudged, pose_change
from lab.drive.noise import FloatArray
from lab.drive.painter import paint_frame

FRAMES_PER_BURST = 4
BURSTS_PER_DRIVE = 2
LENS_SPREAD = 0.4
LONGEST_S = 0.25
FASTEST_M_S = (8.0, 38.0)
"""Range from which the apparent speed between a burst's first and last frame is drawn, as at 20 frames a second."""
NUDGE = np.array([0.0014, 0.0010, 0.0009, 0.012, 0.008])
"""Standard deviation of a nudge: three angles in radians, two shifts in metres. Two nudged frames differ about as much
as two frames of a drive do: with twice that, the network spent its capacity on jolts that no drive has."""
PAIRS = tuple(combinations(range(FRAMES_PER_BURST), 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """Frames uint8 (n, 4, h, w, 3) RGB, and the motion of each of the six pairs float32 (n, 6, 6)."""

    frames: NDArray[np.uint8]
    poses: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.frames)


def _times(rng: np.random.Generator, speed_m_s: float) -> FloatArray:
    """Times of a burst's frames after its first, increasing."""
    span = min(rng.uniform(*FASTEST_M_S) / (FPS * max(speed_m_s, 0.5)), LONGEST_S)
    return np.concatenate([[0.0], np.sort(rng.uniform(0.0, span, FRAMES_PER_BURST - 2)), [span]])


def paint_bursts(seeds: range, size: tuple[int, int]) -> Bursts:
    """Bursts of the drives with these seeds."""
    frames, poses = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        scene = draw_scene(rng, LENS_SPREAD)
        for start in rng.uniform(0.0, SPAN_S, BURSTS_PER_DRIVE):
            shutter, vignette = float(rng.uniform(0.0, 0.016)), float(rng.uniform(0.0, 0.45))
            burst, views = [], []
            for t in start + _times(rng, scene.drive.speed(float(start))):
                nudge = Nudge(*(rng.standard_normal(len(NUDGE)) * NUDGE).tolist())
                linear, _ = paint_frame(scene, scene.look, float(t), size, shutter_s=shutter, nudge=nudge)
                burst.append(np.rint(expose(linear, scene.lens, vignette) * 255.0).astype(np.uint8))
                views.append(nudged(camera(scene.drive, scene.lens, scene.path, float(t)), nudge))
            frames.append(np.stack(burst))
            poses.append([pose_change(views[a], views[b], 1.0 / FPS) for a, b in PAIRS])
    return Bursts(frames=np.stack(frames), poses=np.array(poses, np.float32))


def paint_shard(cache: Path, first_seed: int, size: tuple[int, int], drives: int = SHARD_DRIVES) -> Path:
    """One file of painted bursts in the cache, painted only if it is not there."""
    path = cache / f"bursts-{size[0]}x{size[1]}-{first_seed:08d}{'' if drives == SHARD_DRIVES else f'-{drives}'}.npz"
    if not path.is_file():
        bursts = paint_bursts(range(first_seed, first_seed + drives), size)
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.npz")
        np.savez(partial, frames=bursts.frames, poses=bursts.poses)
        partial.rename(path)
    return path


def load_shards(paths: list[Path]) -> Bursts:
    """All bursts of painted shards, in order."""
    parts = []
    for path in paths:
        with np.load(path) as data:
            parts.append((data["frames"], data["poses"]))
    frames, poses = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Bursts(frames=frames, poses=poses)
