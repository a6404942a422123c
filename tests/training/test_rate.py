"""Estimated bits are what coders of that kind spend, and can be descended."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lab.training import rate


def codes(spread: float) -> torch.Tensor:
    """Whole codes of a Laplace law, float (40, 50)."""
    return torch.from_numpy(np.random.default_rng(0).laplace(0.0, spread, (40, 50))).round().float()


def order0_bits(values: torch.Tensor) -> float:
    """Empirical entropy times count."""
    _, counts = np.unique(values.numpy(), return_counts=True)
    share = counts / counts.sum()
    return float(-(counts * np.log2(share)).sum())


@pytest.mark.parametrize("law", rate.LAWS)
@pytest.mark.parametrize("spread", [0.4, 3.0, 20.0])
def test_estimates_lie_near_the_entropy(law: str, spread: float) -> None:
    values = codes(spread)
    assert float(rate.bits_under(law, values)) == pytest.approx(order0_bits(values), rel=0.12)


def test_a_law_per_row_is_cheaper_where_rows_differ() -> None:
    values = codes(1.0) * torch.logspace(0.0, 1.5, 40)[:, None].round()
    assert float(rate.bits_under("laplace-row", values)) < 0.95 * float(rate.bits_under("laplace", values))


@pytest.mark.parametrize("law", rate.LAWS)
def test_descending_an_estimate_saves_bits(law: str) -> None:
    values = codes(3.0) + 0.3
    start = order0_bits(values.round())
    moving = values.clone().requires_grad_()
    optimizer = torch.optim.SGD([moving], lr=0.2)
    for _ in range(30):
        optimizer.zero_grad()
        rate.bits_under(law, moving).backward()
        assert moving.grad is not None and moving.grad.isfinite().all()
        optimizer.step()
    assert order0_bits(moving.detach().round()) < 0.95 * start
