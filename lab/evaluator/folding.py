"""The same network with less to do: norms folded, activations computed by convolutions, enlargements put off.

Everything here is algebra on frozen weights. The folded network computes the same function; only the order of sums, and
so the last digits, differ, as they do between any two batch sizes or numbers of threads.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Rows (or columns) of a 3-tap kernel that meet in one source row once each row was doubled: per phase, per tap.
_MEETING = (((0,), (1, 2)), ((0, 1), (2,)))


def fold_norms(network: nn.Module) -> nn.Module:
    """A network in evaluation mode with every batch norm folded into the convolution registered right before it.

    A norm that ends in an activation keeps the activation. Only pairs whose channels agree are folded; the order of
    registration is that of execution in the networks that this is used for, which their tests check by value.
    """
    for parent in list(network.modules()):
        children: list[tuple[str, Any]] = list(parent.named_children())
        before: Any = None
        for name, child in children:
            pair = isinstance(before, nn.Conv2d) and isinstance(child, nn.BatchNorm2d)
            if pair and before.out_channels == child.num_features:
                folded = fuse_conv_bn_eval(before, child)
                before.weight, before.bias = folded.weight, folded.bias
                setattr(parent, name, _activation(child))
            before = child
    return network.requires_grad_(False)


# Activations that oneDNN computes on a convolution's sums before they leave the registers, under its names for them.
_AT_ONCE = {"ReLU": ("relu", ""), "SiLU": ("swish", ""), "GELUTanh": ("gelu", "tanh")}


class ActivatedConv(nn.Module):
    """A convolution and the activation after it in one pass on the processor, and as they were anywhere else.

    Args:
        conv: any convolution.
        activation: its class is named in `_AT_ONCE`.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module) -> None:
        super().__init__()
        self.conv, self.activation = conv, activation
        self.attribute, self.algorithm = _AT_ONCE[type(activation).__name__]
        self._packed: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        plain = x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
        onednn: Any = torch.backends.mkldnn
        if plain or not onednn.is_available() or torch.is_grad_enabled():
            return self.activation(self.conv(x))  # type: ignore[no-any-return]
        conv = self.conv
        shape: tuple[Any, ...] = (conv.padding, conv.stride, conv.dilation, conv.groups)
        if self._packed is None:  # weights in the order in which the kernel reads them, arranged once
            arrange: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
            self._packed = arrange(conv.weight.to_mkldnn(), *shape, x.shape)
        sums = (x, self._packed, conv.bias, *shape)
        return torch.ops.mkldnn._convolution_pointwise(  # type: ignore[no-any-return]
            *sums, self.attribute, [], self.algorithm
        )


def join_activations(network: nn.Module) -> nn.Module:
    """A network with every activation computed by the convolution registered right before it, where that can be."""
    for parent in list(network.modules()):
        children: list[tuple[str, Any]] = list(parent.named_children())
        before: tuple[str, Any] = ("", None)
        for name, child in children:
            if isinstance(child, nn.Identity):
                continue
            if isinstance(before[1], nn.Conv2d) and type(child).__name__ in _AT_ONCE:
                setattr(parent, before[0], ActivatedConv(before[1], child))
                setattr(parent, name, nn.Identity())
            before = (name, child)
    return network


def _activation(norm: nn.Module) -> nn.Module:
    """What is left of a norm once it is folded: the activation that some of timm's norms end with."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()


class UpsampledConv(nn.Module):
    """A 3x3 convolution of [coarse doubled to the fine grid, fine], without ever doubling the coarse part.

    Each pixel of the doubled grid sees three rows and columns that come from two coarse ones, so one 2x2 convolution
    per phase of the doubled grid, on the coarse grid, gives the same sums with 4 instead of 9 products each.

    Args:
        conv: 3x3, padding 1, stride 1, with the coarse channels first.
        n_coarse: how many of its input channels are coarse.
    """

    def __init__(self, conv: nn.Conv2d, n_coarse: int) -> None:
        super().__init__()
        weight = conv.weight.detach()
        coarse = weight[:, :n_coarse].double()
        phases = [_phase(coarse, row, column) for row in (0, 1) for column in (0, 1)]
        self.n_outputs = weight.shape[0]
        self.coarse = nn.Parameter(torch.cat(phases).to(weight.dtype), requires_grad=False)
        self.fine = nn.Parameter(weight[:, n_coarse:].clone(), requires_grad=False)
        bias = torch.zeros(self.n_outputs, dtype=weight.dtype) if conv.bias is None else conv.bias.detach()
        self.bias = nn.Parameter(bias.clone(), requires_grad=False)

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor | None) -> torch.Tensor:
        """float (N, C, H, W) and (N, D, 2H, 2W) to (N, O, 2H, 2W)."""
        height, width = coarse.shape[-2:]
        sums = F.conv2d(coarse, self.coarse, padding=1)
        if fine is None:
            shape = (len(coarse), self.n_outputs, 2 * height, 2 * width)
            out = self.bias[:, None, None].expand(shape).contiguous(memory_format=torch.channels_last)
        else:
            out = F.conv2d(fine, self.fine, self.bias, padding=1)
        for phase, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            outputs = slice(phase * self.n_outputs, (phase + 1) * self.n_outputs)
            out[:, :, row::2, column::2] += sums[:, outputs, row : row + height, column : column + width]
        return out


def _phase(weight: torch.Tensor, row: int, column: int) -> torch.Tensor:
    """The 2x2 kernel of one phase, from kernels (O, C, 3, 3)."""
    rows = torch.stack([weight[:, :, list(taps)].sum(dim=2) for taps in _MEETING[row]], dim=2)
    return torch.stack([rows[..., list(taps)].sum(dim=3) for taps in _MEETING[column]], dim=3)


class UpsampledBlock(nn.Module):
    """A decoder block of a Unet after its norms were folded: enlarge twice, join, convolve twice."""

    def __init__(self, block: Any, n_coarse: int) -> None:
        super().__init__()
        conv1, *rest = block.conv1
        self.joined = UpsampledConv(conv1, n_coarse)
        self.rest = nn.Sequential(*rest, block.conv2)

    def forward(
        self, feature_map: torch.Tensor, target_height: int, target_width: int, skip_connection: Any = None
    ) -> torch.Tensor:
        """As the block that it replaces; the target must be twice the feature map."""
        height, width = feature_map.shape[-2:]
        if (target_height, target_width) != (2 * height, 2 * width):
            raise ValueError(f"expected a target of {2 * height}x{2 * width}, got {target_height}x{target_width}")
        out: torch.Tensor = self.rest(self.joined(feature_map, skip_connection))
        return out
