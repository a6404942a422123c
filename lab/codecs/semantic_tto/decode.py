"""From a payload of the family `semantic_tto` to pairs of frames, through the networks that will judge them.

This breaks the charge rule on purpose: the runtime carries the judge's networks and the archive does not pay for them.

References: the loop of the contest's entries that optimized at inflate; margin instead of cross-entropy, since the
class map is saturated and only pixels near a boundary are ever wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lab import contract
from lab.codecs.pixels import one_thread, rounded
from lab.codecs.semantic import decode as semantic
from lab.codecs.semantic import format as semantic_syntax
from lab.codecs.semantic_tto import format as syntax
from lab.evaluator import networks, preprocess
from lab.video import resample

# Grey levels per step, and the margin (in logits) from which a pixel is left alone.
_REFINE_RATE, _REPAIR_RATE, _MARGIN = 2.0, 1.0, 1.0
_SCORED = 6


def decode(payload: bytes) -> Iterator[NDArray[np.uint8]]:
    """The pairs of a payload, uint8 (2, H, W, 3) RGB, display order.

    Raises:
        BitstreamError: not a payload of this family, cut short, or damaged.
    """
    head, inner = syntax.read(payload)
    content = semantic_syntax.read(inner)
    segnet, posenet = networks.load(contract.load("minidrive"))
    at = 0
    for frames in semantic.rendered(content):
        maps = torch.from_numpy(content.maps.labels[at : at + len(frames)])
        at += len(frames)
        with one_thread():
            better = optimized(frames, maps, segnet, posenet, head)
        for pair in better:
            yield np.ascontiguousarray(resample.aligned_up(pair, content.head.size).movedim(1, -1).numpy())


def optimized(
    frames: torch.Tensor, maps: torch.Tensor, segnet: nn.Module, posenet: nn.Module, head: syntax.Head
) -> torch.Tensor:
    """Pairs after refinement and repair, uint8 (n, 2, 3, h, w).

    Args:
        frames: float (n, 2, 3, h, w), unrounded.
        maps: uint8 (n, h, w), what SegNet is to find in last frames.
    """
    size = (frames.shape[-2], frames.shape[-1])
    before = rounded(frames)
    with torch.no_grad():
        target = posenet(preprocess.posenet_input(before.float(), size))[:, :_SCORED]
    last = _refined(before[:, 1].float(), maps, segnet, head.refine_steps)
    first = _repaired(before[:, 0].float(), last.float(), target, posenet, head.repair_steps)
    return torch.stack([first, last], dim=1)


def _refined(last: torch.Tensor, maps: torch.Tensor, segnet: nn.Module, steps: int) -> torch.Tensor:
    """Last frames whose wrong and nearly wrong pixels were pushed over, uint8; of each the best that was seen."""
    classes = maps.long()
    best, fewest = rounded(last), torch.full((len(last),), float("inf"))
    moving = last.clone().requires_grad_()
    optimizer = torch.optim.Adam([moving], lr=_REFINE_RATE)
    for step in range(steps + 1):
        shown = moving + (moving.round().clamp(0.0, 255.0) - moving).detach()
        logits = segnet(shown.contiguous(memory_format=torch.channels_last))
        own = logits.gather(1, classes[:, None]).squeeze(1)
        margin = own - logits.scatter(1, classes[:, None], float("-inf")).amax(dim=1)
        wrong = (margin.detach() <= 0.0).flatten(1).float().sum(dim=1)
        for number in torch.nonzero(wrong < fewest).flatten().tolist():
            best[number], fewest[number] = rounded(moving.detach()[number]), wrong[number]
        if step == steps:
            break
        optimizer.zero_grad()
        torch.relu(_MARGIN - margin).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return best


def _repaired(
    first: torch.Tensor, last: torch.Tensor, target: torch.Tensor, posenet: nn.Module, steps: int
) -> torch.Tensor:
    """First frames that give back the pose which the pairs had, uint8; of each the best that was seen."""
    size = (first.shape[-2], first.shape[-1])
    best, least = rounded(first), torch.full((len(first),), float("inf"))
    moving = first.clone().requires_grad_()
    optimizer = torch.optim.Adam([moving], lr=_REPAIR_RATE)
    for step in range(steps + 1):
        shown = moving + (moving.round().clamp(0.0, 255.0) - moving).detach()
        found = posenet(preprocess.posenet_input(torch.stack([shown, last], dim=1), size))[:, :_SCORED]
        gap = (found - target).square().mean(dim=1)
        for number in torch.nonzero(gap.detach() < least).flatten().tolist():
            best[number], least[number] = rounded(moving.detach()[number]), gap.detach()[number]
        if step == steps:
            break
        optimizer.zero_grad()
        gap.sum().backward()
        optimizer.step()
    return best
