"""Estimated bits of weights and latents, differentiable: the rate term of a loss."""

from __future__ import annotations

import math

import torch


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
