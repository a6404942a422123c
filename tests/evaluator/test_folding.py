"""Folding is algebra: in float64 the folded form answers as the plain one."""

from __future__ import annotations

import copy

import torch
from torch import nn

from lab.evaluator import folding


def drawn(*shape: int) -> torch.Tensor:
    """Random figures in float64."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def test_a_norm_is_folded_with_its_activation_kept() -> None:
    class Activated(nn.BatchNorm2d):
        def __init__(self) -> None:
            super().__init__(4)
            self.act = nn.SiLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(super().forward(x))

    network = nn.Sequential(nn.Conv2d(3, 4, 3), Activated(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)).double().eval()
    for norm in (network[1], network[3]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
        norm.weight.data.uniform_(0.5, 2.0)
    x = drawn(2, 3, 6, 6)
    before = network(x)
    torch.testing.assert_close(folding.fold_norms(network)(x), before, rtol=0, atol=1e-12)
    assert [type(layer).__name__ for layer in network] == ["Conv2d", "SiLU", "Conv2d", "Identity"]


def test_a_folded_weight_is_rounded_once() -> None:
    """It is the float32 nearest to what float64 gives, so that folding adds as little rounding as it can."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(5, 64, 3), nn.BatchNorm2d(64)).eval()
    norm = network[1]
    for values, low in ((norm.running_mean, -1.0), (norm.running_var, 0.5), (norm.weight.data, 0.5)):
        values.uniform_(low, 2.0)
    exact = folding.fold_norms(copy.deepcopy(network).double())[0]
    rounded = folding.fold_norms(network)[0]
    assert rounded.weight.dtype == rounded.bias.dtype == torch.float32
    assert torch.equal(rounded.weight, exact.weight.float()) and torch.equal(rounded.bias, exact.bias.float())
