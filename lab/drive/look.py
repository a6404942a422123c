"""One drive's appearance: light, colours, road plan and camera, either drawn at random or chosen for the clip."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lab.drive.noise import FloatArray

RGB = tuple[float, float, float]


class Look(NamedTuple):
    """Everything the painters read besides geometry; a plain tuple, so that numba takes it. Colours: linear RGB."""

    seed: int
    zenith: RGB
    horizon: RGB
    sky_falloff: float
    cloud: RGB
    cloud_cover: float
    drift: float
    sun: RGB
    sun_dir: RGB
    sun_height: float
    glow: float
    ambient: RGB
    light: float
    shadow_depth: float
    haze: RGB
    haze_density: float
    hill: RGB
    hill_rows: FloatArray
    hill_top: float
    asphalt: RGB
    paint: RGB
    grass: RGB
    straw: RGB
    crop: RGB
    gravel: RGB
    texture: float
    tracks: float
    patches: float
    cracks: float
    wear: float
    joint_period: float
    dash_period: float
    dash_length: float
    lane_left: float
    lane_width: float
    road_left: float
    road_right: float
    bonnet: float
    bonnet_shift: float
    bonnet_paint: RGB
    bonnet_gloss: float


class Lens(NamedTuple):
    """The camera's fixed part: focal length over frame width, mounting height and angles, exposure."""

    focal: float
    height_m: float
    pitch: float
    yaw: float
    roll: float
    exposure: float


def sun_direction(azimuth: float, elevation: float) -> RGB:
    """Unit vector towards the sun; azimuth in radians from straight ahead to the right."""
    flat = math.cos(elevation)
    return (math.sin(azimuth) * flat, math.sin(elevation), math.cos(azimuth) * flat)


def _jitter(rng: np.random.Generator, colour: RGB, amount: float) -> RGB:
    gain = math.exp(rng.normal() * amount)
    r, g, b = (float(c * gain * math.exp(rng.normal() * amount * 0.5)) for c in colour)
    return (r, g, b)


def _pick(rng: np.random.Generator, *colours: RGB) -> RGB:
    return colours[int(rng.integers(len(colours)))]


MOODS: dict[str, tuple[RGB, RGB, RGB, RGB, float]] = {
    # zenith, horizon, sun, ambient, glow
    "noon": ((0.10, 0.25, 0.62), (0.52, 0.68, 0.86), (2.3, 2.15, 1.9), (0.50, 0.58, 0.72), 0.5),
    "afternoon": ((0.11, 0.24, 0.55), (0.74, 0.72, 0.68), (2.3, 1.95, 1.45), (0.46, 0.50, 0.60), 0.9),
    "golden": ((0.13, 0.20, 0.42), (0.98, 0.66, 0.38), (2.3, 1.45, 0.75), (0.40, 0.38, 0.44), 1.3),
    "overcast": ((0.50, 0.55, 0.62), (0.72, 0.75, 0.78), (0.35, 0.35, 0.35), (0.85, 0.89, 0.95), 0.0),
    "dusk": ((0.05, 0.08, 0.20), (0.55, 0.30, 0.20), (0.35, 0.20, 0.12), (0.22, 0.22, 0.32), 0.7),
    "night": ((0.010, 0.014, 0.030), (0.045, 0.045, 0.060), (0.02, 0.02, 0.03), (0.10, 0.10, 0.12), 0.0),
}
"""Kinds of light a drive may be drawn in."""


def draw(rng: np.random.Generator) -> tuple[Look, Lens]:
    """A look and a lens drawn widely at random: what the networks are trained on."""
    mood = str(rng.choice(list(MOODS), p=[0.26, 0.24, 0.16, 0.18, 0.11, 0.05]))
    zenith, horizon, sun, ambient, glow = MOODS[mood]
    elevation = rng.uniform(0.10, 0.30) if mood in ("golden", "dusk") else rng.uniform(0.35, 1.1)
    direction = sun_direction(rng.uniform(-math.pi, math.pi), elevation)
    right_lanes, left_lanes = int(rng.integers(1, 4)), int(rng.integers(0, 3))
    width = float(rng.uniform(3.0, 3.9))
    asphalt = _jitter(rng, _pick(rng, (0.11, 0.11, 0.115), (0.07, 0.07, 0.075), (0.20, 0.19, 0.18)), 0.25)
    grass = _jitter(rng, _pick(rng, (0.07, 0.12, 0.03), (0.12, 0.14, 0.05), (0.22, 0.18, 0.09)), 0.3)
    straw = _jitter(rng, _pick(rng, (0.20, 0.19, 0.07), (0.36, 0.29, 0.15), (0.08, 0.11, 0.04)), 0.3)
    hazy = float(np.exp(rng.uniform(math.log(0.0006), math.log(0.006))))
    look = Look(
        seed=int(rng.integers(1, 100_000)),
        zenith=_jitter(rng, zenith, 0.2), horizon=_jitter(rng, horizon, 0.2),
        sky_falloff=float(rng.uniform(2.5, 7.0)),
        cloud=_jitter(rng, tuple(0.55 * s + 0.35 * a for s, a in zip(sun, ambient, strict=True)), 0.15),  # type: ignore[arg-type]
        cloud_cover=float(rng.uniform(0.0, 0.8)), drift=float(rng.uniform(0, 200)),
        sun=_jitter(rng, sun, 0.15), sun_dir=direction, sun_height=max(0.22, direction[1]),
        glow=glow * float(rng.uniform(0.5, 1.3)), ambient=_jitter(rng, ambient, 0.15),
        light=sum(sun) / 6.0 + sum(ambient) / 3.0, shadow_depth=float(rng.uniform(0.5, 0.97)),
        haze=_jitter(rng, tuple(0.92 * c for c in horizon), 0.1), haze_density=hazy,  # type: ignore[arg-type]
        hill=_jitter(rng, _pick(rng, (0.05, 0.08, 0.035), (0.12, 0.11, 0.06), (0.05, 0.06, 0.07)), 0.3),
        hill_rows=hill_rows(rng), hill_top=0.16,
        asphalt=asphalt, paint=_jitter(rng, (0.72, 0.72, 0.70), 0.12), grass=grass, straw=straw,
        crop=_jitter(rng, (0.20, 0.19, 0.06), 0.4), gravel=_jitter(rng, (0.22, 0.20, 0.17), 0.25),
        texture=float(rng.uniform(0.25, 1.3)), tracks=float(rng.uniform(0.0, 0.28)),
        patches=float(rng.uniform(0.0, 0.4)), cracks=float(rng.uniform(0.0, 0.6)),
        wear=float(rng.uniform(0.0, 0.75)), joint_period=float(rng.uniform(9.0, 60.0)),
        dash_period=float(rng.uniform(8.0, 15.0)), dash_length=float(rng.uniform(2.6, 6.0)),
        lane_left=-(left_lanes + 0.5) * width, lane_width=width,
        road_left=-(left_lanes + 0.5) * width - float(rng.uniform(0.3, 2.4)),
        road_right=(right_lanes - 0.5) * width + float(rng.uniform(0.3, 3.2)),
        bonnet=float(rng.choice([0.0, 1.0], p=[0.15, 0.85])) * float(rng.uniform(0.08, 0.31)),
        bonnet_shift=float(rng.uniform(-0.22, 0.22)),
        bonnet_paint=_jitter(rng, _pick(rng, (0.02, 0.02, 0.025), (0.3, 0.3, 0.31), (0.25, 0.03, 0.03),
                                        (0.03, 0.06, 0.18), (0.6, 0.6, 0.58), (0.04, 0.10, 0.07)), 0.3),
        bonnet_gloss=float(rng.uniform(0.25, 1.0)),
    )  # fmt: skip
    dim = {"dusk": 1.7, "night": 3.4}.get(mood, 1.0)
    lens = Lens(
        focal=float(rng.uniform(0.72, 1.05)),
        height_m=float(rng.uniform(1.22, 1.42)),
        pitch=float(rng.uniform(-0.11, 0.09)),
        yaw=float(rng.normal() * 0.025),
        roll=float(rng.normal() * 0.012),
        exposure=float(dim * math.exp(rng.normal() * 0.28)),
    )
    return look, lens


def hill_rows(rng: np.random.Generator) -> FloatArray:
    """Four layers of horizon, nearest first: float64 (4, 3), each cells per radian, height in radians, haze 0-1."""
    high = rng.uniform(0.3, 1.0)
    return np.array(
        [
            [rng.uniform(20, 40), rng.uniform(0.010, 0.030), rng.uniform(0.25, 0.45)],
            [rng.uniform(9, 16), rng.uniform(0.030, 0.060) * high, rng.uniform(0.45, 0.6)],
            [rng.uniform(6, 12), rng.uniform(0.050, 0.095) * high, rng.uniform(0.6, 0.75)],
            [rng.uniform(4, 9), rng.uniform(0.070, 0.150) * high, rng.uniform(0.76, 0.9)],
        ]
    )


def feature() -> tuple[Look, Lens]:
    """The clip's look: an afternoon that turns golden, three lanes through wooded hills."""
    _, _, sun, ambient, _ = MOODS["afternoon"]
    direction = sun_direction(-0.46, 0.29)
    look = Look(
        seed=41, zenith=(0.055, 0.165, 0.47), horizon=(0.62, 0.66, 0.68), sky_falloff=6.0,
        cloud=(1.25, 1.12, 1.00), cloud_cover=0.50, drift=131.0,
        sun=sun, sun_dir=direction, sun_height=0.44, glow=0.55, ambient=ambient, light=1.35, shadow_depth=0.93,
        haze=(0.56, 0.60, 0.64), haze_density=0.0013, hill=(0.060, 0.095, 0.042), hill_top=0.20,
        hill_rows=np.array([[30.0, 0.024, 0.14], [12.0, 0.070, 0.30], [8.0, 0.115, 0.50], [6.0, 0.165, 0.70]]),
        asphalt=(0.072, 0.073, 0.078), paint=(0.74, 0.73, 0.70), grass=(0.075, 0.115, 0.030),
        straw=(0.25, 0.215, 0.085), crop=(0.26, 0.22, 0.07), gravel=(0.21, 0.19, 0.16),
        texture=0.48, tracks=0.16, patches=0.22, cracks=0.42, wear=0.45, joint_period=37.0,
        dash_period=11.0, dash_length=3.6, lane_left=-5.4, lane_width=3.6, road_left=-6.0, road_right=7.0,
        bonnet=0.215, bonnet_shift=0.03, bonnet_paint=(0.012, 0.045, 0.100), bonnet_gloss=0.60,
    )  # fmt: skip
    return look, Lens(focal=0.88, height_m=1.32, pitch=0.045, yaw=0.0, roll=0.0, exposure=0.92)


def evening(look: Look, share: float, cloud_shadow: float) -> Look:
    """The same look later in the day.

    Args:
        share: 0 as given, 1 golden hour.
        cloud_shadow: 0 full sun, 1 a cloud before it.
    """
    zenith, horizon, sun, ambient, glow = MOODS["golden"]

    def mix(a: RGB, b: RGB, part: float) -> RGB:
        return (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part, a[2] + (b[2] - a[2]) * part)

    dim = 1.0 - 0.80 * cloud_shadow
    warm = mix(look.sun, sun, share)
    return look._replace(
        zenith=mix(look.zenith, zenith, share),
        horizon=mix(look.horizon, horizon, share),
        haze=mix(look.haze, (0.80, 0.58, 0.38), share),
        cloud=mix(look.cloud, (1.35, 0.85, 0.55), share),
        sun=(warm[0] * dim, warm[1] * dim, warm[2] * dim),
        ambient=mix(look.ambient, ambient, share),
        glow=(look.glow + (glow - look.glow) * share) * (1.0 - 0.5 * cloud_shadow),
        light=look.light * (1.0 - 0.30 * share) * (1.0 - 0.25 * cloud_shadow),
    )
