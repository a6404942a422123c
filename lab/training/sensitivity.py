"""Where the networks look: how far each one's answer moves when a pixel of the source does.

For PoseNet a pixel's value is the norm of the exact Jacobian of the scored outputs. SegNet has too many outputs for
that; its decisions are summed with random signs, which gives the same norm in expectation (Hutchinson). A decision is
the smooth flip of a pixel, so that maps light up where an answer is close to changing.

The maps weigh pixels in training (`alpha`), and lie beside a run as evidence.

References: M. Hutchinson, "A stochastic estimator of the trace of the influence matrix", 1990.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lab.training import losses
from lab.training.progress import generator
from lab.training.targets import Targets, answers

Monitor = Callable[[str, int, int], None]
_BATCH, _PROBES, _TAU, _SEED = 8, 2, 1.0, 1
CSV, MAPS = "sensitivity.csv", ("sensitivity-segnet.png", "sensitivity-posenet.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """Norms of the answers' derivatives per grey level.

    Attributes:
        segnet: float32 (N, h, w), smooth flips per grey level of the last frame.
        posenet: float32 (N, 2, h, w), scored outputs per grey level of both frames.
    """

    segnet: torch.Tensor
    posenet: torch.Tensor

    def saliency(self) -> torch.Tensor:
        """What a pixel counts for both networks alike, float32 (N, h, w), mean one per clip."""
        seg = self.segnet / self.segnet.mean().clamp_min(1e-12)
        pose = self.posenet.mean(dim=1)
        return 0.5 * (seg + pose / pose.mean().clamp_min(1e-12))

    def pairs(self) -> list[tuple[float, float]]:
        """Root mean square per pair: (segnet, posenet)."""
        seg = self.segnet.double().square().flatten(1).mean(dim=1).sqrt().tolist()
        pose = self.posenet.double().square().flatten(1).mean(dim=1).sqrt().tolist()
        return list(zip(seg, pose, strict=True))


def of(
    targets: Targets,
    segnet: nn.Module,
    posenet: nn.Module,
    *,
    cache: Path | None = None,
    monitor: Monitor | None = None,
) -> Sensitivity:
    """The maps of a source, from the cache where it has them."""
    if cache is not None and cache.is_file():
        try:
            return Sensitivity(**load_file(cache))
        except (SafetensorError, TypeError, OSError):
            cache.unlink(missing_ok=True)
    seg, pose = [], []
    for start in range(0, targets.n_pairs, _BATCH):
        stop = min(start + _BATCH, targets.n_pairs)
        one, other = _maps(targets, start, stop, segnet, posenet)
        seg.append(one)
        pose.append(other)
        if monitor:
            monitor("sensitivity", stop, targets.n_pairs)
    found = Sensitivity(segnet=torch.cat(seg), posenet=torch.cat(pose))
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_suffix(f".{os.getpid()}.part")
        save_file({"segnet": found.segnet.contiguous(), "posenet": found.posenet.contiguous()}, temporary)
        temporary.replace(cache)
    return found


def _maps(
    targets: Targets, start: int, stop: int, segnet: nn.Module, posenet: nn.Module
) -> tuple[torch.Tensor, torch.Tensor]:
    frames = targets.frames[start:stop].float().requires_grad_(True)
    logits, pose = answers(frames, targets.size, segnet, posenet)
    flips = losses.flip_rate(logits, targets.classes[start:stop].long(), _TAU)
    seg = torch.zeros_like(flips)
    for probe in range(_PROBES):
        signs = torch.randint(2, flips.shape, generator=generator(_SEED, probe, start)).float() * 2.0 - 1.0
        (slope,) = torch.autograd.grad((flips * signs).sum(), frames, retain_graph=True)
        seg = seg + slope[:, -1].square().sum(dim=1) / _PROBES
    squares = torch.zeros(len(frames), 2, *targets.size)
    for output in range(losses.SCORED_POSE_OUTPUTS):
        (slope,) = torch.autograd.grad(pose[:, output].sum(), frames, retain_graph=True)
        squares = squares + slope.square().sum(dim=2)
    return seg.detach().sqrt(), squares.detach().sqrt()


def write(found: Sensitivity, folder: Path) -> None:
    """Evidence: one row per pair, and the mean map of each network as an 8-bit picture, white the largest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{n},{seg:.6g},{pose:.6g}\n" for n, (seg, pose) in enumerate(found.pairs()))
    (folder / CSV).write_text("pair,segnet,posenet\n" + rows, encoding="utf-8")
    for name, mean in zip(MAPS, (found.segnet.mean(dim=0), found.posenet.mean(dim=(0, 1))), strict=True):
        # The square root shows weak places as well; the mean map spans orders of magnitude.
        shown = (mean / mean.max().clamp_min(1e-12)).sqrt().mul(255.0).round().to(torch.uint8)
        Image.fromarray(shown.numpy(), mode="L").save(folder / name, optimize=True)
