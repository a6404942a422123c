"""Enlarging in a decoder without enlarging: what is doubled and then convolved is one transposed convolution."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from lab.evaluator.packed import PackedConv, at_once, filled


class UpsampledConv(nn.Module):
    """A 3x3 convolution of [coarse doubled to the fine grid, fine], without ever doubling the coarse part.

    Each coarse pixel reaches 4x4 fine ones, so the coarse part is one transposed convolution of stride two: 4 instead
    of 9 products for each fine pixel.

    Args:
        conv: 3x3, padding 1, stride 1, with the coarse channels first.
        n_coarse: how many of its input channels are coarse.
        rectified: a rectifier follows.
    """

    def __init__(self, conv: nn.Conv2d, n_coarse: int, *, rectified: bool = False) -> None:
        super().__init__()
        weight = conv.weight.detach()
        self.rectified = rectified
        self.coarse = nn.Parameter(_spread(weight[:, :n_coarse]), requires_grad=False)
        bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().clone()
        self.bias: nn.Parameter | None = None
        self.fine: PackedConv | None = None
        if n_coarse == conv.in_channels:
            self.bias = nn.Parameter(bias, requires_grad=False)
        else:
            fine = nn.Conv2d(conv.in_channels - n_coarse, len(weight), 3, padding=1)
            self.fine = PackedConv(filled(fine, weight[:, n_coarse:], bias), nn.ReLU() if rectified else None)

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor | None) -> torch.Tensor:
        """float (N, C, H, W) and (N, D, 2H, 2W) to (N, O, 2H, 2W)."""
        ends = self.rectified and self.fine is None
        if at_once(coarse):
            attribute = "relu" if ends else "none"
            doubled: torch.Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
                coarse, self.coarse, self.bias, [1, 1], [0, 0], [2, 2], [1, 1], 1, attribute, [], ""
            )
        else:
            doubled = F.conv_transpose2d(coarse, self.coarse, self.bias, stride=2, padding=1)
            doubled = doubled.relu() if ends else doubled
        if self.fine is None:
            return doubled
        out: torch.Tensor = self.fine(fine, doubled)
        return out


def _spread(weight: torch.Tensor) -> torch.Tensor:
    """Kernels (O, C, 3, 3) after doubling, as kernels (C, O, 4, 4) of a transposed convolution before it."""
    wide = torch.zeros(*weight.shape[:2], 4, 4, dtype=torch.float64, device=weight.device)
    for row in range(3):
        for column in range(3):
            tap = weight[:, :, row, column].double()
            wide[:, :, 2 - row : 4 - row, 2 - column : 4 - column] += tap[:, :, None, None]
    return wide.transpose(0, 1).contiguous().to(weight.dtype)


class UpsampledBlock(nn.Module):
    """A decoder block of a Unet after its norms were folded: enlarge twice, join, convolve twice."""

    def __init__(self, block: Any, n_coarse: int) -> None:
        super().__init__()
        self.joined = UpsampledConv(_rectified(block.conv1), n_coarse, rectified=True)
        self.last = PackedConv(_rectified(block.conv2), nn.ReLU())

    def forward(
        self, feature_map: torch.Tensor, target_height: int, target_width: int, skip_connection: Any = None
    ) -> torch.Tensor:
        """As the block that it replaces; the target must be twice the feature map."""
        height, width = feature_map.shape[-2:]
        if (target_height, target_width) != (2 * height, 2 * width):
            raise ValueError(f"expected a target of {2 * height}x{2 * width}, got {target_height}x{target_width}")
        out: torch.Tensor = self.last(self.joined(feature_map, skip_connection))
        return out


def _rectified(layers: Any) -> nn.Conv2d:
    """The convolution of a folded layer that ends in a rectifier.

    Raises:
        TypeError: the layer is another one.
    """
    conv, *rest = (layer for layer in layers if not isinstance(layer, nn.Identity))
    if not isinstance(conv, nn.Conv2d) or [type(layer) for layer in rest] != [nn.ReLU]:
        raise TypeError(f"expected a convolution and a rectifier, got {layers}")
    return conv
