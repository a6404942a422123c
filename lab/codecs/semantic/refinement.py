"""Frames that are moved by Adam until the frozen networks read them rightly: last ones for SegNet, first for PoseNet.

At the encoder the result is what a renderer copies (`encode.Params.distil`); the family `semantic_tto` does the same
while it inflates, which needs the networks there.

References: the prepass, refine and repair loop of the contest's entries; margin instead of cross-entropy, since the
class map is saturated and only pixels near a boundary are ever wrong.
"""

from __future__ import annotations

import torch
from torch import nn

from lab.codecs.pixels import rounded
from lab.evaluator import preprocess

# Grey levels per step, and the margin (in logits) from which a pixel is left alone.
_REFINE_RATE, _REPAIR_RATE, _MARGIN = 2.0, 1.0, 1.0
SCORED = 6


def refined(last: torch.Tensor, maps: torch.Tensor, segnet: nn.Module, steps: int) -> torch.Tensor:
    """Last frames whose wrong and nearly wrong pixels were pushed over; of each the best that was seen.

    Args:
        last: float (n, 3, h, w), 0-255, unrounded.
        maps: uint8 (n, h, w), what SegNet is to find.
        steps: of Adam.

    Returns:
        uint8 (n, 3, h, w).
    """
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


def repaired(
    first: torch.Tensor, last: torch.Tensor, target: torch.Tensor, posenet: nn.Module, steps: int
) -> torch.Tensor:
    """First frames that make the pairs show a pose; of each the best that was seen.

    Args:
        first, last: float (n, 3, h, w), 0-255; last frames stay as they are.
        target: float (n, 6), what PoseNet is to find.
        steps: of Adam.

    Returns:
        uint8 (n, 3, h, w).
    """
    size = (first.shape[-2], first.shape[-1])
    best, least = rounded(first), torch.full((len(first),), float("inf"))
    moving = first.clone().requires_grad_()
    optimizer = torch.optim.Adam([moving], lr=_REPAIR_RATE)
    for step in range(steps + 1):
        shown = moving + (moving.round().clamp(0.0, 255.0) - moving).detach()
        found = posenet(preprocess.posenet_input(torch.stack([shown, last], dim=1), size))[:, :SCORED]
        gap = (found - target).square().mean(dim=1)
        for number in torch.nonzero(gap.detach() < least).flatten().tolist():
            best[number], least[number] = rounded(moving.detach()[number]), gap.detach()[number]
        if step == steps:
            break
        optimizer.zero_grad()
        gap.sum().backward()
        optimizer.step()
    return best
