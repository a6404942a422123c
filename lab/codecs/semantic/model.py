"""The renderer: from a class map, a place and a pose to the two frames of a pair.

    classes -> embedding -> 2x2 blocks as channels, with two coordinates -> convolutions           the trunk
    trunk -> convolution -> pixel shuffle, plus a palette of the classes -> last frame             static
    trunk -> convolution, gains and shifts from the pose -> convolution -> first frame             the motion branch

SegNet reads only the last frame, so that one is drawn from the map alone. PoseNet reads both: the first frame, which
nobody else looks at, is free to carry the motion. How it does so is the motion branch's kind:

    film     it is drawn like the last one
    warp     it is the last one moved along a flow, where a gate lets it, plus a residual
    zoom     it is the last one enlarged about its middle by a field, plus a residual: four channels

Everything runs at half of the grid's sides, with plain convolutions.

References: the contest's entry quantizr (class embedding, FiLM on a pose, static head for the last frame); E. Perez et
al., "FiLM: visual reasoning with a general conditioning layer", AAAI 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

KINDS = ("film", "warp", "zoom")
_CHANNELS = {"film": 12, "warp": 6, "zoom": 4}
# Largest flow of a warp, pixels of the half grid, and largest enlargement of a zoom.
_FLOW_PX, _ZOOM = 8.0, 0.25
_MOTION = "motion."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a renderer looks like; everything that decides the names and shapes of its weights.

    Attributes:
        classes: how many there are.
        embed: numbers per class.
        width: channels of the trunk.
        dilations: of its residual convolutions, one each.
        motion: kind of the motion branch.
        motion_width: channels inside of it.
        pose_dims: numbers per pair that condition it.
    """

    classes: int
    embed: int
    width: int
    dilations: tuple[int, ...]
    motion: Literal["film", "warp", "zoom"]
    motion_width: int
    pose_dims: int

    def __post_init__(self) -> None:
        if self.motion not in KINDS:
            raise ValueError(f"motion is one of {KINDS}, got {self.motion!r}")
        if min(self.classes, self.embed, self.width, self.motion_width, self.pose_dims) < 1:
            raise ValueError("sizes of a renderer are positive")
        if max(self.classes, self.embed) > 16 or max(self.width, self.motion_width) > 128 or self.pose_dims > 16:
            raise ValueError("classes, embed and pose_dims reach 16; width and motion_width 128")
        if len(self.dilations) > 8 or any(not 1 <= dilation <= 8 for dilation in self.dilations):
            raise ValueError(f"a trunk has at most 8 convolutions, dilated by 1 to 8, got {self.dilations}")


class Renderer(nn.Module):
    """Frames from class maps: uint8 or int (n, h, w) and poses float (n, pose_dims) to float (n, 2, 3, h, w), 0-255."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.embedding = nn.Parameter(torch.randn(shape.classes, shape.embed))
        self.stem = nn.Conv2d(4 * shape.embed + 2, width, 3, padding=1)
        self.trunk = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation) for dilation in shape.dilations
        )
        self.last = nn.Conv2d(width, 12, 3, padding=1)
        self.palette = nn.Parameter(torch.randn(shape.classes, 3))
        self.motion = Motion(shape)

    def forward(self, maps: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
        x = self.features(maps)
        last = self.last_frame(maps, x)
        return torch.stack([self.motion(x, poses, last), last], dim=1)

    def features(self, maps: torch.Tensor) -> torch.Tensor:
        """What the trunk makes of class maps, float (n, width, h / 2, w / 2)."""
        embedded = self.embedding[maps.long()].movedim(-1, 1)
        x = torch.cat([F.pixel_unshuffle(embedded, 2), coordinates(embedded)], dim=1)
        x = F.gelu(self.stem(x.contiguous(memory_format=torch.channels_last)))
        for layer in self.trunk:
            x = x + F.gelu(layer(x))
        return x

    def last_frame(self, maps: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """The last frames, float (n, 3, h, w), 0-255, unrounded."""
        drawn = F.pixel_shuffle(self.last(features), 2)
        return torch.sigmoid(drawn + self.palette[maps.long()].movedim(-1, 1)) * 255.0


class Motion(nn.Module):
    """First frames, float (n, 3, h, w), 0-255, unrounded, from features of the trunk, poses and last frames."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.kind, width = shape.motion, shape.motion_width
        self.enter = nn.Conv2d(shape.width, width, 3, padding=1)
        self.film_in = nn.Linear(shape.pose_dims, 2 * width)
        self.film_out = nn.Linear(2 * width, 2 * width)
        self.leave = nn.Conv2d(width, _CHANNELS[shape.motion], 3, padding=1)

    def forward(self, features: torch.Tensor, poses: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        film = _linear(F.gelu(_linear(poses, self.film_in)), self.film_out)
        gain, shift = film[:, :, None, None].chunk(2, dim=1)
        out = self.leave(F.gelu(self.enter(features) * (1.0 + gain) + shift))
        if self.kind == "film":
            return torch.sigmoid(F.pixel_shuffle(out, 2)) * 255.0
        size = (last.shape[-2], last.shape[-1])
        out = F.interpolate(out, size=size, mode="bilinear", align_corners=False)
        place = F.affine_grid(torch.eye(2, 3).expand(len(last), 2, 3), [*last.shape], align_corners=False)
        if self.kind == "warp":
            unit = out.new_tensor([4.0 * _FLOW_PX / size[1], 4.0 * _FLOW_PX / size[0]])
            place = place + torch.tanh(out[:, :2]).movedim(1, -1) * unit
            moved = F.grid_sample(last, place, padding_mode="border", align_corners=False)
            gate = torch.sigmoid(out[:, 2:3])
            return gate * moved + (1.0 - gate) * torch.sigmoid(out[:, 3:]) * 255.0
        place = place * (1.0 + _ZOOM * torch.tanh(out[:, :1])).movedim(1, -1)
        moved = F.grid_sample(last, place, padding_mode="border", align_corners=False)
        return moved + 64.0 * torch.tanh(out[:, 1:])


def _linear(x: torch.Tensor, layer: nn.Linear) -> torch.Tensor:
    """A linear layer row by row: a matrix product's last bits may depend on the other rows of its batch."""
    return (x[:, None] * layer.weight).sum(dim=-1) + layer.bias


def coordinates(like: torch.Tensor) -> torch.Tensor:
    """Two planes at half of the sides of `like` (n, c, h, w): row and column, -1 to 1."""
    rows, columns = like.shape[-2] // 2, like.shape[-1] // 2
    down = torch.linspace(-1.0, 1.0, rows)[:, None].expand(rows, columns)
    right = torch.linspace(-1.0, 1.0, columns)[None].expand(rows, columns)
    return torch.stack([down, right]).expand(len(like), 2, rows, columns)


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight, in the order in which they are packed; takes no memory for them."""
    with torch.device("meta"):
        return {name: tuple(weight.shape) for name, weight in Renderer(shape).named_parameters()}
