"""The same network with less to do: batch norms folded into convolutions, scales into the layer before them.

This is algebra on frozen weights. The folded network computes the same function; only the order of sums, and so the
last digits, differ, as they do between any two batch sizes or numbers of threads.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


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
                before.weight, before.bias = _fused(before, child)
                setattr(parent, name, _activation(child))
            before = child
    return network.requires_grad_(False)


def _fused(conv: nn.Conv2d, norm: Any) -> tuple[nn.Parameter, nn.Parameter]:
    """Weight and bias of a convolution with a norm after it, computed in float64 and rounded once."""
    statistics = (norm.running_mean.double(), norm.running_var.double(), norm.eps)
    weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, norm.weight.double(), norm.bias.double())
    return weight, nn.Parameter(bias.to(weight.dtype), requires_grad=False)


def _activation(norm: nn.Module) -> nn.Module:
    """What is left of a norm once it is folded: the activation that some of timm's norms end with."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()
