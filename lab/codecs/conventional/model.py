"""Filters on the decoded picture: sharpening and noise. There is no trained model in this family.

Both work on the coded grid, before up-sampling, so that an aligned up-sampler hands them to the networks unchanged.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def unsharp(rgb: torch.Tensor, amount: float) -> torch.Tensor:
    """A picture with its difference from a 3x3 binomial blur added `amount` times.

    Args:
        rgb: float32 (3, h, w), 0-255.
        amount: 0 leaves the picture as it is.
    """
    if not amount:
        return rgb
    # Halves and quarters of the neighbours, in a fixed order of additions: the same bytes on every machine.
    padded = F.pad(rgb[None], (1, 1, 1, 1), mode="replicate")[0]
    rows = (padded[:, :-2] + padded[:, 2:]) * 0.25 + padded[:, 1:-1] * 0.5
    blurred = (rows[..., :-2] + rows[..., 2:]) * 0.25 + rows[..., 1:-1] * 0.5
    return (rgb + (rgb - blurred) * amount).clamp_(0.0, 255.0)


def add_noise(rgb: torch.Tensor, deviation: float, frame: int) -> torch.Tensor:
    """A picture with luma noise, drawn from the frame's number: costs no bytes and repeats exactly.

    Args:
        rgb: float32 (3, h, w), 0-255.
        deviation: standard deviation in grey levels; 0 leaves the picture as it is.
        frame: the frame's place in display order, the seed.

    Notes:
        The sum of eight uniform bytes is close to normal: mean 1020, variance 8 * (256^2 - 1) / 12. The bytes are
        taken from the generator's raw 64-bit outputs, which numpy keeps stable.
    """
    if not deviation:
        return rgb
    n_pixels = rgb.shape[-2] * rgb.shape[-1]
    raw = np.random.PCG64(frame).random_raw(n_pixels).view(np.uint8).reshape(n_pixels, 8)
    draws = raw.sum(axis=1, dtype=np.int32).astype(np.float32)
    normal = (draws - np.float32(1020.0)) * np.float32(deviation / (8 * (256**2 - 1) / 12) ** 0.5)
    return (rgb + torch.from_numpy(normal.reshape(rgb.shape[-2:]))).clamp_(0.0, 255.0)
