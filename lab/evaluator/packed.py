"""Convolutions that a processor computes in one pass with what stands around them: activation, sum, gate.

On a processor, in float32 and without gradients, oneDNN applies the activation, and adds the result to what is there
already, while the sums are still in its registers; weights are arranged once in the order in which its kernels read
them. Anywhere else every module here computes what its parts would.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# Activations that oneDNN computes on a convolution's sums, under its names for them.
_AT_ONCE = {"ReLU": ("relu", ""), "SiLU": ("swish", ""), "GELUTanh": ("gelu", "tanh")}


def at_once(x: torch.Tensor) -> bool:
    """Whether oneDNN may take a convolution of x together with its neighbours."""
    plain = x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    onednn: Any = torch.backends.mkldnn
    return not plain and bool(onednn.is_available()) and not torch.is_grad_enabled()


class PackedConv(nn.Module):
    """A convolution, then a sum with what is there, then an activation, in one pass on the processor.

    Args:
        conv: any convolution.
        activation: one whose class is named in `_AT_ONCE`, or None.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.conv, self.activation = conv, activation
        self.attribute, self.algorithm = ("none", "") if activation is None else _AT_ONCE[type(activation).__name__]
        self._packed: torch.Tensor | None = None

    def forward(self, x: torch.Tensor, onto: torch.Tensor | None = None) -> torch.Tensor:
        """float (N, C, H, W) to (N, O, h, w); `onto`, of the latter shape, is added and may be overwritten."""
        conv = self.conv
        if not at_once(x):
            out = conv(x) if onto is None else onto + conv(x)
            return out if self.activation is None else self.activation(out)  # type: ignore[no-any-return]
        shape: tuple[Any, ...] = (conv.padding, conv.stride, conv.dilation, conv.groups)
        if self._packed is None:
            arrange: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
            self._packed = arrange(conv.weight.to_mkldnn(), *shape, x.shape)
        if onto is None:
            return torch.ops.mkldnn._convolution_pointwise(  # type: ignore[no-any-return]
                x, self._packed, conv.bias, *shape, self.attribute, [], self.algorithm
            )
        named = None if self.attribute == "none" else self.attribute
        return torch.ops.mkldnn._convolution_pointwise_.binary(  # type: ignore[no-any-return]
            onto, x, self._packed, conv.bias, *shape, "add", 1.0, named, [], self.algorithm
        )


def pack(network: nn.Module) -> nn.Module:
    """A network with every convolution packed, together with the activation registered right after it if there is one.

    A norm that was folded away may stand between the two. The order of registration must be that of execution.
    """
    for parent in list(network.modules()):
        if isinstance(parent, PackedConv):
            continue
        children: list[tuple[str, Any]] = list(parent.named_children())
        before = ""
        for name, child in children:
            if isinstance(child, nn.Conv2d):
                setattr(parent, name, PackedConv(child))
                before = name
            elif before and type(child).__name__ in _AT_ONCE:
                setattr(parent, before, PackedConv(getattr(parent, before).conv, child))
                setattr(parent, name, nn.Identity())
                before = ""
            elif not isinstance(child, nn.Identity):
                before = ""
    return network


class GatedBlock(nn.Module):
    """A block of an EfficientNet once its norms are folded: widen, look around, weigh the channels, narrow, add.

    Args:
        block: timm's `InvertedResidual` or `DepthwiseSeparableConv`, its convolutions packed.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        widened = hasattr(block, "conv_pwl")
        self.before = nn.Sequential(*([block.conv_pw, block.conv_dw] if widened else [block.conv_dw]))
        self.gate = nn.Sequential(block.se.conv_reduce, block.se.act1, block.se.conv_expand, block.se.gate)
        self.after: Any = block.conv_pwl if widened else block.conv_pw
        self.has_skip = bool(block.has_skip)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float (N, C, H, W) to (N, O, h, w); x may be overwritten where the block adds to it."""
        wide = self.before(x)
        gate = self.gate(wide.mean((2, 3), keepdim=True))
        wide = wide * gate if torch.is_grad_enabled() else wide.mul_(gate)
        out: torch.Tensor = self.after(wide, x if self.has_skip else None)
        return out


class MixerBlock(nn.Module):
    """A block of a FastViT once its branches are merged: mix in place, then add what two layers make of it.

    Args:
        block: timm's `RepMixerBlock`, merged and folded, its convolutions packed.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.mixer, mlp = block.token_mixer, block.mlp
        scale = getattr(block.layer_scale, "gamma", None)
        if scale is not None:
            narrow = mlp.fc2.conv
            with torch.no_grad():
                narrow.weight.mul_(scale.reshape(-1, 1, 1, 1))
                narrow.bias.mul_(scale.flatten())
        self.wide, self.narrow = nn.Sequential(mlp.conv, mlp.fc1), mlp.fc2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float (N, C, H, W) to the same shape."""
        mixed = self.mixer(x)
        out: torch.Tensor = self.narrow(self.wide(mixed), mixed)
        return out


class AbreastConv(nn.Module):
    """A 3x3 convolution with few outputs, three neighbouring columns at a time, so that they fill a register.

    Args:
        conv: 3x3, padding 1, stride 1.

    Notes:
        A column of the widened convolution sees five columns and answers for three. One that lies before the picture
        is computed and left out, since both sides are padded alike.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        outputs, inputs = conv.weight.shape[:2]
        self.n_outputs = outputs
        weight = conv.weight.new_zeros((3, outputs, inputs, 3, 5))
        for place in range(3):
            weight[place, ..., place : place + 3] = conv.weight.detach()
        bias = weight.new_zeros(outputs) if conv.bias is None else conv.bias.detach()
        wide = nn.Conv2d(inputs, 3 * outputs, (3, 5), stride=(1, 3), padding=(1, 4))
        self.wide = PackedConv(filled(wide, weight.flatten(0, 1), bias.repeat(3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float (N, C, H, W) to (N, O, H, W)."""
        width = x.shape[-1]
        out: torch.Tensor = self.wide(x).movedim(1, -1)
        columns = out.reshape(*out.shape[:2], -1, self.n_outputs)
        return columns[:, :, 3 : 3 + width].movedim(-1, 1)


def filled(conv: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    """A convolution with copies of these frozen weights."""
    conv.weight = nn.Parameter(weight.clone(memory_format=torch.contiguous_format), requires_grad=False)
    conv.bias = nn.Parameter(bias.clone(), requires_grad=False)
    return conv
