"""A transposed convolution of the coarse part answers as doubling it first does, borders and gradients included."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lab.evaluator import upsampled


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
    torch.testing.assert_close(upsampled.UpsampledConv(conv, n_coarse)(coarse, fine), expected, rtol=0, atol=1e-12)


def test_gradients_pass_as_well() -> None:
    conv = nn.Conv2d(5, 4, 3, padding=1, bias=False).double().requires_grad_(False)
    coarse, fine = drawn(1, 3, 4, 4), drawn(1, 2, 8, 8)
    grads = []
    for folded in (True, False):
        inputs = [coarse.clone().requires_grad_(True), fine.clone().requires_grad_(True)]
        if folded:
            out = upsampled.UpsampledConv(conv, 3)(*inputs)
        else:
            out = conv(torch.cat([F.interpolate(inputs[0], scale_factor=2, mode="nearest"), inputs[1]], dim=1))
        out.square().sum().backward()
        grads.append([item.grad for item in inputs])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_another_enlargement_than_twice_is_refused() -> None:
    block = nn.Module()
    block.conv1 = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    block.conv2 = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Identity(), nn.ReLU())
    with pytest.raises(ValueError, match="8x8"):
        upsampled.UpsampledBlock(block, 3)(torch.zeros(1, 3, 4, 4), 9, 8)


def test_a_layer_without_its_rectifier_is_refused() -> None:
    block = nn.Module()
    block.conv1 = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.SiLU())
    with pytest.raises(TypeError, match="rectifier"):
        upsampled.UpsampledBlock(block, 3)


@pytest.mark.parametrize("n_fine", [6, 0])
def test_the_processor_adds_and_rectifies_at_once(n_fine: int) -> None:
    conv = nn.Conv2d(16 + n_fine, 8, 3, padding=1).requires_grad_(False)
    coarse, fine = drawn(3, 16, 5, 6).float(), drawn(3, n_fine, 10, 12).float() if n_fine else None
    layer = upsampled.UpsampledConv(conv, 16, rectified=True)
    plain = layer(coarse, fine)  # with gradients allowed, one operation after the other
    with torch.inference_mode():
        joined = layer(*(x if x is None else x.contiguous(memory_format=torch.channels_last) for x in (coarse, fine)))
    torch.testing.assert_close(joined, plain, rtol=0, atol=1e-5)
    assert float(plain.min()) == 0.0 < float(plain.max())
