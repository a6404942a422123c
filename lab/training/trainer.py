"""The trainer: runs the stages of a schedule over a model, and keeps the candidate with the best decoded score.

Example:
    A post-filter on arrays of pairs, uint8 (N, 2, h, w, 3):

        config = TrainConfig(stages=(Stage(name="fit", steps=500),), source_bytes=2_400_000)
        trainer = Trainer(build_postfilter("standard", hidden=16), config)
        fitted = trainer.fit(decoded_pairs, source_pairs, posenet, segnet)
        fitted.validation.score, fitted.packed
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.func import functional_call

from lab.errors import TrainingError
from lab.training import checkpoints, compute, progress, surgery, targets
from lab.training.average import Exponential, Uniform, copied, mean_of
from lab.training.config import Fitted, TrainConfig
from lab.training.objective import Objective, Terms
from lab.training.optim import Optimizers
from lab.training.parameters import Parameters, estimated_bytes
from lab.training.progress import Best, Progress, Validation, Weights
from lab.training.quantize import Quantized, Scheme, round_pixels
from lab.training.schedule import Stage
from lab.training.targets import Targets

Monitor = Callable[[str, int, int], None]
Pairs = NDArray[np.uint8] | torch.Tensor
# (packed tensors, their exact values) -> what they are worth once decoded
Validate = Callable[[Mapping[str, Quantized], Mapping[str, torch.Tensor]], Validation]
_VALIDATION_BATCH = 10
# Between the name of a stage and what a monitor may show of its last logged step.
NOTE = " | "


def silent(stage: str, done: int, total: int) -> None:
    """A monitor that reports nothing."""


class Trainer:
    """Trains one model.

    Args:
        model: float pairs out, 0-255: its forward takes the batch of every input and gives (n, 2, 3, h, w).
        config: stages and how weights are packed.
        device: "cpu", "cuda" or "mps" (advisory).
        folder: where checkpoint and log go; without one nothing is written and nothing resumes.
        monitor: told the stage, steps done, steps in all; behind NOTE the stage's text goes on with the loss, its terms
            and the score that the latest batches suggest.
        extra: plain data to keep in the checkpoint's identity, such as the recipe's text.

    Raises:
        TrainingError: the device is not there.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        *,
        device: str = "cpu",
        folder: Path | None = None,
        monitor: Monitor = silent,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.device = compute.device(device)
        self.model = model.to(self.device).train()
        self.config, self.folder, self.monitor = config, folder, monitor
        self.parameters = Parameters(self.model, config.scheme, config.bits, self.device)
        self.identity: dict[str, Any] = {"config": config.digest, "extra": dict(extra or {})}

    def fit(
        self,
        inputs: Pairs | Sequence[torch.Tensor],
        source: Pairs | Targets,
        posenet: nn.Module,
        segnet: nn.Module,
        *,
        saliency: torch.Tensor | None = None,
        validate: Validate | None = None,
        start: Weights | None = None,
        settled: tuple[str, ...] = (),
    ) -> Fitted:
        """Run all stages, from the folder's checkpoint where it has one.

        Args:
            inputs: decoded pairs, uint8 (N, 2, H, W, 3); or the tensors that the model takes, N first in each.
            source: source pairs, uint8 (N, 2, h, w, 3), on the grid of the networks; or the answers on them.
            posenet, segnet: frozen networks.
            saliency: float (N, h, w) of mean one, see `sensitivity`.
            validate: the decoded score of a candidate; without it the model's own output is measured.
            start: weights and quantizer to begin with, as a former run's best candidate has them.
            settled: prefixes of the weights whose quantizer is not set anew from them.

        Raises:
            TrainingError: the loss is not finite, the checkpoint is of another run, or the disk is full.
        """
        for network in (segnet, posenet):
            network.to(self.device).eval().requires_grad_(False)
        if isinstance(source, Targets):
            known = source
        else:
            grid = int(source.shape[2]), int(source.shape[3])
            known = targets.compute(np.asarray(source), grid, segnet, posenet, device=self.device)
        if isinstance(inputs, (np.ndarray, torch.Tensor)):
            tensors: tuple[torch.Tensor, ...] = (targets.planes_of(inputs, known.size),)
        else:
            tensors = tuple(inputs)
        if any(len(tensor) != known.n_pairs for tensor in tensors):
            raise ValueError(f"expected {known.n_pairs} pairs in every input, got {[len(t) for t in tensors]}")
        objective = Objective(
            segnet=segnet,
            posenet=posenet,
            targets=known,
            formula=self.config.formula,
            byte_price=self.config.byte_price,
            device=self.device,
            saliency=saliency,
            own_bits=getattr(self.model, "rate_bits", None),
        )
        with compute.one_thread():
            return _Run(self, tensors, objective, validate, start, settled).go()


class _Run:
    """One run of a trainer over inputs and targets."""

    def __init__(
        self,
        trainer: Trainer,
        inputs: tuple[torch.Tensor, ...],
        objective: Objective,
        validate: Validate | None,
        start: Weights | None,
        settled: tuple[str, ...],
    ) -> None:
        self.trainer, self.inputs, self.objective = trainer, inputs, objective
        self.config, self.folder, self.parameters = trainer.config, trainer.folder, trainer.parameters
        self.validate: Validate = validate or self._measure
        self.note = ""
        self.settled = settled
        if start is not None:
            self.parameters.load(start)
        self.state, self.memory = self._start()

    def _start(self) -> tuple[Progress, Weights]:
        """A fresh state, or the checkpoint's."""
        found = progress.resume(self.folder, self.trainer.device) if self.folder else None
        if found is None:
            return Progress(running=self.objective.running), {}
        state, live, memory, identity = found
        where = f"checkpoint in {self.folder.name}" if self.folder else "checkpoint"
        checkpoints.expect_shapes(live, {name: value.shape for name, value in self.parameters.all().items()}, where)
        if identity["config"] != self.trainer.identity["config"]:
            raise TrainingError(
                where,
                expected=f"the configuration {self.trainer.identity['config'][:12]}",
                found=str(identity["config"])[:12],
                fix="it belongs to another schedule, seed or clip; train into an empty folder",
            )
        self.parameters.load(live)
        self.objective.running = state.running
        return state, memory

    def go(self) -> Fitted:
        """All stages; the best candidate."""
        state, stages = self.state, self.config.stages
        while state.stage < len(stages):
            stage = stages[state.stage]
            optimizers = self._enter(stage)
            while state.step < stage.steps:
                self._step(stage, optimizers)
                self._after_step(stage, optimizers)
            self._leave(stage)
            self._save({})
        if state.best is None:
            raise TrainingError("training", expected="at least one validated candidate", found="none")
        scheme, weights = self.parameters.split(state.best.weights)
        return Fitted(
            packed=scheme.pack(weights), values=scheme.fake(weights), validation=state.best, steps=state.done_steps
        )

    def _enter(self, stage: Stage) -> Optimizers:
        """Optimizers and averages at the start of a stage, or as a checkpoint left them within it."""
        state, parameters = self.state, self.parameters
        if state.step == 0:
            if stage.start == "best" and state.best:
                parameters.load(state.best.weights)
            if stage.quantize and not state.calibrated:
                self._calibrate(parameters.scheme, parameters.weights)
                state.calibrated = True
            state.ema = Exponential(parameters.all(), stage.ema) if stage.ema else None
            state.swa = Uniform(parameters.all()) if stage.swa else None
            state.snapshots = []
        extras = parameters.moving_quantizer(stage.freeze) if stage.quantize else []
        optimizers = Optimizers(parameters.weights, extras, stage, self.config.rates)
        optimizers.restore(self.memory)
        self.memory = {}
        return optimizers

    def _calibrate(self, scheme: Scheme, weights: Mapping[str, torch.Tensor]) -> None:
        """Set a quantizer from weights, but for those whose quantizer is settled."""
        scheme.calibrate({name: value for name, value in weights.items() if not name.startswith(self.settled)})

    def _step(self, stage: Stage, optimizers: Optimizers) -> None:
        state, config, objective = self.state, self.config, self.objective
        n_pairs = objective.targets.n_pairs
        index = progress.batch_index(config.seed, state.stage, state.step, n_pairs, stage.batch_pairs)
        index = progress.with_hard(index, state.difficulty, stage.hard, config.seed, state.done_steps)
        share = stage.rate_at(state.step)
        optimizers.set_rate(share)
        optimizers.zero_grad()
        weights, scheme = self.parameters.weights, self.parameters.scheme
        frames = self._render(scheme.fake(weights) if stage.quantize else weights, index)
        terms = objective.terms(stage, frames, index, scheme, weights)
        total = terms.total
        self._expect_finite(stage, float(total.detach()), "loss", terms)
        if stage.surgery:
            _operate(terms, optimizers.parameters)
        else:
            total.backward()  # type: ignore[no-untyped-call]
        norm = optimizers.clip(stage.clip)
        self._expect_finite(stage, norm, "gradient norm", terms)
        optimizers.step()
        state.step += 1
        state.done_steps += 1
        if state.step % config.log_every == 0 or state.step == stage.steps:
            running = objective.running
            n_bytes = state.best.n_bytes if state.best else config.fixed_bytes
            row = {**terms.values, "lr": stage.lr * share, "loss": float(total.detach()), "grad_norm": norm}
            row |= {"running_segnet": running.segnet, "running_posenet": running.posenet}
            row["running_score"] = sum(running.terms(config.formula)) + config.byte_price * n_bytes
            state.log(stage=stage.name, **{name: float(f"{value:.6g}") for name, value in row.items()})
            parts = ", ".join(f"{name.removesuffix('_loss')} {value:.3g}" for name, value in terms.values.items())
            self.note = f"{NOTE}loss {row['loss']:.4g} ({parts}), score about {row['running_score']:.3f}"

    def _after_step(self, stage: Stage, optimizers: Optimizers) -> None:
        state, config, live = self.state, self.config, self.parameters.all()
        if state.ema:
            state.ema.update(live)
        if state.swa and state.step > stage.steps * (1.0 - stage.swa):
            state.swa.update(live)
        last = state.step == stage.steps
        validated = state.step % config.validate_every == 0 or last
        if validated:
            name, weights = ("ema", state.ema.mean) if state.ema else ("last", live)
            self._consider(name, weights, stage)
            if stage.average:
                state.snapshots = [*state.snapshots, copied(weights)][-stage.average :]
        self.trainer.monitor(f"stage {stage.name}{self.note}", state.done_steps, sum(s.steps for s in config.stages))
        # The end of a stage is saved after its averages were tried.
        if not last and (validated or state.step % config.checkpoint_every == 0):
            self._save(optimizers.state())

    def _leave(self, stage: Stage) -> None:
        """Try the averages of a stage, then go to the next."""
        state = self.state
        if state.swa and state.swa.count:
            self._consider("swa", state.swa.mean, stage)
        if len(state.snapshots) > 1:
            self._consider("average", mean_of(state.snapshots), stage)
        state.stage, state.step = state.stage + 1, 0
        state.ema, state.swa, state.snapshots = None, None, []

    def _consider(self, candidate: str, weights: Weights, stage: Stage) -> None:
        """Measure a candidate as it would be decoded, and keep it if it is the best."""
        state = self.state
        scheme, own = self.parameters.split(weights)
        if not stage.quantize:
            self._calibrate(scheme, own)
        with torch.no_grad():
            result = self.validate(scheme.pack(own), scheme.fake(own))
        state.difficulty = torch.from_numpy(np.ascontiguousarray(result.pairs, dtype=np.float64))
        measured = {name: getattr(result, name) for name in ("segnet", "posenet", "n_bytes", "score")}
        state.log(stage=stage.name, candidate=candidate, **measured)
        if state.best is None or result.score < state.best.score:
            kept = copied(self.parameters.joined(own, scheme))
            state.best = Best(weights=kept, candidate=candidate, stage=stage.name, step=state.done_steps, **measured)

    def _measure(self, packed: Mapping[str, Quantized], values: Mapping[str, torch.Tensor]) -> Validation:
        """Distortion of the model's own output; bytes are estimated from the order-0 entropy of the codes."""
        objective, config = self.objective, self.config

        def rendered() -> Iterator[torch.Tensor]:
            n_pairs = objective.targets.n_pairs
            for start in range(0, n_pairs, _VALIDATION_BATCH):
                index = torch.arange(start, min(start + _VALIDATION_BATCH, n_pairs))
                yield round_pixels(self._render(values, index))

        found = targets.measure(rendered(), objective.targets, objective.segnet, objective.posenet)
        return config.validation(found, config.fixed_bytes + estimated_bytes(packed.values()))

    def _render(self, values: Mapping[str, torch.Tensor], index: torch.Tensor) -> torch.Tensor:
        """The model's pairs under these values of its parameters, float (n, 2, 3, h, w)."""
        batch = tuple(tensor[index].to(self.trainer.device) for tensor in self.inputs)
        batch = tuple(part.float() if part.dtype == torch.uint8 else part for part in batch)
        out: torch.Tensor = functional_call(self.trainer.model, dict(values), batch)
        return out

    def _save(self, memory: Weights) -> None:
        if self.folder:
            self.state.save(self.folder, self.parameters.all(), memory, self.trainer.identity)

    def _expect_finite(self, stage: Stage, value: float, what: str, terms: Terms) -> None:
        if math.isfinite(value):
            return
        kept = self.folder is not None and (self.folder / progress.CHECKPOINT).is_file()
        raise TrainingError(
            f"stage {stage.name!r}, step {self.state.step + 1} of {stage.steps}",
            expected=f"a finite {what}",
            found=f"{value} ({', '.join(f'{name} {part:.4g}' for name, part in terms.values.items())})",
            fix="lower lr or clip harder; "
            + (f"the last good checkpoint is {progress.CHECKPOINT}" if kept else "no checkpoint was written yet"),
        )


def _operate(terms: Terms, moving: Sequence[nn.Parameter]) -> None:
    """Set the gradients of the two networks' terms, each projected off the other where they conflict."""
    parts = []
    for part in (terms.segnet + terms.other, terms.posenet):
        found = torch.autograd.grad(part, moving, retain_graph=True, allow_unused=True)
        parts.append([torch.zeros_like(p) if g is None else g for p, g in zip(moving, found, strict=True)])
    combined, _ = surgery.combine(parts)
    for parameter, gradient in zip(moving, combined, strict=True):
        parameter.grad = gradient
