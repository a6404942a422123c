"""Stand-ins of the frozen networks while training: one that costs nothing, and one that is faster and less exact."""

from __future__ import annotations

import torch
from torch import nn


class Silent(nn.Module):
    """A network that always answers zero, float (n, *shape), and costs nothing: for stages that ask none."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(1).expand(len(x), *self.shape)


class Brisk(nn.Module):
    """A frozen network in bfloat16, float32 in and out: for gradients, never for a score.

    Notes:
        About a third less time on processors that multiply bfloat16; its answers differ between processors.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            out: torch.Tensor = self.network(x)
        return out.float()
