"""The search for side codes: one luma bias and one sub-pixel shift per frame, tried on the real networks.

For every pair the codes move one step at a time to the neighbour that the two networks like best, as long as one
gains more than its bytes cost. The whole side section stays only if the score with it, measured on the decode, is
better than without.

References: the luma-bias and shift side channel of the contest's 1.236 entry.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lab.codecs.filtered.model import BIAS_STEP, SHIFT_STEP, shifted
from lab.training import losses
from lab.training.quantize import round_pixels
from lab.training.targets import Targets, answers

Monitor = Callable[[str, int, int], None]
# What one changed code is taken to cost before the section is really written.
_CODE_BYTES = 0.5
_LIMIT = 127
_JUMPS = (1, -1, 4, -4)


def search(
    model: nn.Module,
    frames: torch.Tensor,
    targets: Targets,
    segnet: nn.Module,
    posenet: nn.Module,
    *,
    pose_slope: float,
    seg_weight: float,
    byte_price: float,
    rounds: int,
    batch: int,
    monitor: Monitor,
) -> NDArray[np.int8]:
    """Side codes of every frame, int8 (N, 2, 3).

    Args:
        model: the post-filter as it is decoded.
        frames: uint8 or float (N, 2, 3, h, w), what it filters.
        pose_slope: what one unit of mean pose distortion costs in score; `seg_weight` likewise.
        byte_price: score per byte.
        rounds: most moves per pair.
        batch: pairs per forward of the filter, as the decoder takes them.
    """
    codes = np.zeros((targets.n_pairs, 2, 3), np.int8)
    with torch.no_grad():
        for start in range(0, targets.n_pairs, batch):
            filtered = model(frames[start : start + batch].float())
            for offset, pair in enumerate(filtered):
                judge = _Judge(pair, targets, start + offset, segnet, posenet, seg_weight, pose_slope)
                codes[start + offset] = _climb(judge, rounds, byte_price * _CODE_BYTES * targets.n_pairs)
            monitor("side codes", min(start + batch, targets.n_pairs), targets.n_pairs)
    return codes


class _Judge:
    """What the networks say of one pair under side codes."""

    def __init__(
        self,
        pair: torch.Tensor,
        targets: Targets,
        index: int,
        segnet: nn.Module,
        posenet: nn.Module,
        seg_weight: float,
        pose_slope: float,
    ) -> None:
        self.pair, self.targets = pair, targets
        self.classes = targets.classes[index].long()[None]
        self.pose = targets.pose[index][None]
        self.segnet, self.posenet = segnet, posenet
        self.seg_weight, self.pose_slope = seg_weight, pose_slope

    def cost(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Distortion in score of several code sets, int (k, 2, 3), as float64 (k,)."""
        shown = round_pixels(torch.stack([self._displaced(code) for code in codes]))
        logits, pose = answers(shown, self.targets.size, self.segnet, self.posenet)
        flips = losses.wrong(logits, self.classes.expand(len(codes), -1, -1)).flatten(1).double().mean(dim=1)
        off = losses.pose_distortion(pose, self.pose.expand(len(codes), -1)).double()
        return (self.seg_weight * flips + self.pose_slope * off).numpy()

    def _displaced(self, code: NDArray[np.int64]) -> torch.Tensor:
        out = self.pair.clone()
        for parity, (bias, down, right) in enumerate(code.tolist()):
            if bias or down or right:
                moved = shifted(self.pair[parity], down * SHIFT_STEP, right * SHIFT_STEP)
                out[parity] = moved + bias * BIAS_STEP
        return out


def _climb(judge: _Judge, rounds: int, price: float) -> NDArray[np.int8]:
    """The codes reached from zero by the best single move, again and again."""
    here = np.zeros((2, 3), np.int64)
    best = float(judge.cost(here[None])[0])
    for _ in range(rounds):
        moves = np.repeat(here[None], 6 * len(_JUMPS), axis=0)
        for number in range(len(moves)):
            place, jump = divmod(number, len(_JUMPS))
            moves[number].reshape(-1)[place] += _JUMPS[jump]
        moves = moves[np.abs(moves).reshape(len(moves), -1).max(axis=1) <= _LIMIT]
        paid = judge.cost(moves) + price * (moves != 0).reshape(len(moves), -1).sum(axis=1)
        winner = int(paid.argmin())
        if paid[winner] >= best - 1e-9:
            break
        here, best = moves[winner], float(paid[winner])
    return here.astype(np.int8)
