"""Where a training run stands: everything that the next step depends on, saved and taken back as one.

A run resumed from any checkpoint goes on bit for bit as if it had not stopped (on one thread): batches depend on the
seed and the step alone, and all that moves is here. The log is a CSV beside the checkpoint; rows behind the
checkpoint's step are cut off on resuming, since those steps are done again.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lab.errors import TrainingError
from lab.training import checkpoints
from lab.training.average import Exponential, Uniform
from lab.training.objective import Running

CHECKPOINT = "checkpoint.safetensors"
LOG = "training.csv"
COLUMNS = (
    "step", "stage", "lr", "loss", "seg_loss", "pose_loss", "pixel_loss", "feature_loss", "rate_loss", "grad_norm",
    "running_segnet", "running_posenet", "running_score", "candidate", "segnet", "posenet", "n_bytes", "score",
)  # fmt: skip
Weights = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What a candidate is worth, decoded: components, bytes, score, and each pair's part of the distortion.

    `posenet` is None where PoseNet was not asked; the score then leaves its term out.
    """

    segnet: float
    posenet: float | None
    n_bytes: int
    score: float
    pairs: NDArray[np.float64]


@dataclass(slots=True, kw_only=True)
class Best:
    """The best candidate so far."""

    weights: Weights
    candidate: str
    stage: str
    step: int
    segnet: float
    posenet: float | None
    n_bytes: int
    score: float


@dataclass(slots=True)
class Progress:
    """The state of a run between two steps.

    Attributes:
        stage, step: stage by number and steps done within it.
        done_steps: steps done in all stages.
        ema, swa: averages of the running stage, where it has them.
        snapshots: weights of the latest validations of the running stage.
        difficulty: float64 (N,), each pair's distortion at the last validation; empty before.
        calibrated: whether learned steps have been set from the weights.
    """

    stage: int = 0
    step: int = 0
    done_steps: int = 0
    ema: Exponential | None = None
    swa: Uniform | None = None
    snapshots: list[Weights] = field(default_factory=list)
    best: Best | None = None
    running: Running = field(default_factory=Running)
    difficulty: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))
    calibrated: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    written_rows: int = 0

    def log(self, **values: object) -> None:
        """Add a row to the log."""
        self.rows.append({"step": self.done_steps, **values})

    def save(self, folder: Path, live: Weights, memory: Weights, identity: Mapping[str, Any]) -> None:
        """Write log and checkpoint.

        Args:
            live: weights and quantizer as they are.
            memory: the optimizers' memory.
            identity: what a resumed run must share: configuration, shapes.
        """
        self._append_log(folder)
        tensors = checkpoints.prefixed("live", live) | checkpoints.prefixed("memory", memory)
        tensors["difficulty"] = self.difficulty
        if self.ema:
            tensors |= checkpoints.prefixed("ema", self.ema.mean)
        if self.swa:
            tensors |= checkpoints.prefixed("swa", self.swa.mean)
        for number, snapshot in enumerate(self.snapshots):
            tensors |= checkpoints.prefixed(f"snapshot{number}", snapshot)
        state: dict[str, Any] = {
            "identity": dict(identity),
            "stage": self.stage,
            "step": self.step,
            "done_steps": self.done_steps,
            "calibrated": self.calibrated,
            "running": asdict(self.running),
            "written_rows": self.written_rows,
            "n_snapshots": len(self.snapshots),
            "ema": [self.ema.decay, self.ema.count] if self.ema else None,
            "swa": self.swa.count if self.swa else None,
            "best": None,
        }
        if self.best:
            tensors |= checkpoints.prefixed("best", self.best.weights)
            plain = ("candidate", "stage", "step", "segnet", "posenet", "n_bytes", "score")
            state["best"] = {name: getattr(self.best, name) for name in plain}
        checkpoints.save_atomic(folder / CHECKPOINT, tensors, state)

    def _append_log(self, folder: Path) -> None:
        if not self.rows:
            return
        folder.mkdir(parents=True, exist_ok=True)
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
        if self.written_rows == 0:
            writer.writeheader()
        writer.writerows(self.rows)
        try:
            with (folder / LOG).open("w" if self.written_rows == 0 else "a", encoding="utf-8") as file:
                file.write(text.getvalue())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TrainingError(
                f"log {LOG}",
                expected=f"room for {len(self.rows):,} rows",
                found=error.strerror or str(error),
                fix="the checkpoint before it is whole; free the disk and start again, training resumes from there",
            ) from None
        self.written_rows += len(self.rows)
        self.rows.clear()


def resume(
    folder: Path, device: torch.device | None = None
) -> tuple[Progress, Weights, Weights, dict[str, Any]] | None:
    """(progress, live weights, optimizer memory, identity) of the checkpoint in a folder; None where there is none.

    Args:
        device: where weights and averages go on; the processor unless told otherwise.

    Raises:
        TrainingError: the file is not a checkpoint of ours.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    kept, state = checkpoints.load(path)
    tensors = {name: value.to(device or "cpu") for name, value in kept.items()}
    progress = Progress(
        stage=state["stage"],
        step=state["step"],
        done_steps=state["done_steps"],
        calibrated=state["calibrated"],
        running=Running(**state["running"]),
        difficulty=kept["difficulty"],
        written_rows=state["written_rows"],
        snapshots=[checkpoints.under(f"snapshot{number}", tensors) for number in range(state["n_snapshots"])],
    )
    if state["ema"]:
        progress.ema = Exponential(checkpoints.under("ema", tensors), state["ema"][0])
        progress.ema.count = state["ema"][1]
    if state["swa"] is not None:
        progress.swa = Uniform({})
        progress.swa.mean, progress.swa.count = checkpoints.under("swa", tensors), state["swa"]
    if state["best"]:
        progress.best = Best(weights=checkpoints.under("best", tensors), **state["best"])
    _cut_log(folder / LOG, progress.written_rows)
    return progress, checkpoints.under("live", tensors), checkpoints.under("memory", tensors), state["identity"]


def _cut_log(path: Path, n_rows: int) -> None:
    """Leave the header and the first `n_rows` rows."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if len(lines) > n_rows + 1:
        temporary = path.with_suffix(".part")
        temporary.write_text("".join(lines[: n_rows + 1]) if n_rows else "", encoding="utf-8")
        temporary.replace(path)


def batch_index(seed: int, stage: int, step: int, n_pairs: int, size: int) -> torch.Tensor:
    """Which pairs a step sees, int64 (size,): one permutation of all pairs per epoch, a function of its arguments.

    Args:
        stage, step: stage by number, step within it.
    """
    out: list[torch.Tensor] = []
    at, left = step * size, size
    while left:
        epoch, offset = divmod(at, n_pairs)
        order = torch.randperm(n_pairs, generator=generator(seed, stage, epoch))
        taken = order[offset : offset + left]
        out.append(taken)
        at, left = at + len(taken), left - len(taken)
    return torch.cat(out)


def with_hard(index: torch.Tensor, difficulty: torch.Tensor, share: float, seed: int, step: int) -> torch.Tensor:
    """The same batch with a share of it drawn from the fifth of pairs that are hardest."""
    n_hard = round(len(index) * share)
    if not n_hard or not len(difficulty):
        return index
    pool = difficulty.argsort(descending=True, stable=True)[: max(1, math.ceil(len(difficulty) / 5))]
    drawn = torch.randint(len(pool), (n_hard,), generator=generator(seed, -1, step))
    return torch.cat([pool[drawn], index[n_hard:]])


def generator(seed: int, stage: int, number: int) -> torch.Generator:
    """A random generator that depends on these three numbers only."""
    mixed = (seed * 1_000_003 + stage) * 1_000_003 + number
    return torch.Generator().manual_seed(mixed & 0x7FFF_FFFF_FFFF_FFFF)
