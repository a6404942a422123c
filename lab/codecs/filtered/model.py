"""Post-filters: small residual networks on the model grid, and the affine moves and biases that go beside them.

Every filter maps the pairs of a decode to corrections that are added to them. The last layer starts at zero, so that
an untrained filter changes nothing. Sizes below are those of the view "pair", which sees both frames of a pair at
once (6 channels in, 6 out); the view "frame" filters each frame alone (3 in, 3 out).

    standard        three 3x3 convolutions, field of view 7x7
    dilated         the same with dilations 1, 2, 4, field of view 15x15 at the same size
    pixel-shuffle   2x2 blocks to channels, four 3x3 convolutions at half resolution, and back
    separable       1x1 convolutions with 3x3 depthwise ones between them
    psd             pixel-shuffle with a second convolution of dilation 2
    attention       standard, its correction gated per pixel and its features gated per channel
    multi-scale     features at full and at half resolution, added
    shift           standard, beside a luma bias, a contrast and a sub-pixel affine move per frame

References: the post-filters of the contest's REN entries and of the task-aware-compression library, whose names
these are; J. Hu et al., "Squeeze-and-excitation networks", CVPR 2018; W. Shi et al., "Real-time single image and video
super-resolution using an efficient sub-pixel convolutional neural network", CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

ARCHITECTURES = (
    "standard",
    "dilated",
    "pixel-shuffle",
    "separable",
    "psd",
    "attention",
    "multi-scale",
    "shift",
)
VIEWS = ("frame", "pair")
MAX_HIDDEN = 256
# The side codes of a frame, in order, and what one step of them is worth.
SIDE = ("bias", "contrast", "down", "right", "stretch", "widen", "lean", "turn", "pitch", "yaw")
BIAS_STEP, CONTRAST_STEP, SHIFT_STEP, SLOPE_STEP = 0.5, 1 / 128, 1 / 16, 1 / 8
RENDER_PAIRS = 8


class _Gated(nn.Module):
    """Three convolutions whose features are gated per channel and whose correction is gated per pixel."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.channel_gate = nn.Conv2d(hidden, hidden, 1)
        self.pixel_gate = nn.Conv2d(hidden, 1, 1)
        self.last = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.second(F.relu(self.first(x))))
        x = x * torch.sigmoid(self.channel_gate(x.mean(dim=(2, 3), keepdim=True)))
        out: torch.Tensor = self.last(x) * torch.sigmoid(self.pixel_gate(x))
        return out


class _MultiScale(nn.Module):
    """Features at full resolution plus features at half of it."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(channels, hidden, 3, padding=1)
        self.coarse = nn.Conv2d(channels, hidden, 3, padding=1)
        self.deep = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.last = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        coarse = F.relu(self.deep(F.relu(self.coarse(F.avg_pool2d(x, 2, ceil_mode=True)))))
        coarse = F.interpolate(coarse, scale_factor=2.0, mode="nearest")[..., : x.shape[-2], : x.shape[-1]]
        out: torch.Tensor = self.last(F.relu(self.fine(x)) + coarse)
        return out


def _chain(channels: int, hidden: int, dilations: tuple[int, ...]) -> nn.Sequential:
    """3x3 convolutions with rectifiers between them."""
    widths = [channels] + [hidden] * (len(dilations) - 1) + [channels]
    layers: list[nn.Module] = []
    for inputs, outputs, dilation in zip(widths, widths[1:], dilations, strict=False):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _separable(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
        nn.Conv2d(hidden, hidden, 1),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
        nn.Conv2d(hidden, channels, 1),
    )


def _body(architecture: str, channels: int, hidden: int) -> nn.Module:
    if architecture in ("standard", "shift"):
        return _chain(channels, hidden, (1, 1, 1))
    if architecture == "dilated":
        return _chain(channels, hidden, (1, 2, 4))
    if architecture == "pixel-shuffle":
        return _chain(4 * channels, hidden, (1, 1, 1, 1))
    if architecture == "psd":
        return _chain(4 * channels, hidden, (1, 2, 1, 1))
    if architecture == "separable":
        return _separable(channels, hidden)
    return _Gated(channels, hidden) if architecture == "attention" else _MultiScale(channels, hidden)


class PostFilter(nn.Module):
    """Corrections to the pairs of a decode: float (N, 2, 3, h, w), 0-255, to the same, neither clamped nor rounded.

    The view "frame" also takes one frame per pair, (N, 1, 3, h, w), and gives it twice.

    Args:
        architecture: one of ARCHITECTURES.
        hidden: width of the inner layers, 1 to 256.
        view: one of VIEWS.

    Raises:
        ValueError: unknown architecture, view or width; the message lists the known ones.
    """

    def __init__(self, architecture: str, hidden: int, view: str) -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f"post-filter must be one of {', '.join(ARCHITECTURES)}, got {architecture!r}")
        if view not in VIEWS:
            raise ValueError(f"view must be one of {', '.join(VIEWS)}, got {view!r}")
        if not 1 <= hidden <= MAX_HIDDEN:
            raise ValueError(f"hidden must be 1 to {MAX_HIDDEN}, got {hidden}")
        self.channels = 6 if view == "pair" else 3
        self.shuffled = architecture in ("pixel-shuffle", "psd")
        self.body = _body(architecture, self.channels, hidden)
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        last = [module for module in self.body.modules() if isinstance(module, nn.Conv2d)][-1]
        if isinstance(self.body, _Gated):
            last = self.body.last
        nn.init.zeros_(last.weight)
        if last.bias is not None:
            nn.init.zeros_(last.bias)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        height, width = frames.shape[-2:]
        x = frames.reshape(-1, self.channels, height, width)
        x = ((x - 127.5) / 63.75).contiguous(memory_format=torch.channels_last)
        if self.shuffled:
            # An odd last row or column is repeated for the time of the filter.
            x = F.pixel_unshuffle(F.pad(x, (0, width % 2, 0, height % 2), mode="replicate"), 2)
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.body(x)
        if self.shuffled:
            x = F.pixel_shuffle(x, 2)[..., :height, :width]
        out = frames + 63.75 * x.reshape(frames.shape)
        # Where first frames are not coded, a pair is its last frame twice, until its side codes move the first.
        return out.expand(-1, 2, -1, -1, -1)


class SteeredFilter(PostFilter):
    """A post-filter and the side codes behind it, for training with both: takes frames and int8 codes (N, 2, 10)."""

    def forward(self, frames: torch.Tensor, side: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        out = super().forward(frames)
        return steered(out.flatten(0, 1), side.flatten(0, 1)).reshape(out.shape)


def build_postfilter(
    architecture: str, hidden: int = 16, view: str = "pair", seed: int = 0, kind: type[PostFilter] = PostFilter
) -> PostFilter:
    """A post-filter with seeded weights that changes nothing yet.

    Raises:
        ValueError: unknown architecture, view or width.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(architecture, hidden, view)


def render(model: nn.Module, frames: torch.Tensor, side: torch.Tensor | None = None) -> Iterator[torch.Tensor]:
    """Filtered pairs, uint8 (n, 2, 3, h, w) batch after batch: what encoder and decoder both call.

    Args:
        frames: uint8 or float (N, 2, 3, h, w), 0-255; or (N, 1, 3, h, w) where first frames are not coded.
        side: int8 (N, 2, 10), the codes of every frame in the order of SIDE, or None.

    Notes:
        Batch size, layout and thread count are fixed, because they decide the last bit of a convolution.
    """
    former = torch.get_num_threads()
    for start in range(0, len(frames), RENDER_PAIRS):
        stop = start + RENDER_PAIRS
        torch.set_num_threads(1)
        try:
            with torch.no_grad():
                out = model(frames[start:stop].float())
                if side is not None:
                    out = steered(out.flatten(0, 1), side[start:stop].flatten(0, 1)).reshape(out.shape)
                out = out.round().clamp(0.0, 255.0).to(torch.uint8)
        finally:
            torch.set_num_threads(former)
        yield out


def steered(frames: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
    """Frames moved by an affine map and changed in brightness and contrast, each by its own codes.

    Args:
        frames: float (n, 3, h, w), 0-255.
        side: int8 or int64 (n, 10), see SIDE.

    Notes:
        At row r and column c, both -1 to 1, a frame moves
            down    d + s r + l c + p r^2 + y r c    pixels
            right   e + w c + t r + p r c + y c^2    pixels
        with d, e in steps of SHIFT_STEP and stretch s, widen w, lean l, turn t, pitch p, yaw y in steps of SLOPE_STEP:
        a shift, four linear terms, and the flows of a camera that pitches or yaws. Samples are bilinear, edges
        repeat. A frame whose codes are all zero is left as it is, to the bit.
    """
    moved = (side[:, 2:] != 0).any(dim=1).nonzero()[:, 0]
    out = frames.clone()
    if len(moved):
        out[moved] = _sampled(frames[moved], side[moved].float())
    bias = side[:, 0].float() * BIAS_STEP
    gain = side[:, 1].float() * CONTRAST_STEP
    lit = (side[:, :2] != 0).any(dim=1).nonzero()[:, 0]
    if len(lit):
        part = out[lit]
        out[lit] = part + ((part - 128.0) * gain[lit, None, None, None] + bias[lit, None, None, None])
    return out


def _sampled(frames: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
    """Bilinear samples of frames at displaced places, edges repeated, float (n, 3, h, w)."""
    height, width = frames.shape[-2:]
    row = torch.linspace(-1.0, 1.0, height)[None, :, None]
    column = torch.linspace(-1.0, 1.0, width)[None, None, :]
    down, right = (side[:, at, None, None] * SHIFT_STEP for at in (2, 3))
    stretch, widen, lean, turn, pitch, yaw = (side[:, at, None, None] * SLOPE_STEP for at in range(4, 10))
    # A pixel is this much of the grid, whose corners lie at -1 and 1.
    per_row, per_column = 2.0 / max(height - 1, 1), 2.0 / max(width - 1, 1)
    y = row - per_row * (down + stretch * row + lean * column + pitch * row * row + yaw * row * column)
    x = column - per_column * (right + widen * column + turn * row + pitch * row * column + yaw * column * column)
    places = torch.stack([x.expand_as(y), y], dim=-1)
    return F.grid_sample(frames, places, mode="bilinear", padding_mode="border", align_corners=True)
