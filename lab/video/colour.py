"""From decoded YUV planes to RGB as the evaluator sees it, and from RGB to what an encoder takes.

Colour is BT.601. Reading follows the contest's CPU path value for value: chroma is enlarged bilinearly (corners not
aligned), converted in float32 in one fixed order of operations, clamped, rounded half to even.

Notes:
    Enlarging uint8 chroma by two has the weights 1/4 and 3/4 only, so float32 holds every result exactly and the
    conversion gives the same bytes on every machine.

References: ITU-R BT.601-7; the contest's evaluator, frame conversion.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

Plane = NDArray[np.uint8]

# Gains of the limited range, and the BT.601 matrix with the decimals that the evaluator uses.
LUMA_GAIN = 255.0 / 219.0
CHROMA_GAIN = 255.0 / 224.0
RED_V, GREEN_U, GREEN_V, BLUE_U = 1.402, 0.344136, 0.714136, 1.772
KR, KG, KB = 0.299, 0.587, 0.114
STRIP_ROWS = 64


def enlarge_chroma(chroma: torch.Tensor, size: tuple[int, int], *, nearest: bool = False) -> torch.Tensor:
    """Chroma planes at luma size.

    Args:
        chroma: float (C, h, w): subsampled by two in both axes, or already of luma size.
        size: (height, width) of luma; when odd, the last chroma sample covers one row or column.
        nearest: repeat samples instead of interpolating them.
    """
    height, width = size
    rows, columns = chroma.shape[-2:]
    if (rows, columns) == (height, width):
        return chroma
    if (rows, columns) != ((height + 1) // 2, (width + 1) // 2):
        raise ValueError(f"chroma of {rows}x{columns} does not belong to luma of {height}x{width}")
    if nearest:
        full = chroma.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)
    else:
        full = F.interpolate(chroma[None], size=(2 * rows, 2 * columns), mode="bilinear", align_corners=False)[0]
    return full[:, :height, :width]


def yuv_to_rgb(y: Plane, u: Plane, v: Plane, *, full_range: bool = False, nearest: bool = False) -> torch.Tensor:
    """RGB planes of one decoded picture, clamped but not yet rounded.

    Args:
        y: uint8 (H, W).
        u, v: uint8, (ceil(H/2), ceil(W/2)) or (H, W).
        full_range: samples span 0-255 instead of 16-235 and 16-240.
        nearest: repeat chroma samples instead of interpolating them; not what the evaluator does.

    Returns:
        float32 (3, H, W), 0-255.
    """
    chroma = enlarge_chroma(torch.from_numpy(np.stack((u, v))).float(), (y.shape[0], y.shape[1]), nearest=nearest)
    return _mix(torch.from_numpy(y).float(), chroma - 128.0, full_range=full_range)


def yuv_to_frame(y: Plane, u: Plane, v: Plane, *, full_range: bool = False) -> NDArray[np.uint8]:
    """`to_uint8` of `yuv_to_rgb`, value for value, a strip of rows at a time so that its floats stay in the cache.

    Returns:
        uint8 (H, W, 3), contiguous.
    """
    height, width = y.shape
    chroma = enlarge_chroma(torch.from_numpy(np.stack((u, v))).float(), (height, width)).sub_(128.0)
    out = torch.empty((height, width, 3), dtype=torch.uint8)
    for top in range(0, height, STRIP_ROWS):
        rows = slice(top, top + STRIP_ROWS)
        planes = _mix(torch.from_numpy(y[rows]).float(), chroma[:, rows], full_range=full_range)
        out[rows] = planes.round_().to(torch.uint8).movedim(0, -1)
    return out.numpy()


def _mix(luma: torch.Tensor, chroma: torch.Tensor, *, full_range: bool) -> torch.Tensor:
    """Planes of RGB, float32 (3, H, W), clamped to 0-255, of luma (H, W) and centred chroma (2, H, W); both change."""
    if not full_range:
        luma = luma.sub_(16.0).mul_(LUMA_GAIN)
        chroma = chroma.mul_(CHROMA_GAIN)
    blue_difference, red_difference = chroma
    out = torch.empty((3, *luma.shape))
    torch.mul(red_difference, RED_V, out=out[0]).add_(luma)
    torch.sub(luma, blue_difference * GREEN_U, out=out[1]).sub_(red_difference * GREEN_V)
    torch.mul(blue_difference, BLUE_U, out=out[2]).add_(luma)
    return out.clamp_(0.0, 255.0)


def to_uint8(planes: torch.Tensor) -> NDArray[np.uint8]:
    """Planes rounded half to even, as an interleaved picture.

    Args:
        planes: float (..., 3, H, W).

    Returns:
        uint8 (..., H, W, 3), contiguous.
    """
    rounded = planes.round().clamp_(0.0, 255.0).to(torch.uint8)
    # Channel by channel: twice as fast as transposing the whole.
    return np.stack([channel.numpy() for channel in rounded.unbind(-3)], axis=-1)


def rgb_to_yuv420(rgb: torch.Tensor) -> tuple[Plane, Plane, Plane]:
    """Planes for an encoder, BT.601 limited range, chroma as the mean of its 2x2 block.

    The mean of a block is also how the pose network sees chroma, so nothing is lost there by subsampling.

    Args:
        rgb: float (3, H, W), 0-255, both sides even.

    Returns:
        uint8 (H, W), (H/2, W/2), (H/2, W/2).
    """
    height, width = rgb.shape[-2:]
    if height % 2 or width % 2:
        raise ValueError(f"4:2:0 needs even sides, got {height}x{width}")
    red, green, blue = rgb.float()
    luma = red * KR + green * KG + blue * KB
    u = F.avg_pool2d(((blue - luma) / (2.0 * (1.0 - KB)))[None], 2)[0]
    v = F.avg_pool2d(((red - luma) / (2.0 * (1.0 - KR)))[None], 2)[0]

    def quantize(plane: torch.Tensor, gain: float, offset: float) -> Plane:
        out: Plane = (plane / gain + offset).round().clamp(0.0, 255.0).to(torch.uint8).numpy()
        return out

    return quantize(luma, LUMA_GAIN, 16.0), quantize(u, CHROMA_GAIN, 128.0), quantize(v, CHROMA_GAIN, 128.0)
