"""Training of a renderer in phases: which networks ask, which half of the renderer answers and moves.

    last     stages without PoseNet: trunk and last frames, for SegNet alone                     anchor, boost
    first    stages without SegNet: the motion branch alone, beside trunk and last frames        pose finetune
    both     all the rest                                                                        joint

Stages that train weights as they will be packed are phases of their own, and so are stages that copy pixels. A phase
ends in its best candidate, and the next begins there: what was packed stays exactly as it is packed until a phase moves
it again. The folder of a phase in the cache is named after all that decides it, so that recipes which differ later on,
in how they pack, or only in what follows training, share it.

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
from lab.codecs.semantic import refinement
from lab.codecs.semantic.model import Renderer, Shape
from lab.codecs.standins import Silent
from lab.errors import RecipeError
from lab.training import progress, schedule, targets
from lab.training.average import copied
from lab.training.config import TrainConfig
from lab.training.parameters import Parameters
from lab.training.progress import Validation, Weights
from lab.training.quantize import Quantized
from lab.training.schedule import Stage
from lab.training.targets import Targets
from lab.training.trainer import Trainer

Phase = Literal["last", "first", "both"]
MOTION = "motion."
_REFINED_AT_ONCE = 10
# How candidates of phases that do not train for packing are packed, to be scored.
UNPACKED = "int8-channel"


def phase_of(stage: Stage) -> Phase:
    """Which phase a stage belongs to."""
    if not stage.pose:
        return "last"
    return "both" if stage.seg or stage.kl else "first"


def _kind(stage: Stage) -> tuple[Phase, bool, bool]:
    return phase_of(stage), stage.quantize, stage.pixel > 0.0


def phases(stages: tuple[Stage, ...], where: str) -> list[tuple[Phase, tuple[Stage, ...]]]:
    """Runs of stages of one phase.

    Raises:
        RecipeError: the motion branch moves before there are last frames, or it never does.
    """
    found = [(phase, tuple(part)) for (phase, *_), part in groupby(stages, _kind)]
    if found[0][0] == "first" or found[-1][0] == "last" or not stages[-1].quantize:
        raise RecipeError(
            where,
            expected="stages for SegNet or both networks first; for PoseNet or both, quantized, last",
            found=", ".join(f"{stage.name} ({phase_of(stage)})" for stage in stages),
        )
    return found


class Staged(Renderer):
    """A renderer that draws what the networks of a phase look at, and keeps gradients where it moves.

    In the phase `last` it has no motion branch, so that this phase does not depend on the branch's kind.
    """

    def __init__(self, shape: Shape, phase: Phase) -> None:
        super().__init__(shape)
        self.phase = phase
        if phase == "last":
            del self.motion

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
        scored: SegNet as it scores, in float32.
        shape, scheme, bits, seed: of the renderer, and how it is packed.
        maps: uint8 (n_pairs, h, w).
        poses: float (n_pairs, pose_dims), what conditions first frames.
        rates: factors on learning rates by prefix.
        distil: steps that refine the last frames which stages with a pixel term copy; 0 leaves the source's.
        taught: digest of such frames, once there are any.
        validate_every: steps between two decoded scores.
        validate: (packed tensors, phase) to what they are worth, decoded.
    """

    source: SourceClip
    monitor: Monitor
    known: Targets
    segnet: nn.Module
    posenet: nn.Module
    scored: nn.Module
    precision: str
    shape: Shape
    scheme: str
    bits: int
    seed: int
    maps: torch.Tensor
    poses: torch.Tensor
    rates: Mapping[str, float]
    distil: int
    validate_every: int
    validate: Callable[[Mapping[str, Quantized], Phase], Validation]
    taught: str = ""


@dataclass(slots=True)
class _State:
    """What phases hand on: weights, learned parts of the quantizer, what these were settled for, the phase's name."""

    weights: Weights
    quantizer: Weights
    settled: tuple[str, ...]
    name: str
    packed: Mapping[str, Quantized]


def train(course: Course, parts: list[tuple[Phase, tuple[Stage, ...]]]) -> Mapping[str, Quantized]:
    """The packed tensors of the last phase's best candidate."""
    state = _State(weights={}, quantizer={}, settled=(), name="", packed={})
    work, rows, done = course.source.work, [",".join(progress.COLUMNS)], 0
    for phase, stages in parts:
        taught = _taught(course, state) if course.distil and stages[0].pixel and phase == "last" else course
        state = _run(taught, phase, stages, state)
        rows += _rows(course.source.cache / "semantic" / state.name / progress.LOG, done)
        done += sum(stage.steps for stage in stages)
    work.mkdir(parents=True, exist_ok=True)
    every = [stage for _, stages in parts for stage in stages]
    (work / "stages.txt").write_text(schedule.table(every) + "\n", encoding="utf-8")
    (work / progress.LOG).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return state.packed


def _taught(course: Course, state: _State) -> Course:
    """The course with last frames to copy: those that the renderer draws so far, refined on the real SegNet."""
    model = Staged(course.shape, "last")
    model.load_state_dict(dict(state.weights), strict=False)
    frames = []
    for part in torch.split(course.maps, _REFINED_AT_ONCE):
        with torch.no_grad():
            last = model.last_frame(part, model.features(part))
        frames.append(refinement.refined(last, part, course.scored, course.distil))
        course.monitor("last frames refined", sum(map(len, frames)), len(course.maps))
    last = torch.cat(frames)
    known = replace(course.known, frames=torch.stack([last, last], dim=1))
    return replace(course, known=known, taught=custody.sha256_bytes(last.numpy().tobytes()))


def _rows(log: Path, done: int) -> list[str]:
    """Rows of a phase's log, its steps counted from the first phase's."""
    lines = log.read_text(encoding="utf-8").splitlines()[1:]
    return [f"{int(line.partition(',')[0]) + done},{line.partition(',')[2]}" for line in lines]


def _run(course: Course, phase: Phase, stages: tuple[Stage, ...], before: _State) -> _State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(course.seed)
        model = Staged(course.shape, phase)
    names = [name for name, _ in model.named_parameters()]
    held = tuple(name for name in names if phase == "first" and not name.startswith(MOTION))
    packs = stages[0].quantize
    contract = course.source.contract
    config = TrainConfig(
        stages=tuple(replace(stage, freeze=(*stage.freeze, *held)) for stage in stages),
        source_bytes=contract.source.bytes,
        scheme=course.scheme if packs else UNPACKED,
        bits=course.bits if packs else 8,
        seed=course.seed,
        validate_every=course.validate_every,
        checkpoint_every=200,
        log_every=50,
        formula=contract.formula,
        rates=dict(course.rates),
        material=_material(course, phase),
    )
    shape = course.shape if phase != "last" else replace(course.shape, motion="film", motion_width=1, pose_dims=1)
    name = targets.key(config.digest, shape, before.name)
    segnet = Silent(tuple(course.known.logits.shape[1:])) if phase == "first" else course.segnet

    def validate(found: Mapping[str, Quantized], _values: Mapping[str, torch.Tensor]) -> Validation:
        return course.validate(found, phase)

    trainer = Trainer(model, config, folder=course.source.cache / "semantic" / name, monitor=course.monitor)
    own = trainer.parameters
    begun = {name: before.weights.get(name, weight) for name, weight in own.weights.items()}
    start = copied(Parameters.joined(begun, own.scheme))
    if packs:
        start |= {key: value for key, value in before.quantizer.items() if key in start}
    fitted = trainer.fit(
        (course.maps, course.poses),
        course.known,
        course.posenet,
        segnet,
        validate=validate,
        start=start,
        settled=before.settled if packs else (),
    )
    scheme, live = own.split(fitted.validation.weights)
    if not packs:
        return _State(before.weights | live, before.quantizer, before.settled, name, fitted.packed)
    learned = Parameters.joined({}, scheme)
    settled = tuple(sorted({*before.settled, *names}))
    return _State(before.weights | fitted.values, before.quantizer | learned, settled, name, fitted.packed)


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
        *([course.taught] if course.taught else []),
    )
