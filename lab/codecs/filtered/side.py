"""The search for side codes: brightness, contrast and a sub-pixel affine move per frame, tried on the real networks.

SegNet never sees the first frame of a pair, so its six degrees of motion are free to set PoseNet right; the last frame
may change in light as well, if both networks together like it. A few Gauss-Newton steps find the first frame's codes,
then single steps improve both as long as one gains more than its bytes cost. The whole section stays only if the score
with it, measured on the decode, is better than without.

PoseNet is asked as seldom as possible: its slopes are measured once per pair and then kept true by what every further
answer says (Broyden's update), and of the single steps only those are tried that the slopes promise most for.

References: the luma-bias and shift side channel of the contest's 1.236 entry, here with the affine terms; C. Broyden,
"A class of methods for solving nonlinear simultaneous equations", 1965.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
# What one further code that is not zero is taken to cost before the section is really written.
_CODE_BYTES = 0.7
_LIMIT = 127
_FIRST, _LAST = 0, 1
_LAST_CODES = 2  # bias and contrast: SegNet reads this frame too, and a shift of it moves every boundary
_NEWTON, _TRIES, _PROBE = 6, 3, 3
_POLISH_FIRST, _POLISH_LAST, _PROMISING = 6, 2, 5
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
    every: int = 1,
) -> tuple[NDArray[np.int8], float]:
    """(side codes of every frame, int8 (N, 2, 10); mean pose distortion of the pairs that were searched).

    Args:
        model: the post-filter as it is decoded.
        frames: uint8 or float (N, 2, 3, h, w), what it filters.
        start: codes to begin with; without them every pair begins with those of the pair before, or none.
        polish: whether single steps follow the solution.
        pose_slope: what one unit of mean pose distortion costs in score; `seg_weight` likewise.
        byte_price: score per byte.
        batch: pairs per forward of the filter, as the decoder takes them.
        every: of how many pairs one is searched; the others keep what they began with.
    """
    n_pairs = targets.n_pairs
    codes = np.zeros((n_pairs, 2, len(SIDE)), np.int8) if start is None else start.copy()
    price = byte_price * _CODE_BYTES * n_pairs
    gaps: list[float] = []
    before: Codes = np.zeros((2, len(SIDE)), np.int64)
    with torch.no_grad():
        for first in range(0, n_pairs, batch):
            filtered = model(frames[first : first + batch].float())
            for at, pair in enumerate(filtered, start=first):
                if at % every:
                    continue
                judge = _Judge(pair, targets, at, segnet, posenet, seg_weight, pose_slope)
                found = _settle(judge, before if start is None else codes[at].astype(np.int64), price, polish)
                codes[at], before = found.codes.astype(np.int8), found.codes
                gaps.append(float(np.square(found.gaps).mean()))
            monitor("side codes", min(first + batch, n_pairs), n_pairs)
    return codes, float(np.mean(gaps))


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

    def _shown(self, parity: int, codes: Codes) -> torch.Tensor:
        """One frame under several code sets, float (k, 3, h, w), rounded."""
        frame = self.pair[parity][None].expand(len(codes), -1, -1, -1)
        return round_pixels(steered(frame, torch.from_numpy(codes)))

    def _planes(self, parity: int, codes: Codes) -> torch.Tensor:
        """What PoseNet reads of one frame under several code sets, float (k, 6, h / 2, w / 2)."""
        shown = self._shown(parity, codes)
        # Two candidates at a time pose as a pair, so that none is converted twice.
        even = shown if len(shown) % 2 == 0 else torch.cat([shown, shown[-1:]])
        planes = preprocess.posenet_input(even.reshape(-1, 2, *shown.shape[1:]), self.targets.size)
        return planes.reshape(len(even), -1, *planes.shape[2:])[: len(shown)]

    def segnet_cost(self, codes: Codes) -> Floats:
        """SegNet's part of the score for codes of the last frame, int (k, 10), as float64 (k,)."""
        logits = self.segnet(self._shown(_LAST, codes).contiguous(memory_format=torch.channels_last))
        flips = losses.wrong(logits, self.classes.expand(len(codes), -1, -1))
        cost: Floats = self.seg_weight * flips.flatten(1).double().mean(dim=1).numpy()
        return cost

    def gaps(self, first: Codes, last: Codes) -> Floats:
        """How far the scored outputs are off for codes of both frames, float64 (k, 6).

        Either may be one set for all, int (1, 10).
        """
        one = self._planes(_FIRST, first)
        other = self.still if last is _STILL else self._planes(_LAST, last)
        most = max(len(one), len(other))
        planes = torch.cat([one.expand(most, -1, -1, -1), other.expand(most, -1, -1, -1)], dim=1)
        found = self.posenet(planes.contiguous(memory_format=torch.channels_last))
        out: Floats = (found - self.pose)[:, : losses.SCORED_POSE_OUTPUTS].double().numpy()
        return out

    def cost(self, gaps: Floats) -> Floats:
        """PoseNet's part of the score, float64 (k,)."""
        cost: Floats = self.pose_slope * np.square(gaps).mean(axis=1)
        return cost

    def slopes(self, codes: Codes, last: Codes) -> Floats:
        """Central differences of the gaps by the first frame's codes, float64 (6, 10)."""
        probes = np.repeat(codes[None], 2 * len(SIDE), axis=0)
        for place in range(len(SIDE)):
            probes[2 * place, place] += _PROBE
            probes[2 * place + 1, place] -= _PROBE
        found = self.gaps(probes, last)
        out: Floats = (found[0::2] - found[1::2]).T / (2.0 * _PROBE)
        return out


@dataclass(slots=True)
class _Point:
    """Where the search of one pair stands: int (2, 10) codes, gaps (6,) there, slopes (6, 10), parts of the cost."""

    codes: Codes
    gaps: Floats
    slopes: Floats
    seg: float
    total: float

    def learn(self, step: Codes, gaps: Floats) -> None:
        """Take in what PoseNet says one step away: the slopes along it become what it found."""
        if step.any():
            surprise = gaps - self.gaps - self.slopes @ step
            self.slopes = self.slopes + np.outer(surprise, step) / float(step @ step)


def _settle(judge: _Judge, before: Codes, price: float, polish: bool) -> _Point:
    """The codes of one pair: damped Gauss-Newton on the first frame, then single steps on either frame."""
    here = _solve(judge, before, price)
    if polish:
        for _ in range(_POLISH_FIRST):
            if not _step_first(judge, here, price):
                break
        for _ in range(_POLISH_LAST):
            if not _step_last(judge, here, price):
                break
    return here


def _solve(judge: _Judge, before: Codes, price: float) -> _Point:
    """The first frame's codes at which PoseNet's six outputs, as functions of ten codes, are nearest.

    Notes:
        delta = -(J'J + damping diag(J'J))^-1 J'r, rounded to whole codes; J by central differences, then by updates.
    """
    last = before[None, _LAST] if before[_LAST].any() else _STILL
    seg = float(judge.segnet_cost(before[None, _LAST])[0])
    starts = np.stack([before[_FIRST], np.zeros(len(SIDE), np.int64)]) if before[_FIRST].any() else before[None, _FIRST]
    gaps = judge.gaps(starts, last)
    paid = seg + judge.cost(gaps) + price * _weight(starts, before[_LAST])
    winner = int(paid.argmin())
    codes = before.copy()
    codes[_FIRST] = starts[winner]
    here = _Point(codes, gaps[winner], judge.slopes(codes[_FIRST], last), seg, float(paid[winner]))
    measured, damping = True, 1e-2
    for _ in range(_NEWTON):
        better = False
        for _ in range(_TRIES):
            normal = here.slopes.T @ here.slopes
            damped = normal + damping * np.diag(np.diag(normal)) + 1e-9 * np.eye(len(SIDE))
            step = np.linalg.solve(damped, -here.slopes.T @ here.gaps)
            tried = np.clip(np.rint(here.codes[_FIRST] + step), -_LIMIT, _LIMIT).astype(np.int64)
            moved = tried - here.codes[_FIRST]
            if not moved.any():
                break
            found = judge.gaps(tried[None], last)
            cost = float((seg + judge.cost(found) + price * _weight(tried[None], here.codes[_LAST]))[0])
            here.learn(moved, found[0])
            if cost < here.total - _GAIN:
                here.codes[_FIRST], here.gaps, here.total, better = tried, found[0], cost, True
                damping = max(damping / 4.0, 1e-3)
                break
            damping *= 8.0
        if better:
            measured = False
        elif measured:
            break
        else:
            here.slopes, measured, damping = judge.slopes(here.codes[_FIRST], last), True, 1e-2
    return here


def _step_first(judge: _Judge, here: _Point, price: float) -> bool:
    """Take the best single step of the first frame among those that promise most; whether there was one."""
    moves = _neighbours(here.codes[_FIRST], len(SIDE))
    steps = moves - here.codes[_FIRST]
    weight = price * _weight(moves, here.codes[_LAST])
    promised = judge.cost(here.gaps + steps @ here.slopes.T) + weight
    chosen = np.argsort(promised, kind="stable")[:_PROMISING]
    last = here.codes[None, _LAST] if here.codes[_LAST].any() else _STILL
    found = judge.gaps(moves[chosen], last)
    paid = here.seg + judge.cost(found) + weight[chosen]
    winner = int(paid.argmin())
    better = bool(paid[winner] < here.total - _GAIN)
    here.learn(steps[chosen[winner]], found[winner])
    if better:
        here.codes[_FIRST], here.gaps, here.total = moves[chosen[winner]], found[winner], float(paid[winner])
    return better


def _step_last(judge: _Judge, here: _Point, price: float) -> bool:
    """Take the best single step of the last frame; whether there was one. PoseNet is asked where SegNet leaves room."""
    moves = _neighbours(here.codes[_LAST], _LAST_CODES)
    seg = judge.segnet_cost(moves)
    fixed = seg + price * _weight(moves, here.codes[_FIRST])
    room = np.flatnonzero(fixed < here.total - _GAIN)
    if not len(room):
        return False
    found = judge.gaps(here.codes[None, _FIRST], moves[room])
    paid = fixed[room] + judge.cost(found)
    winner = int(paid.argmin())
    if paid[winner] >= here.total - _GAIN:
        return False
    at = room[winner]
    here.codes[_LAST], here.gaps, here.seg, here.total = moves[at], found[winner], float(seg[at]), float(paid[winner])
    return True


def _neighbours(codes: Codes, n_free: int) -> Codes:
    """Every code set that differs in one place by one or by three, or is zero there, int64 (k, 10)."""
    rows = []
    for place in range(n_free):
        for step in (1, -1, 3, -3, -int(codes[place])):
            moved = codes.copy()
            moved[place] += step
            if step and abs(int(moved[place])) <= _LIMIT:
                rows.append(moved)
    return np.stack(rows)


def _weight(moves: Codes, fixed: Codes) -> Floats:
    """How many codes are not zero, for each set of moves with the other frame's codes."""
    n_used: Floats = (moves != 0).sum(axis=1) + float((fixed != 0).sum())
    return n_used
