"""What happens to a picture before it is coded: down-sampling, and denoising where the receivers do not look.

Only the encoder runs this, so it may use the frozen SegNet: its road class, widened and feathered, is the corridor
that keeps every detail; outside of it a blend with a denoised picture saves bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from lab.codecs.base import Pair, SourceClip
from lab.errors import RecipeError
from lab.video import resample

DOWN_SAMPLERS: dict[str, Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]] = {
    "aligned": resample.resize,
    "lanczos": resample.lanczos,
    "bicubic": resample.bicubic,
    "area": resample.area,
}
_LUMA = (0.299, 0.587, 0.114)


def to_planes(pair: Pair) -> torch.Tensor:
    """A pair as planes: uint8 (2, 3, H, W)."""
    return torch.from_numpy(pair).movedim(-1, -3).contiguous()


def blur(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur, borders repeated.

    Args:
        planes: float (N, C, h, w).
        sigma: standard deviation in pixels; 0 leaves the planes as they are.
    """
    if sigma <= 0.0:
        return planes
    radius = max(1, math.ceil(2.5 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    flat = planes.reshape(-1, 1, *planes.shape[-2:])
    padded = F.pad(flat, (radius, radius, radius, radius), mode="replicate")
    rows = F.conv2d(padded, weights.view(1, 1, -1, 1))
    return F.conv2d(rows, weights.view(1, 1, 1, -1)).reshape(planes.shape)


def denoise_luma(rgb: torch.Tensor, sigma: float) -> torch.Tensor:
    """RGB planes with blurred luma and untouched chroma, float (N, 3, h, w)."""
    if sigma <= 0.0:
        return rgb
    luma = (rgb * torch.tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return (rgb + (blur(luma, sigma) - luma)).clamp(0.0, 255.0)


def denoise(rgb: torch.Tensor, sigma: float) -> torch.Tensor:
    """RGB planes with blurred luma and 5x5 mean chroma, float (N, 3, h, w)."""
    luma = (rgb * torch.tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    difference = F.pad(rgb - luma, (2, 2, 2, 2), mode="replicate")
    return (blur(luma, sigma) + F.avg_pool2d(difference, 5, stride=1)).clamp(0.0, 255.0)


def outside(rgb: torch.Tensor, corridor: torch.Tensor, *, mix: float, sigma: float) -> torch.Tensor:
    """RGB planes, denoised by `mix` outside of the corridor and untouched inside.

    Args:
        rgb: float (N, 3, h, w), 0-255.
        corridor: float (1 or N, 1, h, w), 1 inside, 0 outside, feathered between.
    """
    share = mix * (1.0 - corridor)
    return rgb + (denoise(rgb, sigma) - rgb) * share


class Corridor:
    """Where the road is, per pair, by the contract's frozen SegNet.

    Args:
        source: the clip, for its networks and sizes.
        reach: pixels of the model grid by which the road is widened.
        feather: standard deviation of the soft border, in pixels of the model grid.
    """

    def __init__(self, source: SourceClip, *, reach: int, feather: float) -> None:
        from lab.evaluator.networks import load

        contract = source.contract
        if "road" not in contract.classes:
            raise RecipeError(
                "region of interest", expected="a contract with the class 'road'", found=", ".join(contract.classes)
            )
        self.road = contract.classes.index("road")
        self.size = contract.model_size
        self.reach, self.feather = reach, feather
        self.segnet = load(contract)[0]

    def of(self, pair: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """The corridor of a pair, float (1, 1, h, w), for pictures of this size.

        Args:
            pair: uint8 (2, 3, H, W); SegNet reads its last frame.
        """
        with torch.inference_mode():
            classes = self.segnet(resample.resize(pair[-1:], self.size)).argmax(dim=1, keepdim=True)
            road = (classes == self.road).float()
            wide = F.max_pool2d(road, 2 * self.reach + 1, stride=1, padding=self.reach)
            soft = blur(wide, self.feather).clamp(0.0, 1.0)
            return resample.resize(soft, size).clone()


def pad_even(planes: torch.Tensor) -> torch.Tensor:
    """Planes with even sides: an odd last row or column is repeated. Float or uint8 (..., H, W)."""
    rows, columns = planes.shape[-2] % 2, planes.shape[-1] % 2
    if rows:
        planes = torch.cat((planes, planes[..., -1:, :]), dim=-2)
    if columns:
        planes = torch.cat((planes, planes[..., -1:]), dim=-1)
    return planes
