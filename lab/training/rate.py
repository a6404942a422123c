"""Estimated bits of weights and latents, differentiable: the rate term of a loss.

    laplace         a Laplace law per tensor
    laplace-row     a Laplace law per row of a tensor
    binned          the entropy of a histogram whose bins are soft, as the published HNeRV entry counts it

References: the public HNeRV entry's entropy term ("C1a"): Gaussian bins of width 0.2; anchors of the rate-aware idea.
"""

from __future__ import annotations

import math

import torch

LAWS = ("laplace", "laplace-row", "binned")
_SOFTNESS = 0.2
_SAMPLES = 2000


def bits_under(law: str, codes: torch.Tensor) -> torch.Tensor:
    """Estimated bits of a tensor's codes before rounding under one of LAWS."""
    if law == "binned":
        return binned_bits(codes)
    return laplace_bits(codes, tuple(range(1, codes.dim())) if law == "laplace-row" else None)


def binned_bits(codes: torch.Tensor) -> torch.Tensor:
    """Entropy of codes whose histogram is soft, times their number.

    Args:
        codes: float, codes before rounding; gradients reach at most 2,000 of them, evenly spaced.

    Notes:
        Each code falls into its nearest bin and that bin's two neighbours by exp(-d^2 / (2 0.2^2)), normalized.
    """
    flat = codes.reshape(-1)
    sample = flat[:: -(-flat.numel() // _SAMPLES)]
    near = sample.detach().round()[:, None] + torch.arange(-1.0, 2.0)
    shares = torch.softmax(-(sample[:, None] - near).square() / (2.0 * _SOFTNESS**2), dim=1)
    places = (near - near.min()).long().reshape(-1)
    histogram = torch.zeros(int(places.max()) + 1).index_add(0, places, shares.reshape(-1)) / len(sample)
    return -(histogram * torch.log2(histogram.clamp_min(1e-9))).sum() * flat.numel()


def laplace_bits(codes: torch.Tensor, dims: tuple[int, ...] | None = None) -> torch.Tensor:
    """Estimated bits of integer codes under a Laplace law whose scale is their own mean magnitude.

    Args:
        codes: float, codes before rounding (w / step); gradients reach them.
        dims: dimensions over which one scale holds, all of them by default.

    Notes:
        P(q) = F(q + 1/2) - F(q - 1/2), the Laplace law of scale b integrated over the quantization cell: with
        m = |q|, exp(-(m - 1/2) / b) (1 - exp(-1 / b)) / 2 beyond one half, 1 - exp(-1 / 2b) cosh(m / b) inside.
    """
    over = dims if dims is not None else tuple(range(codes.dim()))
    scale = codes.detach().abs().mean(dim=over, keepdim=True).clamp_min(0.02)
    magnitude = codes.abs()
    # Both branches stay finite everywhere, because `where` multiplies the gradient of the unused one by zero.
    inside = 1.0 - torch.exp(-0.5 / scale) * torch.cosh(magnitude.clamp_max(0.5) / scale)
    outside = -(magnitude - 0.5).clamp_min(0.0) / scale + torch.log(-0.5 * torch.expm1(-1.0 / scale))
    log_p = torch.where(magnitude < 0.5, torch.log(inside.clamp_min(1e-9)), outside)
    return -log_p.sum() / math.log(2.0)
