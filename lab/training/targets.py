"""What the frozen networks say of the source, computed once: the answers that training works towards.

Sources are read at camera size and shrunk by the evaluator's own resize, unrounded, exactly as the evaluator does it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lab.evaluator import preprocess
from lab.training import losses

Size = tuple[int, int]
Monitor = Callable[[str, int, int], None]
_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Reference answers of both networks on every pair of a source.

    Attributes:
        size: (height, width) of the model grid.
        logits: float16 (N, C, h, w).
        classes: uint8 (N, h, w), the largest logit before it was rounded.
        pose: float32 (N, outputs).
        frames: uint8 (N, 2, 3, h, w), the source on the model grid, rounded; for pixel and feature terms.
    """

    size: Size
    logits: torch.Tensor
    classes: torch.Tensor
    pose: torch.Tensor
    frames: torch.Tensor

    @property
    def n_pairs(self) -> int:
        """How many pairs the answers are for."""
        return len(self.pose)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distortion:
    """What both networks find different, per pair, float64 (N,); zero for PoseNet where it was not asked."""

    segnet_pairs: NDArray[np.float64]
    posenet_pairs: NDArray[np.float64]

    @property
    def segnet(self) -> float:
        """Share of pixels whose class differs, mean over pairs."""
        return float(self.segnet_pairs.mean())

    @property
    def posenet(self) -> float:
        """Mean squared error of the scored pose outputs, mean over pairs."""
        return float(self.posenet_pairs.mean())


def planes_of(pairs: NDArray[np.uint8] | torch.Tensor, size: Size) -> torch.Tensor:
    """Pairs on the model grid, float32 (N, 2, 3, h, w), unrounded.

    Args:
        pairs: uint8 (N, 2, H, W, 3) RGB at any size not below the grid's.
    """
    planes = preprocess.to_planes(torch.as_tensor(pairs))
    small = preprocess.resize(planes.flatten(0, 1), size)
    return small.reshape(*planes.shape[:2], *small.shape[1:])


def some_answers(
    frames: torch.Tensor, size: Size, segnet: nn.Module, posenet: nn.Module | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """As `answers`; without a PoseNet there is no pose."""
    seen = preprocess.segnet_input(frames, size).contiguous(memory_format=torch.channels_last)
    if posenet is None:
        return segnet(seen), None
    planes = preprocess.posenet_input(frames, size).contiguous(memory_format=torch.channels_last)
    return segnet(seen), posenet(planes)


def answers(
    frames: torch.Tensor, size: Size, segnet: nn.Module, posenet: nn.Module
) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits, pose) of pairs, float (N, 2, 3, h, w), 0-255; gradients pass."""
    logits, pose = some_answers(frames, size, segnet, posenet)
    assert pose is not None
    return logits, pose


def compute(
    pairs: Iterable[NDArray[np.uint8]],
    size: Size,
    segnet: nn.Module,
    posenet: nn.Module,
    *,
    device: torch.device | None = None,
    monitor: Monitor | None = None,
    total: int = 0,
) -> Targets:
    """The answers on a source.

    Args:
        pairs: uint8 (2, H, W, 3) RGB each.
        size: (height, width) of the model grid.

    Raises:
        ValueError: there are no pairs.
    """
    logits: list[torch.Tensor] = []
    classes: list[torch.Tensor] = []
    pose: list[torch.Tensor] = []
    frames: list[torch.Tensor] = []
    done = 0
    with torch.no_grad():
        for batch in _batches(pairs):
            planes = planes_of(np.stack(batch), size)
            found, said = answers(planes.to(device or "cpu"), size, segnet, posenet)
            logits.append(found.half().cpu())
            classes.append(found.argmax(dim=1).to(torch.uint8).cpu())
            pose.append(said.float().cpu())
            frames.append(planes.round().clamp(0.0, 255.0).to(torch.uint8))
            done += len(batch)
            if monitor:
                monitor("reference answers", done, max(total, done))
    if not done:
        raise ValueError("a source without pairs has no answers")
    return Targets(
        size=size,
        logits=torch.cat(logits),
        classes=torch.cat(classes),
        pose=torch.cat(pose),
        frames=torch.cat(frames),
    )


def cached(path: Path, make: Callable[[], Targets]) -> Targets:
    """The answers kept at `path`, else made and kept there; a damaged file is made again."""
    if path.is_file():
        try:
            kept = load_file(path)
            height, width = kept["classes"].shape[-2:]
            return Targets(size=(int(height), int(width)), **kept)
        except (SafetensorError, KeyError, TypeError, OSError):
            path.unlink(missing_ok=True)
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.part")
    tensors = {name: getattr(made, name).contiguous() for name in ("logits", "classes", "pose", "frames")}
    save_file(tensors, temporary)
    temporary.replace(path)
    return made


def key(*parts: object) -> str:
    """A file name for everything that decides a cached value."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


@torch.no_grad()
def measure(
    frames: Iterable[torch.Tensor], targets: Targets, segnet: nn.Module, posenet: nn.Module | None
) -> Distortion:
    """Distortion of decoded frames on the model grid; without a PoseNet, SegNet's alone.

    Args:
        frames: batches, uint8 or float (n, 2, 3, h, w), together every pair in order.

    Notes:
        Equal to measuring at camera size wherever the decode was up-sampled by `aligned_up`. Batches are taken to where
        the networks are.

    Raises:
        ValueError: too few or too many pairs.
    """
    seg: list[NDArray[np.float64]] = []
    pose: list[NDArray[np.float64]] = []
    at = 0
    device = next((weight.device for weight in segnet.parameters()), torch.device("cpu"))
    for batch in frames:
        end = at + len(batch)
        if end > targets.n_pairs:
            raise ValueError(f"expected {targets.n_pairs} decoded pairs, got more")
        found, said = some_answers(batch.to(device).float(), targets.size, segnet, posenet)
        differs = found.argmax(dim=1).to(torch.uint8).cpu() != targets.classes[at:end]
        seg.append(differs.flatten(1).double().mean(dim=1).numpy())
        if said is None:
            pose.append(np.zeros(len(batch)))
        else:
            scored = slice(0, losses.SCORED_POSE_OUTPUTS)
            gap = said.float().cpu()[:, scored].double() - targets.pose[at:end, scored].double()
            pose.append(gap.square().mean(dim=1).numpy())
        at = end
    if at != targets.n_pairs:
        raise ValueError(f"expected {targets.n_pairs} decoded pairs, got {at}")
    return Distortion(segnet_pairs=np.concatenate(seg), posenet_pairs=np.concatenate(pose))


def _batches(pairs: Iterable[NDArray[np.uint8]]) -> Iterator[list[NDArray[np.uint8]]]:
    source = iter(pairs)
    while batch := list(islice(source, _BATCH)):
        yield batch
