"""Stream p: what conditions the first frames; at first the source's pose, then whatever sets PoseNet right.

A trained motion branch answers a pose with a first frame whose pose is nearly that. What is left is repaired without
training: for each pair the codes are solved for, by damped Gauss-Newton on PoseNet's six outputs through the renderer
as it is decoded, then moved by single steps where that gains more than the coder's bits for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lab.codecs.base import Monitor
from lab.codecs.pixels import rounded
from lab.codecs.semantic import actions, decode
from lab.codecs.semantic.content import Content
from lab.codecs.semantic.judge import Judge
from lab.codecs.semantic.model import Renderer
from lab.evaluator import preprocess
from lab.training import losses

_LIMIT = 2047
_ITERATIONS, _POLISH = 3, 1
# Probes are this share of a standard deviation: smaller ones drown in the rounding of pixels.
_PROBE = 0.125
_GAIN = 1e-9


def of_source(pose: torch.Tensor, dims: int, scale: int) -> NDArray[np.int64]:
    """Codes of the source's scored outputs that vary most, int64 (n_pairs, dims), zero in the mean.

    Args:
        pose: float (n_pairs, outputs).
        scale: codes per standard deviation.
    """
    scored = pose[:, : losses.SCORED_POSE_OUTPUTS].double().numpy()
    chosen = np.sort(np.argsort(-scored.std(axis=0), kind="stable")[:dims])
    kept = scored[:, chosen]
    unit = np.maximum(kept.std(axis=0), 1e-6)
    codes = np.rint((kept - kept.mean(axis=0)) / unit * scale)
    clipped: NDArray[np.int64] = np.clip(codes, -_LIMIT, _LIMIT).astype(np.int64)
    return clipped


def refit(content: Content, judge: Judge, posenet: float, monitor: Monitor) -> Content:
    """The content with codes solved for, pair by pair.

    Args:
        posenet: mean distortion of PoseNet, at which its root is taken as linear.
    """
    solver = _Solver(content, judge, posenet)
    codes = content.poses.copy()
    for pair in range(content.n_pairs):
        around = np.stack([codes[max(pair - 1, 0)], codes[min(pair + 1, content.n_pairs - 1)]])
        codes[pair] = solver.solve(pair, codes[pair], around)
        monitor("pose refit", pair + 1, content.n_pairs)
    return replace(content, poses=codes)


@dataclass(frozen=True, slots=True)
class _Pair:
    """What does not change while a pair's codes do."""

    features: torch.Tensor
    last: torch.Tensor
    target: torch.Tensor
    tails: dict[str, NDArray[np.int64]]


class _Solver:
    """Codes of single pairs through the renderer as it is decoded."""

    def __init__(self, content: Content, judge: Judge, posenet: float) -> None:
        self.content, self.judge = content, judge
        self.renderer: Renderer = decode.build(content)
        self.slope = judge.pose_weight(posenet)
        # Each pair weighs one n-th; bits of its codes are priced in the same unit.
        self.bit_price = judge.byte_price / 8.0 * content.n_pairs
        self.probe = max(1, round(_PROBE * content.head.pose_scale))
        self.scale = np.abs(np.diff(content.poses, axis=0)).mean(axis=0) + 0.5

    @torch.no_grad()
    def pair(self, index: int) -> _Pair:
        """The fixed part of a pair."""
        maps = torch.from_numpy(self.content.maps.labels[index : index + 1])
        features = self.renderer.features(maps)
        last = self.renderer.last_frame(maps, features)
        tails = {tail: self.content.actions.of(tail, np.array([index])) for tail in actions.TAILS}
        return _Pair(features, last, self.judge.known.pose[index, : losses.SCORED_POSE_OUTPUTS], tails)

    @torch.no_grad()
    def residual(self, pair: _Pair, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far the scored outputs are off under several code sets, float64 (k, 6)."""
        count = len(codes)
        poses = torch.from_numpy(codes.astype(np.float32) / np.float32(self.content.head.pose_scale))
        poses = poses * actions.factors(np.repeat(pair.tails["factor"], count))
        last = pair.last.expand(count, -1, -1, -1)
        first = self.renderer.motion(pair.features.expand(count, -1, -1, -1), poses, last)
        frames = torch.stack([first, last], dim=1)
        acted = actions.act(frames, np.repeat(pair.tails["seed"], count), np.repeat(pair.tails["control"], count))
        shown = rounded(actions.route(acted, np.repeat(pair.tails["router"], count))).float()
        planes = preprocess.posenet_input(shown, self.judge.known.size).contiguous(memory_format=torch.channels_last)
        found = self.judge.posenet(planes)[:, : losses.SCORED_POSE_OUTPUTS]
        out: NDArray[np.float64] = (found - pair.target).double().numpy()
        return out

    def cost(
        self, residual: NDArray[np.float64], codes: NDArray[np.int64], around: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Score of code sets, float64 (k,): distortion, and bits under a Laplace model of the steps to both neighbours.

        Notes:
            A symbol at distance d of a Laplace of mean magnitude s takes d / (s ln 2) bits more than one at none.
        """
        bits = np.abs(codes[:, None] - around[None]).sum(axis=1) / (self.scale * np.log(2.0))
        total: NDArray[np.float64] = self.slope * np.square(residual).mean(axis=1) + self.bit_price * bits.sum(axis=1)
        return total

    def solve(self, index: int, codes: NDArray[np.int64], around: NDArray[np.int64]) -> NDArray[np.int64]:
        """The codes of one pair that cost least, as far as a few steps find them."""
        pair = self.pair(index)
        dims = len(codes)
        best = float(self.cost(self.residual(pair, codes[None]), codes[None], around)[0])
        damping = 1e-2
        for _ in range(_ITERATIONS):
            probes = np.concatenate(
                [
                    codes[None],
                    codes + self.probe * np.eye(dims, dtype=np.int64),
                    codes - self.probe * np.eye(dims, dtype=np.int64),
                ]
            )
            found = self.residual(pair, probes)
            slopes = (found[1 : dims + 1] - found[dims + 1 :]).T / (2.0 * self.probe)
            normal = slopes.T @ slopes
            tried = []
            for factor in (1.0, 30.0):
                damped = normal + factor * damping * np.diag(np.diag(normal)) + 1e-12 * np.eye(dims)
                step = np.linalg.solve(damped, -slopes.T @ found[0])
                tried += [np.rint(codes + step), np.rint(codes + 0.5 * step)]
            candidates = np.clip(np.stack(tried), -_LIMIT, _LIMIT).astype(np.int64)
            costs = self.cost(self.residual(pair, candidates), candidates, around)
            winner = int(costs.argmin())
            if costs[winner] >= best - _GAIN:
                break
            codes, best = candidates[winner], float(costs[winner])
        for _ in range(_POLISH):
            moves = np.concatenate([codes + np.eye(dims, dtype=np.int64), codes - np.eye(dims, dtype=np.int64)])
            costs = self.cost(self.residual(pair, moves), moves, around)
            winner = int(costs.argmin())
            if costs[winner] >= best - _GAIN:
                break
            codes, best = moves[winner], float(costs[winner])
        return codes
