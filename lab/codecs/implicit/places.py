"""Codes of fields, moved by one after training where that pays, many at a time on the real metric.

A code acts where it lies. One cell of every window of four by four is changed at once, each by the step that promises
most, and every change is judged by the pixels of its own window; sixteen turns reach all cells. What a turn admits is
measured once more together for each pair, with PoseNet, which sees the whole frame, and a sweep is kept only where the
score of the payload that it makes falls.

References: `lab.codecs.admission`, the rule of what enters.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F

from lab.codecs.base import Monitor
from lab.codecs.implicit import decode, fields, packing
from lab.codecs.implicit.content import Content
from lab.codecs.implicit.judge import Judge
from lab.training import losses, targets

# Cells from one change to the next that is tried with it; how far a code reaches, and more, on either side.
PITCH = 4
_TAU = 0.5
_BATCH_PAIRS = 4


class Steps(NamedTuple):
    """For every cell the step that promises most, (N, rows, columns): plane, -1 or 1, its price, what is promised."""

    plane: torch.Tensor
    move: torch.Tensor
    price: torch.Tensor
    promise: torch.Tensor


def sweep(content: Content, judge: Judge, monitor: Monitor) -> Content:
    """The content with those codes of its fields moved that pay for it; the very same one where none do together."""
    before = judge.validation(content)
    assert before.posenet is not None  # the judge of a payload always asks PoseNet
    steps = _steps(content, judge, before.posenet)
    trial = _Trial(content, judge, judge.pose_weight(before.posenet))
    turns = list(itertools.product(range(PITCH), repeat=2))
    for number, (row, column) in enumerate(turns):
        monitor("field polish", number, len(turns))
        here = torch.zeros_like(steps.promise, dtype=torch.bool)
        here[:, row::PITCH, column::PITCH] = True
        here &= steps.promise > 0.0
        for start in range(0, content.head.n_pairs, _BATCH_PAIRS):
            part = slice(start, start + _BATCH_PAIRS)
            if here[part].any():
                trial.turn(part, Steps(*(each[part] for each in steps)), here[part], (row, column))
    monitor("field polish", len(turns), len(turns))
    moved = replace(content, fields=trial.codes.to(torch.int8).numpy())
    return moved if judge.validation(moved).score < before.score else content


def _steps(content: Content, judge: Judge, posenet: float) -> Steps:
    """The most promising step of every cell, in parts of a pair's own score."""
    codes = torch.from_numpy(content.fields).float()
    slopes = judge.slopes(content, posenet, _TAU).fields
    assert slopes is not None
    estimated = float(fields.estimated_bits(codes, torch.arange(len(codes))))
    # The coder learns what the estimate does not know; both are of one order, so prices are brought to its bytes.
    byte = (
        len(packing.pack_fields(content.fields, content.head.field_coder))
        / max(estimated, 1.0)
        * judge.byte_price
        * len(codes)
    )
    price = fields.step_bits(codes) * byte
    move = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1, 1)
    promise = -(slopes * move) - price
    promise[(codes + move).abs() > fields.LARGEST] = -1.0
    n_planes = codes.shape[1]
    best, index = promise.transpose(0, 1).flatten(1, 2).max(dim=1)
    prices = price.transpose(0, 1).flatten(1, 2).gather(1, index[:, None])[:, 0]
    return Steps(index % n_planes, 2.0 * (index // n_planes) - 1.0, prices, best)


class _Trial:
    """Fields as far as they have been moved, and what the networks say of them."""

    def __init__(self, content: Content, judge: Judge, pose_weight: float) -> None:
        self.codes = torch.from_numpy(content.fields).float()
        self._head, self._judge, self._pose_weight = content.head, judge, pose_weight
        self._decoder = decode.build(content)
        self._latents, self._biases = torch.from_numpy(content.latent_values()), torch.from_numpy(content.biases())
        said = [self._ask(slice(at, at + _BATCH_PAIRS), self.codes[at : at + _BATCH_PAIRS]) for at in self._starts()]
        self._wrong, self._gap = (torch.cat(parts) for parts in zip(*said, strict=True))

    def turn(self, part: slice, steps: Steps, here: torch.Tensor, origin: tuple[int, int]) -> None:
        """Try the steps of some pairs where they are asked for, and take those that pay.

        Args:
            steps: of these pairs.
            here: bool (n, rows, columns), at most one cell per window.
            origin: first row and first column of the cells that may be asked for.
        """
        formula = self._judge.formula
        wrong, gap = self._ask(part, self._moved(part, steps, here))
        fixed = self._wrong[part] - wrong
        n_pixels = fixed[0].numel()
        gained = torch.zeros(here.shape)
        gained[:, origin[0] :: PITCH, origin[1] :: PITCH] = windows(fixed, here.shape[1:], origin)
        pays = here & (formula.segnet / n_pixels * gained > steps.price)
        codes = self._moved(part, steps, pays)
        if not torch.equal(pays, here):
            wrong, gap = self._ask(part, codes)
        fewer = (self._wrong[part] - wrong).flatten(1).sum(dim=1)
        worth = formula.segnet / n_pixels * fewer + self._pose_weight * (self._gap[part] - gap)
        taken = (worth > (steps.price * pays).flatten(1).sum(dim=1)) & pays.flatten(1).any(dim=1)
        self.codes[part] = torch.where(taken[:, None, None, None], codes, self.codes[part])
        self._wrong[part] = torch.where(taken[:, None, None], wrong, self._wrong[part])
        self._gap[part] = torch.where(taken, gap, self._gap[part])

    def _starts(self) -> range:
        return range(0, len(self.codes), _BATCH_PAIRS)

    def _moved(self, part: slice, steps: Steps, here: torch.Tensor) -> torch.Tensor:
        """The codes of some pairs after the steps of some cells."""
        planes = F.one_hot(steps.plane, self.codes.shape[1]).permute(0, 3, 1, 2)
        return self.codes[part] + planes * (steps.move * here)[:, None]

    @torch.no_grad()
    def _ask(self, part: slice, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(1 for every wrong pixel, PoseNet's distortion) of some pairs, float (n, h, w) and double (n,)."""
        known, judge, n_pairs = self._judge.known, self._judge, len(codes)
        filled = torch.arange(_BATCH_PAIRS) % n_pairs  # as a decoder fills its last batch up
        frames = (self._decoder(self._latents[part][filled], codes[filled]) + self._biases)[:n_pairs]
        logits, pose = targets.answers(judge.seen(frames, self._head), known.size, judge.segnet, judge.posenet)
        gap = losses.pose_distortion(pose.double(), known.pose[part].double())
        return losses.wrong(logits, known.classes[part].long()), gap


def windows(pixels: torch.Tensor, cells: tuple[int, ...], origin: tuple[int, int]) -> torch.Tensor:
    """Sums over the windows around every cell of a lattice, float (n, lattice rows, lattice columns).

    Args:
        pixels: float (n, h, w).
        cells: (rows, columns) of the grid that divides them.
        origin: first row and column of the lattice, whose cells stand `PITCH` apart.
    """
    sides = [size // count for size, count in zip(pixels.shape[1:], cells, strict=True)]
    starts = [at * side - (PITCH - 1) * side // 2 for at, side in zip(origin, sides, strict=True)]
    counts = [len(range(at, count, PITCH)) for at, count in zip(origin, cells, strict=True)]
    ends = [start + count * PITCH * side for start, count, side in zip(starts, counts, sides, strict=True)]
    left, top = -starts[1], -starts[0]
    around = F.pad(pixels, (left, ends[1] - pixels.shape[2], top, ends[0] - pixels.shape[1]))
    tall, wide = PITCH * sides[0], PITCH * sides[1]
    return around.reshape(-1, counts[0], tall, counts[1], wide).sum(dim=(2, 4))
