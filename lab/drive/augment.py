"""Random wear of painted frames: colour, geometry, resampling, noise and compression, so that answers are robust."""

from __future__ import annotations

import io

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Frames = NDArray[np.uint8]
_NOISE_SIDE = 700


def noise_pool(seed: int) -> NDArray[np.float32]:
    """A large tile of normal noise, float32 (700, 700, 3); windows of it stand in for fresh noise."""
    return np.random.default_rng(seed).standard_normal((_NOISE_SIDE, _NOISE_SIDE, 3)).astype(np.float32)


def tone_curves(rng: np.random.Generator) -> Frames:
    """Random contrast, brightness, gamma and white balance as lookup tables, uint8 (3, 256)."""
    level = np.arange(256) / 255.0
    gamma, gain, lift = np.exp(rng.normal() * 0.28), np.exp(rng.normal() * 0.18), rng.normal() * 0.05
    balance = np.exp(rng.normal(0, 0.07, 3))
    curves = (level[None] ** gamma - 0.5) * gain * balance[:, None] + 0.5 + lift
    tables: Frames = np.clip(np.rint(curves * 255.0), 0, 255).astype(np.uint8)
    return tables


def wear(frames: Frames, rng: np.random.Generator, pool: NDArray[np.float32], *, gentle: float = 0.2) -> Frames:
    """The frames as a cheap camera and a hard encoder would leave them; one kind of wear for all frames of a pair.

    Args:
        frames: uint8 (k, h, w, 3), contiguous in time.
        gentle: share of pairs that stay almost clean.
    """
    clean = rng.random() < gentle
    curves = tone_curves(rng)
    grey = float(rng.uniform(-0.2, 0.8)) if rng.random() < 0.3 else 0.0
    scale = float(rng.uniform(0.35, 0.95)) if not clean and rng.random() < 0.4 else 1.0
    filters = [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BOX]
    down, up = filters[int(rng.integers(4))], filters[int(rng.integers(3))]
    sigma = float(np.exp(rng.uniform(np.log(0.7), np.log(12.0)))) if not clean and rng.random() < 0.6 else 0.0
    quality = int(rng.integers(8, 85)) if not clean and rng.random() < 0.5 else 0
    soften = float(rng.uniform(0.3, 1.3)) if not clean and rng.random() < 0.2 else 0.0
    sharpen = int(rng.uniform(30, 130)) if not clean and rng.random() < 0.15 else 0
    worn = np.empty(frames.shape, np.uint8)
    for frame, picture in zip(frames, worn, strict=True):
        y, x = rng.integers(_NOISE_SIDE - np.array(frame.shape[:2]))
        _tint(frame, curves, grey, pool, y, x, sigma, picture)
        degraded = _degrade(picture, scale, down, up, soften, sharpen, quality)
        if degraded is not picture:
            picture[...] = degraded
    return worn


@njit(cache=True)
def _tint(frame, curves, grey, pool, top, left, sigma, out):  # type: ignore[no-untyped-def]
    """Tone curves, a step towards grey, and noise from the pool at (top, left), in one pass over a frame.

    Notes:
        Without grey, and without noise, the terms they would add are zeros: leaving them out changes no value.
    """
    height, width = frame.shape[:2]
    if grey != 0.0:
        _tint_grey(frame, curves, grey, pool[top:, left:], sigma, out)
        return
    if sigma == 0.0:
        for y in range(height):
            for x in range(width):
                for channel in range(3):
                    out[y, x, channel] = curves[channel, frame[y, x, channel]]
        return
    tones = np.empty(3 * width, np.float64)
    for y in range(height):
        for x in range(width):
            for channel in range(3):
                tones[3 * x + channel] = float(curves[channel, frame[y, x, channel]])
        grain = pool[top + y].reshape(-1)[3 * left :]
        row = out[y].reshape(-1)
        for k in range(3 * width):
            row[k] = np.int32(min(255.0, max(0.0, tones[k] + grain[k] * sigma + 0.5)))


@njit(cache=True)
def _tint_grey(frame, curves, grey, noise, sigma, out):  # type: ignore[no-untyped-def]
    """All of it: what `_tint` shortens."""
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            r = float(curves[0, frame[y, x, 0]])
            g = float(curves[1, frame[y, x, 1]])
            b = float(curves[2, frame[y, x, 2]])
            mean = (r + g + b) / 3.0
            r += (mean - r) * grey + noise[y, x, 0] * sigma
            g += (mean - g) * grey + noise[y, x, 1] * sigma
            b += (mean - b) * grey + noise[y, x, 2] * sigma
            out[y, x, 0] = int(min(255.0, max(0.0, r + 0.5)))
            out[y, x, 1] = int(min(255.0, max(0.0, g + 0.5)))
            out[y, x, 2] = int(min(255.0, max(0.0, b + 0.5)))


def _degrade(
    picture: Frames,
    scale: float,
    down: Image.Resampling,
    up: Image.Resampling,
    soften: float,
    sharpen: int,
    quality: int,
) -> Frames:
    if scale == 1.0 and not soften and not sharpen and not quality:
        return picture
    image = Image.fromarray(picture)
    size = image.size
    if scale < 1.0:
        image = image.resize((round(size[0] * scale), round(size[1] * scale)), down).resize(size, up)
    if soften:
        image = image.filter(ImageFilter.GaussianBlur(soften))
    if sharpen:
        image = image.filter(ImageFilter.UnsharpMask(radius=1.2, percent=sharpen, threshold=0))
    if quality:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality, subsampling=2)
        image = Image.open(stream)
    return np.asarray(image)


def reframe(frame: Frames, classes: Frames, rng: np.random.Generator) -> tuple[Frames, Frames]:
    """A frame and its class map through another crop and aspect ratio, and flipped half of the time."""
    if rng.random() < 0.5:
        frame, classes = frame[:, ::-1], classes[:, ::-1]
    if rng.random() < 0.45:
        return frame, classes
    height, width = classes.shape
    zoom_y = float(np.exp(rng.uniform(np.log(0.6), np.log(1.0))))
    zoom_x = min(1.0, zoom_y * float(np.exp(rng.uniform(-0.1, 0.5))))
    left, top = float(rng.uniform(0, 1 - zoom_x)) * width, float(rng.uniform(0, 1 - zoom_y)) * height
    box = (left, top, left + zoom_x * width, top + zoom_y * height)
    picture = Image.fromarray(np.ascontiguousarray(frame)).resize((width, height), Image.Resampling.BICUBIC, box=box)
    labels = Image.fromarray(np.ascontiguousarray(classes)).resize((width, height), Image.Resampling.NEAREST, box=box)
    return np.asarray(picture), np.asarray(labels)
