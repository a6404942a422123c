"""Folding is algebra: in float64 the folded form answers as the plain one, borders and gradients included."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lab.evaluator import folding


def drawn(*shape: int) -> torch.Tensor:
    """Random figures in float64."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize(("n_coarse", "n_fine", "size"), [(5, 3, (4, 6)), (4, 0, (3, 5)), (1, 1, (1, 1))])
def test_convolving_before_enlarging_gives_the_same(n_coarse: int, n_fine: int, size: tuple[int, int]) -> None:
    conv = nn.Conv2d(n_coarse + n_fine, 7, 3, padding=1).double().requires_grad_(False)
    coarse = drawn(2, n_coarse, *size)
    fine = drawn(2, n_fine, 2 * size[0], 2 * size[1]) if n_fine else None
    doubled = F.interpolate(coarse, scale_factor=2, mode="nearest")
    expected = conv(doubled if fine is None else torch.cat([doubled, fine], dim=1))
    torch.testing.assert_close(folding.UpsampledConv(conv, n_coarse)(coarse, fine), expected, rtol=0, atol=1e-12)


def test_gradients_pass_as_well() -> None:
    conv = nn.Conv2d(5, 4, 3, padding=1, bias=False).double().requires_grad_(False)
    coarse, fine = drawn(1, 3, 4, 4), drawn(1, 2, 8, 8)
    grads = []
    for folded in (True, False):
        inputs = [coarse.clone().requires_grad_(True), fine.clone().requires_grad_(True)]
        if folded:
            out = folding.UpsampledConv(conv, 3)(*inputs)
        else:
            out = conv(torch.cat([F.interpolate(inputs[0], scale_factor=2, mode="nearest"), inputs[1]], dim=1))
        out.square().sum().backward()
        grads.append([item.grad for item in inputs])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


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


def test_another_enlargement_than_twice_is_refused() -> None:
    block = nn.Module()
    block.conv1 = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    block.conv2 = nn.ReLU()
    with pytest.raises(ValueError, match="8x8"):
        folding.UpsampledBlock(block, 3)(torch.zeros(1, 3, 4, 4), 9, 8)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.SiLU(inplace=True)])
@pytest.mark.parametrize("groups", [1, 4])
def test_an_activation_moves_into_its_convolution_on_the_processor_alone(activation: nn.Module, groups: int) -> None:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, groups=groups), nn.Identity(), activation, nn.Conv2d(8, 2, 1))
    network.requires_grad_(False).to(memory_format=torch.channels_last)
    x = torch.randn(3, 4, 9, 7).contiguous(memory_format=torch.channels_last)
    before = network(x)
    joined = folding.join_activations(network)
    assert isinstance(joined[0], folding.ActivatedConv) and isinstance(joined[2], nn.Identity)
    with torch.inference_mode():
        torch.testing.assert_close(joined(x), before, rtol=0, atol=2e-6)
        assert joined[0]._packed is not None
        torch.testing.assert_close(joined(x[:1]), before[:1], rtol=0, atol=2e-6)
    x.requires_grad_(True)
    joined(x).sum().backward()  # gradients take the plain way
    assert x.grad is not None and x.grad.abs().sum() > 0
