"""What the processor computes in one pass is what its parts compute one after the other, and so it is anywhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from lab.evaluator import packed


def drawn(*shape: int) -> torch.Tensor:
    """Random figures, channels-last."""
    figures = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))
    return figures.contiguous(memory_format=torch.channels_last)


def agree(joined: Callable[[torch.Tensor], Any], plain: Callable[[torch.Tensor], Any], x: torch.Tensor) -> None:
    """Both answer alike, at once and one after the other, for several batches; gradients pass."""
    expected = plain(x)
    with torch.inference_mode():
        for n in (len(x), 1):  # a packed weight serves any number of samples
            torch.testing.assert_close(joined(x[:n].clone()), expected[:n], rtol=0, atol=5e-6)
    torch.testing.assert_close(joined(x), expected, rtol=0, atol=5e-6)
    figures = x.clone().requires_grad_(True)
    joined(figures).sum().backward()
    assert figures.grad is not None and figures.grad.abs().sum() > 0


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.SiLU(inplace=True), None])
@pytest.mark.parametrize("groups", [1, 4])
def test_an_activation_moves_into_its_convolution(activation: nn.Module | None, groups: int) -> None:
    torch.manual_seed(3)
    between = [nn.Identity(), activation] if activation else [nn.Identity()]
    network = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, groups=groups), *between, nn.Conv2d(8, 2, 1))
    network.requires_grad_(False).to(memory_format=torch.channels_last)
    x = drawn(3, 4, 9, 7)
    before = network(x)
    joined = packed.pack(network)
    assert isinstance(joined[0], packed.PackedConv) and joined[0].activation is activation
    assert all(isinstance(layer, nn.Identity) for layer in list(joined)[1:-1])
    agree(joined, lambda _: before, x)
    assert joined[0]._packed is not None


@pytest.mark.parametrize("activation", [nn.ReLU(), None])
def test_a_sum_moves_into_its_convolution(activation: nn.Module | None) -> None:
    torch.manual_seed(4)
    conv = nn.Conv2d(6, 6, 1).requires_grad_(False)
    layer = packed.PackedConv(conv, activation)

    def plain(x: torch.Tensor) -> torch.Tensor:
        out = x + conv(x)
        return out if activation is None else activation(out)

    agree(lambda x: layer(x, x.clone()), plain, drawn(3, 6, 5, 4))


@pytest.mark.parametrize("width", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("bias", [True, False])
def test_three_columns_abreast_are_the_columns_one_by_one(width: int, bias: bool) -> None:
    torch.manual_seed(5)
    conv = nn.Conv2d(16, 5, 3, padding=1, bias=bias).requires_grad_(False)
    agree(packed.AbreastConv(conv), conv, drawn(2, 16, 4, width))
