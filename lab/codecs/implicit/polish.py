"""Corrections after training, each found by trying on the real metric: latent codes, the side-car, decode constants.

A change is admitted where measured distortion plus the price of its bytes falls. Gradients only say what is worth
trying. What was found pair by pair is measured once more as a whole, from the payload, before it is kept.

References: the latent side-car of the public HNeRV entries; `lab.codecs.admission`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lab.codecs import admission
from lab.codecs.base import Monitor
from lab.codecs.implicit import decode
from lab.codecs.implicit.content import SIDECAR_UNIT, Content
from lab.codecs.implicit.judge import Judge
from lab.training.progress import Validation

_TAU = 0.5
_TRIED_DIMENSIONS = 4
# What one correction costs before it is coded for good, in bytes; the whole is measured at the end.
_CORRECTION_BYTES = 1.25
_CODE_BYTES = 0.25
_CODE_AMOUNTS = (1.0, 2.0)
_SIDECAR_AMOUNTS = (1, 2, 4, 8)  # in units of the side-car
_BATCH_PAIRS = 4


class Change(NamedTuple):
    """The best change of one pair: dimension, amount in latent steps, and by how much the pair's score falls."""

    pair: int
    dimension: int
    amount: float
    gain: float


def latents(content: Content, judge: Judge, monitor: Monitor) -> Content:
    """The content with the latent codes of some pairs moved, at most one dimension each."""
    before = judge.validation(content)
    changes = best_changes(content, judge, before, _CODE_AMOUNTS, _CODE_BYTES, monitor, "latent polish")

    def apply(chosen: Sequence[Change]) -> Content:
        codes = content.latents.copy().view(np.int8)
        for change in chosen:
            moved = int(codes[change.dimension, change.pair]) + round(change.amount)
            codes[change.dimension, change.pair] = min(max(moved, -128), 127)
        return replace(content, latents=codes.view(np.uint8))

    return admitted(content, before, changes, apply, judge)


def sidecar(content: Content, judge: Judge, monitor: Monitor) -> Content:
    """The content with one correction for every pair that gains from one."""
    before = judge.validation(content)
    amounts = tuple(units * SIDECAR_UNIT for units in _SIDECAR_AMOUNTS)
    changes = best_changes(content, judge, before, amounts, _CORRECTION_BYTES, monitor, "side-car")

    def apply(chosen: Sequence[Change]) -> Content:
        table = np.zeros((content.head.n_pairs, 2), np.int8)
        for change in chosen:
            table[change.pair] = change.dimension + 1, round(change.amount / SIDECAR_UNIT)
        return replace(content, sidecar=table)

    return admitted(content, before, changes, apply, judge)


def constants(content: Content, judge: Judge, monitor: Monitor) -> Content:
    """The content with the channel biases and latents' scale that measure best, one after the other."""
    best, kept = content, judge.validation(content)
    values = np.zeros(7, np.int8)
    frames = list(decode.rendered(replace(content, constants=np.empty(0, np.int8))))
    for place in range(7):
        monitor("decode constants", place, 7)
        for amount in (2, -2, 1, -1):
            trial = values.copy()
            trial[place] += amount
            changed = replace(content, constants=trial)
            found = judge.validation(changed) if place == 6 else _biased(changed, frames, judge)
            if found.score < kept.score:
                best, kept, values = changed, found, trial
                break
    monitor("decode constants", 7, 7)
    return best


def _biased(content: Content, frames: list[torch.Tensor], judge: Judge) -> Validation:
    """What a content is worth whose frames before the biases are known."""
    biases = torch.from_numpy(content.biases())
    found = judge.measure(judge.seen(batch + biases, content.head) for batch in frames)
    return judge.worth(found, judge.payload_bytes(content))


def best_changes(
    content: Content,
    judge: Judge,
    before: Validation,
    amounts: Sequence[float],
    price_bytes: float,
    monitor: Monitor,
    stage: str,
) -> list[Change]:
    """The best change of every pair that gains more than its bytes, largest gain first.

    Args:
        amounts: sizes to try, in latent steps; the sign is against the gradient.
        price_bytes: what one change costs.
    """
    assert before.posenet is not None  # the judge of a payload always asks PoseNet
    head = content.head
    steps = content.latent_sizes()
    slopes = judge.slopes(content, before.posenet, _TAU).latents.numpy() * steps
    decoder = decode.build(content)
    values, biases = content.latent_values(), torch.from_numpy(content.biases())
    fields = decode.fields_of(content)
    n_pairs, weight = head.n_pairs, judge.pose_weight(before.posenet)
    threshold = price_bytes * judge.byte_price * n_pairs
    changes: list[Change] = []
    for pair in range(n_pairs):
        dimensions = np.argsort(-np.abs(slopes[pair]), kind="stable")[:_TRIED_DIMENSIONS]
        tried = [(int(d), -float(np.sign(slopes[pair, d])) * a) for d in dimensions for a in amounts]
        moved = np.repeat(values[pair : pair + 1], len(tried) + 1, axis=0)
        for row, (dimension, amount) in enumerate(tried, start=1):
            moved[row, dimension] += np.float32(amount * steps[dimension])
        frames = _render(decoder, moved, None if fields is None else fields[pair]) + biases
        seg, pose = judge.of_pairs(frames, head, np.full(len(moved), pair))
        worth = judge.formula.segnet * seg + weight * pose
        gains = worth[0] - worth[1:]
        best = int(gains.argmax())
        if gains[best] > threshold:
            changes.append(Change(pair, *tried[best], float(gains[best])))
        monitor(stage, pair + 1, n_pairs)
    return sorted(changes, key=lambda change: -change.gain)


def _render(decoder: torch.nn.Module, latents: NDArray[np.float32], field: torch.Tensor | None) -> torch.Tensor:
    """Frames of one pair under several latents."""
    parts = []
    with torch.no_grad():
        for at in range(0, len(latents), _BATCH_PAIRS):
            z = torch.from_numpy(latents[at : at + _BATCH_PAIRS])
            parts.append(decoder(z, None if field is None else field.expand(len(z), -1, -1, -1)))
    return torch.cat(parts)


def admitted(
    content: Content,
    before: Validation,
    changes: list[Change],
    apply: Callable[[Sequence[Change]], Content],
    judge: Judge,
) -> Content:
    """The content with those of the changes, best first, that measure better together than without them."""

    def score(tried: Content) -> float:
        return judge.validation(tried).score

    return admission.admit(content, before.score, changes, apply, score)[0]
