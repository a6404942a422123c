"""How the camera moves: a smooth drive along the road with the bob of a real car, and the pose change of a pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lab.drive.look import Lens
from lab.drive.noise import FloatArray
from lab.drive.road import place

POSE_NAMES = ("forward_m_s", "yaw_deg_s", "pitch_deg_s", "roll_deg_s", "right_m_s", "up_m_s")
"""The six scored motions, in order, and the units in which they are painted and reported."""

OUTPUT_UNITS = (5.0, 1.0, 1.0, 1.0, 1.0, 1.0)
"""What one unit of each output of the pose network stands for: speed is answered in steps of 5 m/s.

Common codecs then land where they land in the contest, at pose distortions of a tenth to one; in plain m/s the square
of speed alone would decide every score.
"""


View = tuple[FloatArray, FloatArray]
"""Where a camera is: eye (3,) in the world, and rot (3, 3) whose columns are its right, down and forward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """A sum of sinusoids: float64 (n, 3) rows of amplitude, angular frequency, phase."""

    rows: FloatArray

    def at(self, t: float) -> float:
        """Value at time t."""
        a, w, p = self.rows.T
        return float(np.sum(a * np.sin(w * t + p)))

    def integral(self, t: float) -> float:
        """Integral from 0 to t."""
        a, w, p = self.rows.T
        return float(np.sum(a / w * (np.cos(p) - np.cos(w * t + p))))


def draw_waves(rng: np.random.Generator, scale: float, low_hz: float, high_hz: float, n: int = 4) -> Waves:
    """Waves of a given standard deviation between two frequencies."""
    hertz = np.exp(rng.uniform(math.log(low_hz), math.log(high_hz), n))
    amplitude = rng.uniform(0.4, 1.0, n)
    amplitude *= scale * math.sqrt(2.0) / np.linalg.norm(amplitude)
    return Waves(rows=np.stack([amplitude, 2 * np.pi * hertz, rng.uniform(0, 2 * np.pi, n)], axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """The ego car's motion as closed formulas of time, so that a shutter may open at any instant."""

    start_m: float
    speed_m_s: float
    throttle: Waves
    wander: Waves
    pitch: Waves
    roll: Waves
    yaw: Waves
    heave: Waves
    change_s: float
    change_m: float

    def along(self, t: float) -> float:
        """Road coordinate s of the camera."""
        return self.start_m + self.speed_m_s * t + self.throttle.integral(t)

    def speed(self, t: float) -> float:
        """Speed along the road, m/s."""
        return self.speed_m_s + self.throttle.at(t)

    def across(self, t: float) -> float:
        """Road coordinate d of the camera; a lane change takes four seconds."""
        part = min(1.0, max(0.0, (t - self.change_s) / 4.0))
        return self.wander.at(t) + self.change_m * part**3 * (10 - 15 * part + 6 * part * part)


def draw_drive(rng: np.random.Generator, *, start_m: float, speed_m_s: float, rough: float, change_m: float) -> Drive:
    """A drive drawn at random.

    Args:
        rough: scale of the bob, 1 for an ordinary road.
        change_m: lateral distance of a lane change, 0 for none.
    """
    return Drive(
        start_m=start_m,
        speed_m_s=speed_m_s,
        throttle=draw_waves(rng, 0.06 * speed_m_s, 0.04, 0.15),
        wander=draw_waves(rng, 0.15, 0.05, 0.25),
        pitch=draw_waves(rng, 0.0032 * rough, 0.5, 2.6, 5),
        roll=draw_waves(rng, 0.0042 * rough, 0.3, 1.8, 5),
        yaw=draw_waves(rng, 0.0020 * rough, 0.2, 1.2, 4),
        heave=draw_waves(rng, 0.012 * rough, 0.6, 2.2, 4),
        change_s=float(rng.uniform(2.0, 9.0)),
        change_m=change_m,
    )


def camera(drive: Drive, lens: Lens, path: FloatArray, t: float) -> View:
    """Where the camera is at a time.

    Returns:
        eye float64 (3,): world position; rot float64 (3, 3): its columns are the camera's right, down and forward.
    """
    s, d = drive.along(t), drive.across(t)
    x, z, sine, cosine = place(path, s, d)
    slip = (drive.across(t + 0.05) - drive.across(t - 0.05)) / 0.1 / max(drive.speed(t), 3.0)
    yaw = math.atan2(sine, cosine) + math.atan(slip) + lens.yaw + drive.yaw.at(t)
    pitch, roll = lens.pitch + drive.pitch.at(t), lens.roll + drive.roll.at(t)
    forward = np.array([math.sin(yaw), 0.0, math.cos(yaw)])
    right = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
    down = np.array([0.0, -1.0, 0.0])
    forward, down = (
        forward * math.cos(pitch) + down * math.sin(pitch),
        down * math.cos(pitch) - forward * math.sin(pitch),
    )
    right, down = right * math.cos(roll) + down * math.sin(roll), down * math.cos(roll) - right * math.sin(roll)
    eye = np.array([x, lens.height_m + drive.heave.at(t), z])
    return eye, np.stack([right, down, forward], axis=1)


class Nudge(NamedTuple):
    """A small extra turn and shift of the camera in its own axes: radians about down, right, forward; metres."""

    yaw: float
    pitch: float
    roll: float
    right: float
    down: float


def nudged(view: View, nudge: Nudge) -> View:
    """A view after a nudge."""
    eye, rot = view
    right, down, forward = rot.T
    eye = eye + right * nudge.right + down * nudge.down
    forward, right = _turn(forward, right, nudge.yaw)
    forward, down = _turn(forward, down, nudge.pitch)
    right, down = _turn(right, down, nudge.roll)
    return eye, np.stack([right, down, forward], axis=1)


def _turn(a: FloatArray, b: FloatArray, angle: float) -> tuple[FloatArray, FloatArray]:
    """Two perpendicular axes after a turn of the first towards the second."""
    c, s = math.cos(angle), math.sin(angle)
    return a * c + b * s, b * c - a * s


def pose_change(first: View, second: View, dt: float) -> FloatArray:
    """The six pose outputs of a pair, float64 (6,) in the order of `POSE_NAMES`, in the first camera's axes.

    Yaw is positive to the right, pitch positive downwards, roll positive clockwise as the driver sees it.
    """
    (eye_a, rot_a), (eye_b, rot_b) = first, second
    right, down, forward = rot_a.T @ (eye_b - eye_a) / dt
    turn = rot_a.T @ rot_b
    yaw = math.atan2(turn[0, 2], turn[2, 2])
    pitch = math.atan2(turn[1, 2], turn[2, 2])
    roll = math.atan2(turn[1, 0], turn[0, 0])
    degrees = np.degrees([yaw, pitch, roll]) / dt
    return np.array([forward, *degrees, right, -down])
