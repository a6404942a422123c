"""The camera behind the lens: exposure, vignette, tone and sensor noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.drive.look import Lens
from lab.drive.noise import FloatArray


def expose(linear: FloatArray, lens: Lens, vignette: float = 0.25) -> FloatArray:
    """Display values 0-1 of linear light: exposure, vignette, a filmic shoulder and the sRGB curve."""
    height, width = linear.shape[:2]
    y = (np.arange(height)[:, None] + 0.5) / height - 0.5
    x = (np.arange(width)[None, :] + 0.5) / width - 0.5
    falloff = 1.0 - vignette * np.clip((x * x + y * y) * 2.0, 0.0, 1.0) ** 1.2
    light = np.maximum(linear, 0.0) * (1.15 * lens.exposure) * falloff[..., None]
    # Narkowicz's fit of the ACES curve: deep shadows, soft highlights
    toned = np.clip(light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14), 0.0, 1.0)
    display: FloatArray = np.where(
        toned < 0.0031308, 12.92 * toned, 1.055 * np.maximum(toned, 1e-9) ** (1 / 2.4) - 0.055
    )
    return display


def sense(display: FloatArray, rng: np.random.Generator, noise: float) -> NDArray[np.uint8]:
    """Eight-bit frame with sensor noise, stronger in the dark; `noise` in grey levels at mid grey."""
    scale = noise * (1.35 - 0.7 * display.mean(axis=-1, keepdims=True))
    luma = rng.standard_normal((*display.shape[:2], 1))
    chroma = rng.standard_normal(display.shape)
    grey = display * 255.0 + scale * (0.8 * luma + 0.6 * chroma)
    frame: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return frame
