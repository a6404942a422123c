"""Training of the two frozen networks on painted drives: fixed steps, resumable, the same bytes on the same machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit
from numpy.typing import NDArray
from torch import nn

from lab.drive.ahead import ahead
from lab.drive.augment import noise_pool, reframe, wear
from lab.drive.bursts import PAIRS, Bursts
from lab.drive.dataset import Monitor, Pairs
from lab.drive.motion import OUTPUT_UNITS
from lab.evaluator.compute import calm_torch
from lab.evaluator.networks import MIRROR_SIGNS, N_CLASSES, N_SCORED, SmallPoseNet, SmallSegNet, fold
from lab.evaluator.preprocess import posenet_input, segnet_input, to_planes

CLASS_WEIGHTS = (1.0, 2.6, 1.0, 1.8, 1.0)
"""Cross-entropy weights: lane lines are thin, other cars are few."""

OUTPUT_WEIGHTS = (3.0, 2.5, 1.0, 0.8, 0.5, 0.5)
"""Loss weights of the six pose outputs: speed and yaw rate matter most."""

STANDING = 0.03
"""Share of pose samples whose frames differ by their wear alone: no motion."""

TOP_SPEED = 38.0
"""Of each burst the pair is taken whose speed is nearest to a draw from 0 to this many m/s: every speed is learnt
alike, where most pairs of a burst are slow."""

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Length and pace of one training run: half a cosine, and a gentler second one where `second` is not 0."""

    steps: int
    batch: int
    rate: float
    second: int = 0
    warmup: int = 200
    save_every: int = 500

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: a linear warm-up, then half a cosine down to a hundredth.

        The last `second` steps are another half cosine, from three tenths of the rate.
        """
        first = self.steps - self.second
        peak, done = (self.rate, step / first) if step < first else (0.3 * self.rate, (step - first) / self.second)
        warm = min(1.0, (step + 1) / self.warmup)
        return peak * warm * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done)))


SEGNET_PLAN = Plan(steps=2600, batch=8, rate=2.5e-3)
POSENET_PLAN = Plan(steps=11000, batch=16, rate=2.0e-3, second=3000)


def _segnet_batch(
    pairs: Pairs, rng: np.random.Generator, batch: int, pool: NDArray[np.float32]
) -> tuple[torch.Tensor, torch.Tensor]:
    frames, labels = [], []
    for row in rng.integers(0, len(pairs), batch):
        which = int(rng.integers(2))
        frame, classes = reframe(pairs.frames[row, which], pairs.classes[row, which], rng)
        frames.append(wear(frame[None], rng, pool))
        labels.append(classes)
    planes = to_planes(torch.from_numpy(np.stack(frames)))
    size = (planes.shape[-2], planes.shape[-1])
    inputs = segnet_input(planes, size).contiguous(memory_format=torch.channels_last)
    return inputs, torch.from_numpy(np.stack(labels).astype(np.int64))


@njit(cache=True)
def _planes(frames, out):  # type: ignore[no-untyped-def]
    """Twelve normalized planes of pairs, as `posenet_input` gives them on the model grid, without its detours.

    Args:
        frames: uint8 (n, 2, h, w, 3); out: float32 (n, h // 2, w // 2, 12), channels last.
    """
    width = frames.shape[3]
    lumas, us, vs = np.empty((2, width), np.float32), np.empty((2, width)), np.empty((2, width))
    for i in range(frames.shape[0]):
        for k in range(2):
            for y in range(out.shape[1]):
                for half in range(2):  # a row at a time, so that its arithmetic runs on several pixels at once
                    row = frames[i, k, 2 * y + half]
                    for x in range(width):
                        r, g, b = float(row[x, 0]), float(row[x, 1]), float(row[x, 2])
                        luma = 0.299 * r + 0.587 * g + 0.114 * b
                        us[half, x] = min(255.0, max(0.0, (b - luma) / 1.772 + 128.0))
                        vs[half, x] = min(255.0, max(0.0, (r - luma) / 1.402 + 128.0))
                        lumas[half, x] = (luma - 127.5) / 63.75
                for x in range(out.shape[2]):
                    a, b = 2 * x, 2 * x + 1
                    u = us[0, a] + us[1, a] + us[0, b] + us[1, b]
                    v = vs[0, a] + vs[1, a] + vs[0, b] + vs[1, b]
                    out[i, y, x, 6 * k] = lumas[0, a]
                    out[i, y, x, 6 * k + 1] = lumas[1, a]
                    out[i, y, x, 6 * k + 2] = lumas[0, b]
                    out[i, y, x, 6 * k + 3] = lumas[1, b]
                    out[i, y, x, 6 * k + 4] = (u / 4.0 - 127.5) / 63.75
                    out[i, y, x, 6 * k + 5] = (v / 4.0 - 127.5) / 63.75


def pose_planes(frames: NDArray[np.uint8]) -> torch.Tensor:
    """What the pose network reads of pairs on the model grid: uint8 (n, 2, h, w, 3) to float32 (n, 12, h/2, w/2).

    Notes:
        Equal to `posenet_input` up to rounding, in a sixth of its time; the result's memory has channels last.
    """
    n, _, height, width, _ = frames.shape
    out = np.empty((n, height // 2, width // 2, 12), np.float32)
    _planes(frames, out)
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def _posenet_batch(
    bursts: Bursts, rng: np.random.Generator, batch: int, pool: NDArray[np.float32]
) -> tuple[torch.Tensor, torch.Tensor]:
    poses = []
    frames = np.empty((batch, 2, *bursts.frames.shape[2:]), np.uint8)
    for place, row in enumerate(rng.integers(0, len(bursts), batch)):
        which = int(np.abs(bursts.poses[row, :, 0] - rng.uniform(0.0, TOP_SPEED)).argmin())
        pair, pose = bursts.frames[row, list(PAIRS[which])], bursts.poses[row, which]
        if rng.random() < STANDING:
            pair, pose = bursts.frames[row, [0, 0]], np.zeros(N_SCORED, np.float32)
        if rng.random() < 0.5:
            pair, pose = pair[:, :, ::-1], pose * np.array(MIRROR_SIGNS, np.float32)
        frames[place] = wear(pair, rng, pool)
        poses.append(pose)
    return pose_planes(frames), torch.from_numpy(np.stack(poses))


def _segnet_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits, labels, weight=torch.tensor(CLASS_WEIGHTS))


def _posenet_loss(outputs: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
    """Huber loss of the six pose outputs; the other six learn the logarithm of the squared error they leave."""
    error = outputs[:, :N_SCORED] - poses
    spread = outputs[:, N_SCORED:].clamp(-12.0, 6.0)
    square = error.detach().square()
    doubt = 0.5 * (spread + square * torch.exp(-spread)).mean()
    robust = F.huber_loss(error, torch.zeros_like(error), delta=1.0, reduction="none")
    return 4.0 * (robust * torch.tensor(OUTPUT_WEIGHTS)).mean() + 0.02 * doubt


def _run(
    name: str,
    model: nn.Module,
    plan: Plan,
    make_batch: Callable[[np.random.Generator], tuple[torch.Tensor, torch.Tensor]],
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    seed: int,
    cache: Path,
    monitor: Monitor,
) -> nn.Module:
    """Steps of Adam from the last checkpoint to the plan's end; every step's randomness depends on its number alone."""
    model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.rate, weight_decay=1e-3)
    path = cache / f"{name}-{plan.steps}x{plan.batch}-{seed}.pt"
    first = 0
    if path.is_file():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = int(state["step"])

    def arrays(step: int) -> tuple[NDArray[Any], NDArray[Any]]:
        inputs, truth = make_batch(np.random.default_rng((seed, step)))
        return inputs.permute(0, 2, 3, 1).numpy(), truth.numpy()

    steps = range(first, plan.steps)
    with ahead(arrays, steps) as batches:
        for step, (inputs, truth) in zip(steps, batches, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = plan.rate_at(step)
            loss = loss_of(model(torch.from_numpy(inputs).permute(0, 3, 1, 2)), torch.from_numpy(truth))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
                partial = path.with_suffix(".part")
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
                torch.save(state, partial)
                partial.rename(path)
            if (step + 1) % 20 == 0 or step + 1 == plan.steps:
                monitor(f"{name} loss {float(loss.detach()):.4f}", step + 1, plan.steps)
    return model.eval()


def train_segnet(
    pairs: Pairs, *, seed: int, cache: Path, plan: Plan = SEGNET_PLAN, monitor: Monitor = lambda *_: None
) -> Tensors:
    """Folded weights of the semantic network trained on these pairs."""
    calm_torch()
    torch.manual_seed(seed)
    pool = noise_pool(seed)

    def make_batch(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return _segnet_batch(pairs, rng, plan.batch, pool)

    model = SmallSegNet(norm=True)
    return fold(_run("segnet", model, plan, make_batch, _segnet_loss, seed, cache, monitor).state_dict())


def train_posenet(
    bursts: Bursts, *, seed: int, cache: Path, plan: Plan = POSENET_PLAN, monitor: Monitor = lambda *_: None
) -> Tensors:
    """Folded weights of the pose network trained on these bursts, its outputs in `OUTPUT_UNITS`."""
    calm_torch()
    torch.manual_seed(seed)
    pool = noise_pool(seed + 1)
    moves = torch.from_numpy(bursts.poses.reshape(-1, N_SCORED))
    mean, spread = moves.mean(0), moves.std(0) + 1e-6
    mean[1:5] = 0.0  # a flip turns the signs of yaw, roll and sideways motion; pitch has no preferred side either

    def make_batch(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, poses = _posenet_batch(bursts, rng, plan.batch, pool)
        return inputs, (poses - mean) / spread

    model = SmallPoseNet(norm=True)
    weights = fold(_run("posenet", model, plan, make_batch, _posenet_loss, seed, cache, monitor).state_dict())
    units = torch.tensor(OUTPUT_UNITS)
    gain = torch.cat([spread / units, torch.ones(N_SCORED)])
    shift = torch.cat([mean / units, 2.0 * torch.log(spread / units)])
    weights["head.weight"] = (weights["head.weight"] * gain[:, None]).contiguous()
    weights["head.bias"] = weights["head.bias"] * gain + shift
    return weights


@torch.no_grad()
def class_iou(model: nn.Module, pairs: Pairs, batch: int = 16) -> NDArray[np.float64]:
    """Intersection over union of each class over the last frames of all pairs, float64 (5,)."""
    confusion = np.zeros((N_CLASSES, N_CLASSES), np.int64)
    for start in range(0, len(pairs), batch):
        planes = to_planes(torch.from_numpy(pairs.frames[start : start + batch]))
        inputs = segnet_input(planes, (planes.shape[-2], planes.shape[-1]))
        found = model(inputs.contiguous(memory_format=torch.channels_last)).argmax(1).numpy()
        truth = pairs.classes[start : start + batch, 1].astype(np.int64)
        confusion += np.bincount((truth * N_CLASSES + found).ravel(), minlength=N_CLASSES**2).reshape(N_CLASSES, -1)
    both = np.diag(confusion).astype(np.float64)
    union = np.maximum(confusion.sum(0) + confusion.sum(1) - both, 1)
    iou: NDArray[np.float64] = both / union
    return iou


@torch.no_grad()
def pose_r2(model: nn.Module, pairs: Pairs, batch: int = 32) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of variance explained and root mean squared error of each motion in `POSE_NAMES`, float64 (6,) each."""
    answers = []
    for start in range(0, len(pairs), batch):
        planes = to_planes(torch.from_numpy(pairs.frames[start : start + batch]))
        inputs = posenet_input(planes, (planes.shape[-2], planes.shape[-1]))
        answers.append(model(inputs.contiguous(memory_format=torch.channels_last))[:, :N_SCORED].numpy())
    error = np.concatenate(answers).astype(np.float64) * np.array(OUTPUT_UNITS) - pairs.poses
    return 1.0 - error.var(0) / pairs.poses.var(0), np.sqrt((error**2).mean(0))
