"""Gradients of two tasks that pull apart, combined so that neither undoes the other (PCGrad).

References: T. Yu et al., "Gradient surgery for multi-task learning", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

Gradients = Sequence[torch.Tensor]


def dot(one: Gradients, other: Gradients) -> torch.Tensor:
    """Inner product of two gradients over all parameters."""
    return torch.stack([(a * b).sum() for a, b in zip(one, other, strict=True)]).sum()


def project(gradient: Gradients, against: Gradients) -> list[torch.Tensor]:
    """`gradient` without its component along `against`, if the two conflict; else unchanged."""
    overlap = dot(gradient, against)
    if overlap >= 0:
        return list(gradient)
    scale = overlap / dot(against, against).clamp_min(1e-20)
    return [a - scale * b for a, b in zip(gradient, against, strict=True)]


def combine(tasks: Sequence[Gradients]) -> tuple[list[torch.Tensor], bool]:
    """Sum of the tasks' gradients after each is projected off those that it conflicts with.

    Args:
        tasks: gradients of each task over the same parameters.

    Returns:
        (the combined gradient, whether any two conflicted).

    Notes:
        The original draws the order of projections at random; here each task meets the others in the given order,
        which for two tasks is the same thing and keeps a run repeatable.
    """
    if not tasks:
        raise ValueError("gradient surgery needs at least one task")
    total = [torch.zeros_like(g) for g in tasks[0]]
    conflict = False
    for index, task in enumerate(tasks):
        current = list(task)
        for other_index, other in enumerate(tasks):
            if other_index != index:
                conflict = conflict or bool(dot(current, other) < 0)
                current = project(current, other)
        total = [a + b for a, b in zip(total, current, strict=True)]
    return total, conflict
