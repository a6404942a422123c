"""Stages of a training run: what each does, at which rate it learns, and the table that is printed before it starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from lab import recipe
from lab.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage. Budgets are steps, not seconds, so that a run repeats on any machine.

    Attributes:
        name, steps, batch_pairs: what it is called, how long it runs, how many pairs a step sees.
        lr, lr_end, warmup: learning rate, its share at the end of the cosine (0-1), steps of linear rise.
        optimizer: "adamw", or "muon" for hidden convolutions with AdamW for the rest (`muon_lr`).
        seg_loss, temperature, tau, gamma: segmentation loss and its constants; see `losses`.
        seg, pose, pixel, feature, rate: weights of the loss terms; `rate` 1 charges weights at the contract's price.
        law: how the rate term counts bits, see `rate`.
        kl: weight of an additional distillation term on the logits.
        weighting: "score" takes seg and sqrt(pose) as the score does; "marginal" weighs pose by the score's slope at
            the running mean; "contribution" gives each task its share of the running score.
        surgery: whether conflicting gradients of the two networks are projected off each other (PCGrad).
        boost, class_weights, alpha: extra weight of wrong pixels, of classes, of salient pixels.
        hard: share of each batch drawn from the fifth of pairs with the largest distortion.
        quantize: whether weights are trained as they will be packed.
        ema, swa, average: decay of the moving average (0 off); share of the stage whose weights are averaged
            uniformly at its end (0 off); how many validated snapshots are averaged at its end (0 off).
        clip: largest norm of a gradient (0 off).
        freeze: parameters whose names begin so do not move.
        start: whether the stage starts from the "last" weights or the "best" so far.
    """

    name: str
    steps: int
    batch_pairs: int = 4
    lr: float = 1e-3
    lr_end: float = 0.05
    warmup: int = 0
    optimizer: Literal["adamw", "muon"] = "adamw"
    muon_lr: float = 2e-3
    weight_decay: float = 0.0
    seg_loss: Literal["cross-entropy", "kl", "agreement", "softplus", "hinge", "flip", "focal"] = "kl"
    temperature: float = 2.0
    tau: float = 0.3
    gamma: float = 2.0
    seg: float = 100.0
    pose: float = 10.0
    pixel: float = 0.0
    feature: float = 0.0
    rate: float = 0.0
    law: Literal["laplace", "laplace-row", "binned"] = "laplace"
    kl: float = 0.0
    weighting: Literal["score", "marginal", "contribution"] = "score"
    surgery: bool = False
    boost: float = 0.0
    class_weights: tuple[float, ...] = ()
    alpha: float = 0.0
    hard: float = 0.0
    quantize: bool = False
    ema: float = 0.0
    swa: float = 0.0
    average: int = 0
    clip: float = 1.0
    freeze: tuple[str, ...] = ()
    start: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        shares = {"lr_end": self.lr_end, "ema": self.ema, "swa": self.swa, "hard": self.hard}
        wrong = [name for name, value in shares.items() if not 0.0 <= value <= 1.0]
        if wrong:
            raise ValueError(f"stage {self.name!r}: {', '.join(wrong)} must lie in 0-1")
        if self.steps < 1 or self.batch_pairs < 1 or self.warmup < 0 or self.average < 0:
            raise ValueError(
                f"stage {self.name!r}: steps and batch_pairs must be positive, warmup and average not negative"
            )
        positive = {"lr": self.lr, "muon_lr": self.muon_lr, "temperature": self.temperature, "tau": self.tau}
        wrong = [name for name, value in positive.items() if not (value > 0.0 and math.isfinite(value))]
        if wrong:
            raise ValueError(f"stage {self.name!r}: {', '.join(wrong)} must be positive")

    def rate_at(self, step: int) -> float:
        """Learning rate over `lr` at a step of this stage, 0-1: linear rise, then a cosine down to `lr_end`."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        through = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.lr_end + (1.0 - self.lr_end) * 0.5 * (1.0 + math.cos(math.pi * min(through, 1.0)))


def stages(tables: Sequence[dict[str, Any]], where: str) -> tuple[Stage, ...]:
    """Stages from the `[[stages]]` of a recipe.

    Raises:
        RecipeError: there is none, one has an unknown key or a value out of range, or two share a name.
    """
    found = tuple(recipe.fill(Stage, table, f"{where}, stage {number}") for number, table in enumerate(tables, 1))
    if not found:
        raise RecipeError(where, expected="at least one [[stages]]", found="none", fix="or name a profile")
    names = [stage.name for stage in found]
    if len(set(names)) != len(names):
        raise RecipeError(where, expected="a name of its own for every stage", found=", ".join(names))
    return found


_ALWAYS = ("name", "steps", "batch_pairs", "lr", "optimizer", "seg_loss", "seg", "pose", "quantize")


def table(schedule: Sequence[Stage]) -> str:
    """The whole schedule as one aligned table: a column per field that any stage sets away from its default."""
    defaults = Stage(name="", steps=1)
    shown = [
        item.name
        for item in fields(Stage)
        if item.name in _ALWAYS or any(getattr(stage, item.name) != getattr(defaults, item.name) for stage in schedule)
    ]
    rows = [shown] + [[_cell(getattr(stage, name)) for name in shown] for stage in schedule]
    widths = [max(len(row[column]) for row in rows) for column in range(len(shown))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    total = sum(stage.steps for stage in schedule)
    return "\n".join([*lines, f"{total:,} steps, {sum(s.steps * s.batch_pairs for s in schedule):,} pair visits"])


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def scaled(schedule: Sequence[Stage], total_steps: int) -> tuple[Stage, ...]:
    """The same stages with their steps in the same proportion and the given sum; none falls below one.

    Raises:
        ValueError: fewer steps than stages.
    """
    if total_steps < len(schedule):
        raise ValueError(f"{len(schedule)} stages need at least as many steps, got {total_steps}")
    before = sum(stage.steps for stage in schedule)
    out = [replace(stage, steps=max(1, stage.steps * total_steps // before)) for stage in schedule]
    longest = max(range(len(out)), key=lambda index: out[index].steps)
    rest = total_steps - sum(stage.steps for stage in out)
    out[longest] = replace(out[longest], steps=max(1, out[longest].steps + rest))
    return tuple(out)
