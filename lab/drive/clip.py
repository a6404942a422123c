"""The contract's one clip: a chosen road, choreographed traffic and a falling afternoon, painted and encoded.

HEVC cannot carry an odd height in 4:2:0, so one row more than the contract's frame is encoded; readers leave it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

from lab.drive import look as looks
from lab.drive.film import expose, sense
from lab.drive.look import Look
from lab.drive.motion import camera, draw_drive, pose_change
from lab.drive.noise import FloatArray, ramp
from lab.drive.painter import paint_frame
from lab.drive.road import lay_path
from lab.drive.scene import CAR_PAINTS, Scene, Vehicle, lane_lines, roadside, textures
from lab.video.colour import rgb_to_yuv420

N_FRAMES = 300
FPS = 20
FRAME_SIZE = (437, 582)
MODEL_SIZE = (192, 256)
PAINTED_SIZE = (438, 582)
SAMPLES = 3
SHUTTER_S = 0.011
BEND = 0.0034
SATURATION = 1.22
GRAIN = 1.7
"""Sensor noise, grey levels at mid grey."""
ENCODER = {
    "preset": "medium",
    "x265-params": "crf=19.5:keyint=60:min-keyint=60:scenecut=0:pools=none:frame-threads=1:info=0:log-level=error",
}


def traffic() -> tuple[Vehicle, ...]:
    """Who drives where: brakes, an overtaken lorry, two lane changes."""

    def car(
        start_m: float, speed_m_s: float, lane: int, paint: int, shape: int = 0, *,
        brake: tuple[float, float] = (99.0, 0.0), change: tuple[float, int] = (99.0, 0),
    ) -> Vehicle:  # fmt: skip
        size = ((4.6, 1.84, 1.45), (4.7, 1.90, 1.70), (11.5, 2.50, 3.60))[shape]
        return Vehicle(
            start_m=start_m, speed_m_s=speed_m_s, lane_m=3.6 * lane, oncoming=False, size=size, shape=shape,
            paint=CAR_PAINTS[paint], brake_s=brake[0], brake_m_s=brake[1], change_s=change[0],
            change_m=3.6 * change[1], lamps=0.35,
        )  # fmt: skip

    return (
        car(68.0, 22.4, 0, 3, brake=(3.4, 3.4), change=(7.2, 1)),
        car(66.0, 17.4, 1, 0, 2),
        car(26.0, 25.4, -1, 0, 1, change=(9.6, 1), brake=(12.2, 2.0)),
        car(96.0, 23.6, -1, 4),
        car(168.0, 19.3, 1, 5, 1),
        car(128.0, 22.8, 0, 8),
        car(4.0, 26.0, -1, 6, brake=(13.4, 1.0)),
        car(262.0, 18.6, 1, 9, 2),
        car(300.0, 21.5, 0, 1, 1),
        car(330.0, 20.4, -1, 2),
    )


def compose(seed: int) -> Scene:
    """The clip's scene; the seed decides textures, roadside and the bob of the car."""
    rng = np.random.default_rng((seed, 1))
    look, lens = looks.feature()
    path = lay_path(rng, 1000.0, BEND)
    props, shade = roadside(rng, look, path, lush=2.1, bridge_m=262.0)
    noise, grain, crown = textures(rng)
    drive = draw_drive(rng, start_m=40.0, speed_m_s=22.0, rough=1.0, change_m=0.0)
    return Scene(
        look=look, lens=lens, drive=drive, path=path, lines=lane_lines(rng, look, False), props=props, crown=crown,
        shade=shade, noise=noise, grain=grain, traffic=traffic(),
    )  # fmt: skip


def light(look: Look, t: float) -> Look:
    """The look at a time of the clip: a cloud passes, then the sun sinks."""
    cloud = ramp(5.2, 6.4, t) * (1.0 - ramp(7.6, 9.0, t))
    return looks.evening(look, 0.88 * ramp(6.0, 14.5, t), cloud)


def paint_clip_frame(scene: Scene, seed: int, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Frame (438, 582, 3) and classes (438, 582), uint8, of one frame of the clip."""
    t = number / FPS
    linear, label = paint_frame(scene, light(scene.look, t), t, PAINTED_SIZE, samples=SAMPLES, shutter_s=SHUTTER_S)
    grey = linear.mean(axis=-1, keepdims=True)
    linear = np.maximum(grey + (linear - grey) * SATURATION, 0.0)
    rng = np.random.default_rng((seed, 2, number))
    return sense(expose(linear, scene.lens), rng, GRAIN), label


def poses(scene: Scene, n_frames: int = N_FRAMES) -> FloatArray:
    """True ego motion of each pair, float64 (n_frames / 2, 6)."""
    seen = [camera(scene.drive, scene.lens, scene.path, number / FPS) for number in range(n_frames)]
    return np.array([pose_change(seen[k], seen[k + 1], 1.0 / FPS) for k in range(0, n_frames, 2)])


def paint_part(cache: Path, seed: int, first: int, count: int) -> Path:
    """A file of consecutive frames in the cache, painted only if it is not there."""
    path = cache / f"clip-{seed}-{first:04d}-{count}.npz"
    if not path.is_file():
        scene = compose(seed)
        painted = [paint_clip_frame(scene, seed, number) for number in range(first, first + count)]
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.npz")
        np.savez(partial, frames=np.stack([p[0] for p in painted]), classes=np.stack([p[1] for p in painted]))
        partial.rename(path)
    return path


def encode(frames: Iterable[NDArray[np.uint8]], path: Path) -> None:
    """One HEVC stream in Matroska whose bytes repeat.

    Args:
        frames: uint8 (H, W, 3) RGB with even sides, display order.
    """
    with av.open(str(path), "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream = None
        for number, frame in enumerate(frames):
            if stream is None:
                stream = container.add_stream("libx265", rate=Fraction(FPS), options=ENCODER)
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1
                stream.codec_context.color_range = 1
                stream.codec_context.colorspace = 6
                stream.codec_context.flags |= av.codec.context.Flags.bitexact
            picture = av.VideoFrame(frame.shape[1], frame.shape[0], "yuv420p")
            for plane, values in zip(
                picture.planes, rgb_to_yuv420(torch.from_numpy(frame).movedim(-1, 0)), strict=True
            ):
                padded = np.zeros((plane.height, plane.line_size), np.uint8)
                padded[:, : plane.width] = values
                plane.update(padded.tobytes())
            picture.pts = number
            picture.time_base = Fraction(1, FPS)
            container.mux(stream.encode(picture))
        if stream is not None:
            container.mux(stream.encode(None))
