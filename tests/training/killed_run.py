"""A training run in a process of its own, for tests that kill it: killed_run.py FOLDER."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import rooms

from lab.codecs.filtered.model import build_postfilter
from lab.training.config import Fitted, TrainConfig
from lab.training.schedule import Stage
from lab.training.trainer import Monitor, Trainer, silent

# Everything that has memory: two optimizers, moving and uniform averages, snapshots, hard pairs, learned steps.
STAGES = (
    Stage(name="first", steps=14, batch_pairs=3, seg_loss="kl", optimizer="muon", ema=0.9, hard=0.4, average=3),
    Stage(name="second", steps=16, batch_pairs=2, seg_loss="softplus", quantize=True, swa=0.6, surgery=True, rate=1.0),
)


def config(**changes: object) -> TrainConfig:
    """The configuration of the run."""
    known: dict[str, object] = {
        "stages": STAGES,
        "source_bytes": 50_000,
        "scheme": "lsq-channel",
        "seed": 5,
        "validate_every": 4,
        "checkpoint_every": 3,
        "log_every": 2,
    }
    return TrainConfig(**{**known, **changes})  # type: ignore[arg-type]


def run(folder: Path | None, monitor: Monitor = silent) -> Fitted:
    """The run, from the folder's checkpoint where it has one."""
    segnet, posenet = rooms.networks()
    trainer = Trainer(build_postfilter("dilated", hidden=6, seed=1), config(), folder=folder, monitor=monitor)
    return trainer.fit(rooms.damaged(), rooms.reference(), posenet, segnet)


def digest(fitted: Fitted) -> str:
    """SHA-256 of the packed weights and what they are worth."""
    summary = hashlib.sha256(repr(fitted.validation.score).encode())
    for name, item in fitted.packed.items():
        summary.update(name.encode() + item.codes.tobytes() + item.steps.tobytes())
    return summary.hexdigest()


def tell(_stage: str, done: int, _total: int) -> None:
    """Say how far the run is, for whoever will kill it."""
    sys.stdout.write(f"{done}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.stdout.write("digest " + digest(run(Path(sys.argv[1]), tell)) + "\n")
