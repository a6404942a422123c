"""The search for side codes: brightness, contrast and a sub-pixel affine move per frame, tried on the real networks.

SegNet never sees the first frame of a pair, so its six degrees of motion are free to set PoseNet right; the last frame
may move as well, if both networks together like it. A few Gauss-Newton steps find the first frame's codes, then single
steps improve both as long as one gains more than its bytes cost. The whole section stays only if the score with it,
measured on the decode, is better than without.

References: the luma-bias and shift side channel of the contest's 1.236 entry, here with the affine terms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lab.codecs.filtered.model import SIDE, steered
from lab.evaluator import preprocess
from lab.training import losses
from lab.training.quantize import round_pixels
from lab.training.targets import Targets

Monitor = Callable[[str, int, int], None]
# What one further code that is not zero is taken to cost before the section is really written.
_CODE_BYTES = 0.7
_LIMIT = 127
_FIRST, _LAST = 0, 1
_LAST_CODES = 4  # bias, contrast, down and right: the last frame also has to please SegNet
_NEWTON, _TRIES, _PROBE = 6, 3, 3
_POLISH_FIRST, _POLISH_LAST = 4, 2
_GAIN = 1e-7
_STILL = np.zeros((1, len(SIDE)), np.int64)


def search(
    model: nn.Module,
    frames: torch.Tensor,
    targets: Targets,
    segnet: nn.Module,
    posenet: nn.Module,
    *,
    start: NDArray[np.int8] | None,
    polish: bool,
    pose_slope: float,
    seg_weight: float,
    byte_price: float,
    batch: int,
    monitor: Monitor,
) -> NDArray[np.int8]:
    """Side codes of every frame, int8 (N, 2, 10).

    Args:
        model: the post-filter as it is decoded.
        frames: uint8 or float (N, 2, 3, h, w), what it filters.
        start: codes to begin with; without them every pair begins with those of the pair before, or none.
        polish: whether single steps follow the solution.
        pose_slope: what one unit of mean pose distortion costs in score; `seg_weight` likewise.
        byte_price: score per byte.
        batch: pairs per forward of the filter, as the decoder takes them.
    """
    codes = np.zeros((targets.n_pairs, 2, len(SIDE)), np.int8) if start is None else start.copy()
    price = byte_price * _CODE_BYTES * targets.n_pairs
    with torch.no_grad():
        for first in range(0, targets.n_pairs, batch):
            filtered = model(frames[first : first + batch].float())
            for offset, pair in enumerate(filtered):
                judge = _Judge(pair, targets, first + offset, segnet, posenet, seg_weight, pose_slope)
                at = first + offset
                before = codes[at] if start is not None else codes[max(at - 1, 0)]
                codes[at] = _settle(judge, before.astype(np.int64), price, polish)
            monitor("side codes", min(first + batch, targets.n_pairs), targets.n_pairs)
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
        self.still = self._planes(_LAST, _STILL)

    def _shown(self, parity: int, codes: NDArray[np.int64]) -> torch.Tensor:
        """One frame under several code sets, float (k, 3, h, w), rounded."""
        frame = self.pair[parity][None].expand(len(codes), -1, -1, -1)
        return round_pixels(steered(frame, torch.from_numpy(codes)))

    def _planes(self, parity: int, codes: NDArray[np.int64]) -> torch.Tensor:
        """What PoseNet reads of one frame under several code sets, float (k, 6, h / 2, w / 2)."""
        shown = self._shown(parity, codes)
        # Two candidates at a time pose as a pair, so that none is converted twice.
        even = shown if len(shown) % 2 == 0 else torch.cat([shown, shown[-1:]])
        planes = preprocess.posenet_input(even.reshape(-1, 2, *shown.shape[1:]), self.targets.size)
        return planes.reshape(len(even), -1, *planes.shape[2:])[: len(shown)]

    def segnet_cost(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """SegNet's part of the score for codes of the last frame, int (k, 10), as float64 (k,)."""
        logits = self.segnet(self._shown(_LAST, codes).contiguous(memory_format=torch.channels_last))
        flips = losses.wrong(logits, self.classes.expand(len(codes), -1, -1))
        cost: NDArray[np.float64] = self.seg_weight * flips.flatten(1).double().mean(dim=1).numpy()
        return cost

    def pose_of(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far the scored outputs are off for codes of both frames, float64 (k, 6).

        Either may be one set for all, int (1, 10).
        """
        one = self._planes(_FIRST, first)
        other = self.still if last is _STILL else self._planes(_LAST, last)
        most = max(len(one), len(other))
        planes = torch.cat([one.expand(most, -1, -1, -1), other.expand(most, -1, -1, -1)], dim=1)
        found = self.posenet(planes.contiguous(memory_format=torch.channels_last))
        out: NDArray[np.float64] = (found - self.pose)[:, : losses.SCORED_POSE_OUTPUTS].double().numpy()
        return out

    def posenet_cost(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
        """PoseNet's part of the score, float64 (k,); arguments as `pose_of`."""
        cost: NDArray[np.float64] = self.pose_slope * np.square(self.pose_of(first, last)).mean(axis=1)
        return cost


def _settle(judge: _Judge, before: NDArray[np.int64], price: float, polish: bool) -> NDArray[np.int8]:
    """The codes of one pair: damped Gauss-Newton on the first frame, then single steps on either frame."""
    here = before.copy()
    seg = float(judge.segnet_cost(here[None, _LAST])[0])
    here[_FIRST], best = _solve(judge, here, seg, price)
    if not polish:
        return here.astype(np.int8)
    for _ in range(_POLISH_FIRST):
        moves = _neighbours(here[_FIRST], len(SIDE))
        paid = seg + judge.posenet_cost(moves, here[None, _LAST]) + price * _weight(moves, here[_LAST])
        winner = int(paid.argmin())
        if paid[winner] >= best - _GAIN:
            break
        here[_FIRST], best = moves[winner], float(paid[winner])
    for _ in range(_POLISH_LAST):
        moves = _neighbours(here[_LAST], _LAST_CODES)
        parts = judge.segnet_cost(moves)
        paid = parts + judge.posenet_cost(here[None, _FIRST], moves) + price * _weight(moves, here[_FIRST])
        winner = int(paid.argmin())
        if paid[winner] >= best - _GAIN:
            break
        here[_LAST], best, seg = moves[winner], float(paid[winner]), float(parts[winner])
    return here.astype(np.int8)


def _solve(judge: _Judge, here: NDArray[np.int64], seg: float, price: float) -> tuple[NDArray[np.int64], float]:
    """(codes of the first frame, cost of the pair): PoseNet's six outputs as a function of ten codes, linearized.

    Notes:
        delta = -(J'J + damping diag(J'J))^-1 J'r, rounded to whole codes; J by central differences.
    """
    last = here[None, _LAST] if here[_LAST].any() else _STILL
    used = float((here[_LAST] != 0).sum())
    starts = np.stack([here[_FIRST], np.zeros(len(SIDE), np.int64)])
    paid = seg + judge.posenet_cost(starts, last) + price * (used + (starts != 0).sum(axis=1))
    codes, best = starts[int(paid.argmin())], float(paid.min())
    damping = 1e-2
    for _ in range(_NEWTON):
        probes = np.repeat(codes[None], 2 * len(SIDE), axis=0)
        for place in range(len(SIDE)):
            probes[2 * place, place] += _PROBE
            probes[2 * place + 1, place] -= _PROBE
        found = judge.pose_of(np.vstack([codes[None], probes]), last)
        residual, slopes = found[0], (found[1::2] - found[2::2]).T / (2.0 * _PROBE)
        normal = slopes.T @ slopes
        better = False
        for _ in range(_TRIES):
            damped = normal + damping * np.diag(np.diag(normal)) + 1e-9 * np.eye(len(SIDE))
            step = np.linalg.solve(damped, -slopes.T @ residual)
            tried = np.clip(np.rint(codes + step), -_LIMIT, _LIMIT).astype(np.int64)
            cost = seg + float(judge.posenet_cost(tried[None], last)[0]) + price * (used + float((tried != 0).sum()))
            if cost < best - _GAIN:
                codes, best, better = tried, cost, True
                damping = max(damping / 4.0, 1e-3)
                break
            damping *= 8.0
        if not better:
            break
    return codes, best


def _neighbours(codes: NDArray[np.int64], n_free: int) -> NDArray[np.int64]:
    """Every code set that differs in one place by one or by three, or is zero there, int64 (k, 10)."""
    rows = []
    for place in range(n_free):
        for step in (1, -1, 3, -3, -int(codes[place])):
            moved = codes.copy()
            moved[place] += step
            if step and abs(int(moved[place])) <= _LIMIT:
                rows.append(moved)
    return np.stack(rows)


def _weight(moves: NDArray[np.int64], fixed: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many codes are not zero, for each set of moves with the other frame's codes."""
    n_used: NDArray[np.float64] = (moves != 0).sum(axis=1) + float((fixed != 0).sum())
    return n_used
