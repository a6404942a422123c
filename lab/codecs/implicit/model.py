"""The decoder that is the archive: from a latent to the two frames of a pair.

    latent, field -> stem -> small grid -> [convolution, pixel shuffle, skip, activation] x stages -> refine -> RGB, RGB

Two kinds share everything but how they spend parameters. `published` is the public HNeRV entries' decoder, weight for
weight. `lean` is for archives of tens of kilobytes: a stem of low rank over learned maps instead of a dense matrix,
skips mixed before they are enlarged, one head for both frames, and latents that may gain the channels of every stage.
Beside its latent a pair may have a field: small integers on a coarse grid, which say where things lie; a vector says
what holds for the whole picture.

References: H. Chen et al., "HNeRV: a hybrid neural representation for videos", CVPR 2023; V. Sitzmann et al.,
"Implicit neural representations with periodic activation functions", NeurIPS 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

KINDS = ("lean", "published")
ACTIVATIONS = ("sin", "gelu")
_ACTIVATE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"sin": torch.sin, "gelu": F.gelu}
# What one code of a field is worth to the decoder.
FIELD_UNIT = 0.25
# How much of the refinement is added.
_REFINE = 0.1
# Width of the published decoder after each stage, as a share of its first.
_PUBLISHED_SHARES = (1.0, 1.0, 1.0, 0.75, 0.58, 0.5, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a decoder looks like; everything that decides the names and shapes of its weights.

    Attributes:
        kind: `lean` or `published`.
        latent_dim: numbers per pair.
        grid: (rows, columns) that the stem writes.
        widths: channels before each stage and after the last; each stage doubles the grid.
        kernels: side of each stage's convolution, odd.
        rank: learned maps of a lean stem.
        refine: channels inside the refinement, 0 for none.
        modulated: whether latents gain the channels of every stage; lean only.
        shuffled: whether the head works on half the frame's grid and ends in a pixel shuffle; lean only.
        planes: planes of a pair's field, 0 for none; lean only.
        fold: rows of a field per row of the stem's grid.
        late: whether a field enters after the stage that reaches its grid, and not folded into the stem's; lean only.
        activation: between layers.
    """

    kind: Literal["lean", "published"]
    latent_dim: int
    grid: tuple[int, int]
    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    rank: int = 0
    refine: int = 0
    modulated: bool = False
    shuffled: bool = False
    planes: int = 0
    fold: int = 1
    late: bool = False
    activation: Literal["sin", "gelu"] = "sin"

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.activation not in ACTIVATIONS:
            raise ValueError(f"kind is one of {KINDS} and activation of {ACTIVATIONS}")
        if len(self.widths) != len(self.kernels) + 1 or not 1 <= len(self.kernels) <= 8:
            raise ValueError("a decoder has 1 to 8 stages, and one width more than kernels")
        if any(side not in (1, 3, 5) for side in self.kernels):
            raise ValueError(f"kernels are 1, 3 or 5 wide, got {self.kernels}")
        if min(self.latent_dim, *self.grid, *self.widths) < 1 or (self.kind == "lean") != (self.rank > 0):
            raise ValueError("sizes are positive, and a rank is what a lean stem has")
        if self.planes < 0 or self.fold not in (1, 2, 4) or (self.kind == "published" and self.planes):
            raise ValueError("a field has planes and folds by 1, 2 or 4; the published decoder has none")
        if self.late and not (self.planes and self.fold > 1 and self.entry <= len(self.kernels)):
            raise ValueError("a late field folds by 2 or 4 and has a stage that reaches its grid")
        if self.kind == "published" and (self.modulated or self.shuffled or self.refine != self.widths[-1] // 2):
            raise ValueError("the published decoder has no gains, a plain head, and refines with half its last width")

    @property
    def scale(self) -> int:
        """How many rows of a frame one row of the stem's grid becomes."""
        return 1 << (len(self.kernels) + self.shuffled)

    @property
    def entry(self) -> int:
        """After how many stages a field enters."""
        return self.fold.bit_length() - 1 if self.late else 0

    @property
    def field(self) -> tuple[int, int, int]:
        """(planes, rows, columns) of a pair's field."""
        return self.planes, self.grid[0] * self.fold, self.grid[1] * self.fold

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a decoded frame."""
        scale = self.scale
        return self.grid[0] * scale, self.grid[1] * scale


def published_shape(latent_dim: int, base: int, size: tuple[int, int]) -> Shape:
    """The public entries' decoder: six stages up from a 64th of the frame's sides."""
    return Shape(
        kind="published",
        latent_dim=latent_dim,
        grid=(size[0] // 64, size[1] // 64),
        widths=tuple(int(base * share) for share in _PUBLISHED_SHARES),
        kernels=(3,) * 6,
        refine=int(base * _PUBLISHED_SHARES[-1]) // 2,
    )


class LowRankStem(nn.Module):
    """A grid as a learned picture plus a mixture of learned maps, weighed by the latent.

    Notes:
        x[c, p] = base[c, p] + sum over k of (W z)[c, k] maps[k, p]: d c k + k p + c p weights in place of d c p.
    """

    def __init__(self, latent_dim: int, channels: int, grid: tuple[int, int], rank: int) -> None:
        super().__init__()
        n_cells = grid[0] * grid[1]
        self.grid, self.channels, self.rank = grid, channels, rank
        self.mix = nn.Parameter(torch.randn(channels * rank, latent_dim) / math.sqrt(latent_dim * rank))
        self.maps = nn.Parameter(torch.randn(rank, n_cells))
        self.base = nn.Parameter(torch.randn(channels, n_cells) * 0.5)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        mixed = F.linear(z, self.mix).view(-1, self.channels, self.rank)
        return (self.base + mixed @ self.maps).view(-1, self.channels, *self.grid)


class DenseStem(nn.Linear):
    """A grid as one affine function of the latent."""

    def __init__(self, latent_dim: int, channels: int, grid: tuple[int, int]) -> None:
        super().__init__(latent_dim, channels * grid[0] * grid[1])
        self.channels, self.grid = channels, grid

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return super().forward(z).view(-1, self.channels, *self.grid)


class Decoder(nn.Module):
    """Frames from latents: float (n, latent_dim) to float (n, 2, 3, h, w), RGB, 0-255, unrounded.

    With a field, its codes are float (n, planes, rows, columns).
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        widths, inner = shape.widths, shape.refine
        self.stem: nn.Module
        if shape.kind == "lean":
            self.stem = LowRankStem(shape.latent_dim, widths[0], shape.grid, shape.rank)
        else:
            self.stem = DenseStem(shape.latent_dim, widths[0], shape.grid)
        if shape.planes:
            folded = 1 if shape.late else shape.fold**2
            self.local = nn.Conv2d(shape.planes * folded, widths[shape.entry], 3, padding=1, bias=False)
        self.blocks, self.skips, self.gains = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.shifts = nn.ParameterList()
        lean = shape.kind == "lean"
        for before, after, side in zip(widths, widths[1:], shape.kernels, strict=False):
            self.blocks.append(nn.Conv2d(before, 4 * after, side, padding=side // 2, bias=not lean))
            self.skips.append(nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=not lean))
            if lean:
                # One number per channel, not per channel and phase; a matrix, so that it is coded as weights are.
                self.shifts.append(nn.Parameter(torch.zeros(1, after)))
            if shape.modulated:
                self.gains.append(nn.Linear(shape.latent_dim, after, bias=False))
        last = widths[-1]
        if inner:
            self.refine = nn.Sequential(
                nn.Conv2d(last, inner, 3, padding=2, dilation=2), nn.Conv2d(inner, last, 3, padding=1)
            )
        if shape.kind == "published":
            self.rgb_0 = nn.Conv2d(last, 3, 3, padding=1)
            self.rgb_1 = nn.Conv2d(last, 3, 3, padding=1)
        else:
            self.rgb = nn.Conv2d(last, 24 if shape.shuffled else 6, 3, padding=1)

    def forward(self, z: torch.Tensor, field: torch.Tensor | None = None) -> torch.Tensor:
        shape, activate = self.shape, _ACTIVATE[self.shape.activation]
        x = self.stem(z)
        if field is not None and not shape.late:
            x = x + self.local(F.pixel_unshuffle(field * FIELD_UNIT, shape.fold))
        x = activate(x).contiguous(memory_format=torch.channels_last)
        for number, (block, skip) in enumerate(zip(self.blocks, self.skips, strict=True)):
            new = F.pixel_shuffle(block(x), 2)
            lean = shape.kind == "lean"
            old = _double(skip(x) + self.shifts[number][..., None, None]) if lean else skip(_double(x))
            if shape.modulated:
                new = new * (1.0 + self.gains[number](z))[:, :, None, None]
            if field is not None and number + 1 == shape.entry:
                new = new + self.local(field * FIELD_UNIT)
            x = activate(new + old)
        if shape.refine:
            x = x + _REFINE * torch.sin(self.refine(x))
        if shape.kind == "published":
            frames = torch.stack([self.rgb_0(x), self.rgb_1(x)], dim=1)
        else:
            drawn = self.rgb(x)
            frames = (F.pixel_shuffle(drawn, 2) if shape.shuffled else drawn).unflatten(1, (2, 3))
        return torch.sigmoid(frames) * 255.0


def _double(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight, in the order in which they are packed; takes no memory for them."""
    with torch.device("meta"):
        return {name: tuple(weight.shape) for name, weight in Decoder(shape).named_parameters()}
