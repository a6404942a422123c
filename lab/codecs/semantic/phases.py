"""Training of a renderer in phases: which networks ask, which half of the renderer answers and moves.

    last     stages without PoseNet: trunk and last frames, for SegNet alone                         anchor, boost
    first    stages without SegNet: the motion branch alone, beside trunk and last frames as packed  pose finetune
    both     all the rest                                                                            joint

A phase ends in its best candidate, as it is packed; the next begins there. Its folder in the cache is named after all
that decides it, so that recipes which differ later on, or only in what follows training, share it.

References: the staged freezing of the contest's entry quantizr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from lab import custody
from lab.codecs.base import Monitor, SourceClip
from lab.codecs.semantic import model as architecture
from lab.codecs.semantic.model import Renderer, Shape
from lab.codecs.standins import Silent
from lab.errors import RecipeError
from lab.training import targets
from lab.training.config import TrainConfig
from lab.training.parameters import Parameters
from lab.training.progress import Validation, Weights
from lab.training.quantize import Quantized
from lab.training.schedule import Stage
from lab.training.targets import Targets
from lab.training.trainer import Trainer

Phase = Literal["last", "first", "both"]
MOTION = "motion."


def phase_of(stage: Stage) -> Phase:
    """Which phase a stage belongs to."""
    if not stage.pose:
        return "last"
    return "both" if stage.seg or stage.kl else "first"


def phases(stages: tuple[Stage, ...], where: str) -> list[tuple[Phase, tuple[Stage, ...]]]:
    """Runs of stages of one phase.

    Raises:
        RecipeError: the motion branch moves before there are last frames, or it never does.
    """
    found = [(phase, tuple(part)) for phase, part in groupby(stages, phase_of)]
    if found[0][0] == "first" or found[-1][0] == "last":
        raise RecipeError(
            where,
            expected="stages for SegNet or both networks at first, and for PoseNet or both at last",
            found=", ".join(f"{stage.name} ({phase_of(stage)})" for stage in stages),
        )
    return found


class Staged(Renderer):
    """A renderer that draws what the networks of a phase look at, and keeps gradients where it moves."""

    phase: Phase = "both"

    def forward(self, maps: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
        if self.phase == "both":
            return super().forward(maps, poses)
        with torch.set_grad_enabled(self.phase == "last" and torch.is_grad_enabled()):
            features = self.features(maps)
            last = self.last_frame(maps, features)
        first = last if self.phase == "last" else self.motion(features, poses, last)
        return torch.stack([first, last], dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What every phase of a run shares.

    Attributes:
        source, monitor: the clip; progress.
        known: answers of both networks on it.
        segnet, posenet: what gradients come from, maybe in a lesser precision, which `precision` names.
        shape, scheme, bits, seed: of the renderer, and how it is packed.
        maps: uint8 (n_pairs, h, w).
        poses: float (n_pairs, pose_dims), what conditions first frames.
        rates: factors on learning rates by prefix.
        validate_every: steps between two decoded scores.
        validate: (packed tensors, whether PoseNet is asked) to what they are worth, decoded.
    """

    source: SourceClip
    monitor: Monitor
    known: Targets
    segnet: nn.Module
    posenet: nn.Module
    precision: str
    shape: Shape
    scheme: str
    bits: int
    seed: int
    maps: torch.Tensor
    poses: torch.Tensor
    rates: Mapping[str, float]
    validate_every: int
    validate: Callable[[Mapping[str, Quantized], bool], Validation]


def train(course: Course, parts: list[tuple[Phase, tuple[Stage, ...]]]) -> Mapping[str, Quantized]:
    """The packed tensors of the last phase's best candidate."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(course.seed)
        model = Staged(course.shape)
    packed: Mapping[str, Quantized] = {}
    start: Weights | None = None
    settled: tuple[str, ...] = ()
    before = ""
    for phase, stages in parts:
        packed, start, before = _run(course, model, phase, stages, start, settled, before)
        # Where a later phase holds weights still, they stay exactly as they are packed.
        settled = tuple(name for name, _ in model.named_parameters() if phase != "last" or not _moves_first(name))
    return packed


def _moves_first(name: str) -> bool:
    return name.startswith(MOTION)


def _run(
    course: Course,
    model: Staged,
    phase: Phase,
    stages: tuple[Stage, ...],
    start: Weights | None,
    settled: tuple[str, ...],
    before: str,
) -> tuple[Mapping[str, Quantized], Weights, str]:
    """(packed tensors of the best candidate, weights and quantizer for the next, a name for what decided them)."""
    model.phase = phase
    held = [
        name for name, _ in model.named_parameters() if {"last": True, "first": False}.get(phase) == _moves_first(name)
    ]
    contract = course.source.contract
    config = TrainConfig(
        stages=tuple(replace(stage, freeze=(*stage.freeze, *held)) for stage in stages),
        source_bytes=contract.source.bytes,
        scheme=course.scheme,
        bits=course.bits,
        seed=course.seed,
        validate_every=course.validate_every,
        checkpoint_every=200,
        log_every=50,
        formula=contract.formula,
        rates=dict(course.rates),
        material=_material(course, phase),
    )
    name = targets.key(config.digest, course.shape, before)
    folder = course.source.cache / "semantic" / name
    _note(course.source.work / "phases.txt", f"{phase} {name}")
    segnet = Silent(tuple(course.known.logits.shape[1:])) if phase == "first" else course.segnet

    def validate(found: Mapping[str, Quantized], _values: Mapping[str, torch.Tensor]) -> Validation:
        return course.validate(found, phase != "last")

    trainer = Trainer(model, config, folder=folder, monitor=course.monitor)
    fitted = trainer.fit(
        (course.maps, course.poses),
        course.known,
        course.posenet,
        segnet,
        validate=validate,
        start=start,
        settled=settled,
    )
    scheme, _ = trainer.parameters.split(fitted.validation.weights)
    return fitted.packed, Parameters.joined(fitted.values, scheme), name


def _material(course: Course, phase: Phase) -> str:
    """A name for what a phase is trained on: networks that it does not ask do not count."""
    contract = course.source.contract
    asked = {"last": ("segnet",), "first": ("posenet",), "both": ("segnet", "posenet")}[phase]
    poses = b"" if phase == "last" else course.poses.numpy().tobytes()
    return targets.key(
        contract.source.sha256,
        [contract.networks[network].sha256 for network in asked],
        contract.model_size,
        custody.sha256_bytes(course.maps.numpy().tobytes()),
        custody.sha256_bytes(poses),
        course.precision,
        custody.sha256_file(Path(architecture.__file__)),
    )


def _note(path: Path, line: str) -> None:
    """Add a line to a file of notes; a repeated run adds none."""
    known = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if line not in known:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*known, line]) + "\n", encoding="utf-8")
