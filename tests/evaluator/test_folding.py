"""Folding is algebra: in float64 the folded form answers as the plain one."""

from __future__ import annotations

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
