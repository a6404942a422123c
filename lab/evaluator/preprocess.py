"""From RGB frames to the inputs of the two frozen networks: value-identical to the evaluator, and differentiable.

Both networks see a bilinear resize of the camera frame to the model grid, without antialiasing, corners not aligned.
The semantic network then reads raw 0-255 RGB of the last frame; the pose network reads both frames as six planes
each of YUV 4:2:0 phases. The public evaluator clamps in place under no-grad, which silently removes every gradient
of the pose network; nothing here is in place.

References: the contest's evaluator, preprocessing of both networks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def to_planes(frames: torch.Tensor) -> torch.Tensor:
    """Float channels-first copy of RGB frames.

    Args:
        frames: uint8 or float (..., H, W, 3), RGB, 0-255.

    Returns:
        float32 (..., 3, H, W).
    """
    return frames.movedim(-1, -3).float()


def resize(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The evaluator's own resize: bilinear, corners not aligned, no antialiasing.

    Args:
        planes: float (N, C, H, W).
        size: (height, width) of the model grid.
    """
    if tuple(planes.shape[-2:]) == tuple(size):
        return planes
    # Plane by plane: this layout takes torch's separable kernel, which at the cameras' sizes returns equal taps
    # unchanged. With channels together another kernel errs by two units in the last place there.
    flat = planes.reshape(-1, 1, *planes.shape[-2:])
    small = F.interpolate(flat, size=size, mode="bilinear", align_corners=False)
    return small.reshape(*planes.shape[:-2], *size)


def rgb_to_yuv6(rgb: torch.Tensor) -> torch.Tensor:
    """Six half-size planes per frame: the four phases of Y, then the 2x2 means of U and V.

    Args:
        rgb: float (N, 3, h, w), 0-255; an odd last row or column is left out, as in the evaluator.

    Returns:
        float (N, 6, h // 2, w // 2), 0-255. Phase order (row, column): (0,0), (1,0), (0,1), (1,1).

    Notes:
        Y = .299 R + .587 G + .114 B; U = (B - Y) / 1.772 + 128; V = (R - Y) / 1.402 + 128; each clamped to 0-255.
    """
    height, width = rgb.shape[-2] // 2 * 2, rgb.shape[-1] // 2 * 2
    red, green, blue = rgb[..., :height, :width].unbind(dim=-3)
    luma = (red * 0.299 + green * 0.587 + blue * 0.114).clamp(0.0, 255.0)
    u_full = ((blue - luma) / 1.772 + 128.0).clamp(0.0, 255.0)
    v_full = ((red - luma) / 1.402 + 128.0).clamp(0.0, 255.0)
    phases = [luma[..., row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
    chroma = [
        (c[..., 0::2, 0::2] + c[..., 1::2, 0::2] + c[..., 0::2, 1::2] + c[..., 1::2, 1::2]) * 0.25
        for c in (u_full, v_full)
    ]
    return torch.stack(phases + chroma, dim=-3)


def segnet_input(frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """What the semantic network reads of a pair: its last frame only, raw RGB.

    Args:
        frames: float (N, 2, 3, H, W), 0-255.
        size: (height, width) of the model grid.

    Returns:
        float (N, 3, h, w), 0-255, no normalization.
    """
    return resize(frames[:, -1], size)


def posenet_input(frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """What the pose network reads of a pair: both frames as 12 planes, first frame first.

    Args:
        frames: float (N, 2, 3, H, W), 0-255.
        size: (height, width) of the model grid.

    Returns:
        float (N, 12, h // 2, w // 2), normalized as (x - 127.5) / 63.75.
    """
    n = frames.shape[0]
    small = resize(frames.flatten(0, 1), size)
    planes = rgb_to_yuv6(small)
    return (planes.reshape(n, 12, *planes.shape[-2:]) - 127.5) / 63.75
