"""Averages of weights along a run: exponential, uniform over the end of a stage, and over validated snapshots.

References: B. Polyak and A. Juditsky, "Acceleration of stochastic approximation by averaging", 1992; P. Izmailov et
al., "Averaging weights leads to wider optima and better generalization", UAI 2018.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

Weights = Mapping[str, torch.Tensor]


def copied(weights: Weights) -> dict[str, torch.Tensor]:
    """Detached copies."""
    return {name: value.detach().clone() for name, value in weights.items()}


class Exponential:
    """Moving average: after each step, mean <- decay * mean + (1 - decay) * weights.

    Notes:
        The decay rises as (1 + n) / (10 + n) until it reaches its value, so that early steps are forgotten.
    """

    def __init__(self, weights: Weights, decay: float) -> None:
        self.decay = decay
        self.count = 0
        self.mean = copied(weights)

    @torch.no_grad()
    def update(self, weights: Weights) -> None:
        """Take in the weights after a step."""
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        for name, mean in self.mean.items():
            mean.lerp_(weights[name].detach(), 1.0 - decay)
        self.count += 1


class Uniform:
    """Mean of all weights taken in."""

    def __init__(self, weights: Weights) -> None:
        self.count = 0
        self.mean = {name: torch.zeros_like(value) for name, value in weights.items()}

    @torch.no_grad()
    def update(self, weights: Weights) -> None:
        """Take in one more set of weights."""
        self.count += 1
        for name, mean in self.mean.items():
            mean.lerp_(weights[name].detach(), 1.0 / self.count)


def mean_of(snapshots: Sequence[Weights]) -> dict[str, torch.Tensor]:
    """Mean of several checkpoints' weights.

    Raises:
        ValueError: there are none, or they are not of one architecture.
    """
    if not snapshots:
        raise ValueError("an average needs at least one checkpoint")
    shapes = [{name: tuple(value.shape) for name, value in weights.items()} for weights in snapshots]
    if any(other != shapes[0] for other in shapes[1:]):
        raise ValueError("checkpoints of different architectures have no average")
    return {name: torch.stack([weights[name].detach() for weights in snapshots]).mean(dim=0) for name in snapshots[0]}
