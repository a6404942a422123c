"""A clip and two networks small enough to train on in a test."""

from __future__ import annotations

import fakes
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lab.training import targets
from lab.training.targets import Targets

GRID = fakes.MODEL
N_PAIRS = 4


def networks(seed: int = 7) -> tuple[nn.Module, nn.Module]:
    """Frozen (segnet, posenet) with seeded random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = fakes.segnet().eval(), fakes.posenet().eval()
    for network in built:
        network.requires_grad_(False)
    return built


def source(n_pairs: int = N_PAIRS) -> NDArray[np.uint8]:
    """Pairs on the grid, uint8 (N, 2, h, w, 3)."""
    frames = fakes.drawn_frames(2 * n_pairs, GRID)
    return np.stack(frames).reshape(n_pairs, 2, *GRID, 3)


def damaged(n_pairs: int = N_PAIRS) -> NDArray[np.uint8]:
    """The same pairs with coarse steps and a shift of colour, as a codec might leave them."""
    pairs = source(n_pairs).astype(np.int64)
    return np.clip(pairs // 24 * 24 + 20, 0, 255).astype(np.uint8)


def reference(n_pairs: int = N_PAIRS) -> Targets:
    """The networks' answers on the source."""
    return targets.compute(source(n_pairs), GRID, *networks())
