"""From a recipe and a clip to a payload of the family `filtered`: encode inside, train the filter, pack it.

Training never leaves the model grid: up-sampling is inverted exactly by the evaluator, so that what a candidate shows
the networks on the grid is what its decode shows them at camera size.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from lab import codecs, recipe
from lab.bitstream import Bitstream
from lab.codecs.base import Monitor, SourceClip
from lab.codecs.filtered import decode
from lab.codecs.filtered.bench import Bench, Codes, Params, Plan, head_of
from lab.codecs.filtered.material import gather
from lab.codecs.filtered.model import PostFilter, SteeredFilter, build_postfilter
from lab.errors import RecipeError, TrainingError
from lab.recipe import Recipe, fill
from lab.training import checkpoints, compute, profiles, schedule, sensitivity
from lab.training.config import Fitted
from lab.training.progress import Validation
from lab.training.quantize import Quantized
from lab.training.trainer import Trainer


def plan_of(asked: Recipe) -> Plan:
    """The recipe understood, every key checked.

    Raises:
        RecipeError: a key, an inner recipe, an architecture or a profile that does not exist.
    """
    where = f"recipe {asked.name!r}"
    table = dict(asked.params)
    overrides = table.pop("inner_params", {})
    if not isinstance(overrides, dict):
        raise RecipeError(where, expected="a table [params.inner_params]", found=repr(overrides))
    params = fill(Params, table, where)
    inner = recipe.load(params.inner)
    if inner.family not in {name for name, _, _ in decode.INNER.values()}:
        known = ", ".join(name for name, _, _ in decode.INNER.values())
        raise RecipeError(where, expected=f"an inner recipe of {known}", found=repr(params.inner))
    inner = dataclasses.replace(inner, params={**inner.params, **overrides})
    codecs.get(inner.family).check(inner)
    if params.profile and asked.stages:
        raise RecipeError(where, expected="either a profile or [[stages]]", found="both")
    if params.profile:
        stages = profiles.get(params.profile).schedule(params.steps)
    else:
        stages = schedule.stages(asked.stages, where)
    if params.side_after and not (params.steers and params.side_after < len(stages)):
        raise RecipeError(where, expected="side_after below the number of stages, with side codes", found="otherwise")
    return Plan(params=params, inner=inner, stages=stages, seed=asked.seed)


def encode(source: SourceClip, asked: Recipe, monitor: Monitor) -> Bitstream:
    """The payload of a source under a recipe. Training resumes from `source.work` where it was stopped."""
    plan = plan_of(asked)
    with compute.one_thread():
        bench = Bench(source, plan, gather(source, plan.inner, head_of(source, plan), monitor), monitor)
        packed, codes = train(bench, asked)
        return bench.assemble(packed, codes)


def train(bench: Bench, asked: Recipe) -> tuple[Mapping[str, Quantized], Codes | None]:
    """Train the post-filter; checkpoints, logs, schedule and sensitivity lie in the work folder.

    Returns:
        (packed weights, the side codes that the last stages were trained behind).
    """
    plan, work = bench.plan, bench.source.work
    work.mkdir(parents=True, exist_ok=True)
    (work / "stages.txt").write_text(schedule.table(plan.stages) + "\n", encoding="utf-8")
    saliency = bench.saliency()
    sensitivity.write(saliency, work)
    split = plan.params.side_after or len(plan.stages)
    fitted = _fit(bench, asked, plan.stages[:split], work, None, None, saliency)
    if split == len(plan.stages):
        return fitted.packed, None
    codes = _kept(work, bench, fitted)
    fitted = _fit(bench, asked, plan.stages[split:], work / "behind", fitted, codes, saliency)
    return fitted.packed, codes


def _kept(work: Path, bench: Bench, fitted: Fitted) -> Codes:
    """Side codes for a filter; those of an interrupted run where they are of the same filter."""
    known = hashlib.sha256(b"".join(item.codes.tobytes() + item.steps.tobytes() for item in fitted.packed.values()))
    path = work / f"codes-{known.hexdigest()[:12]}.npy"
    if path.is_file():
        kept: Codes = np.load(path, allow_pickle=False)
        return kept
    codes = bench.search(fitted.packed)
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.save(file, codes, allow_pickle=False)
    temporary.replace(path)
    return codes


def _fit(
    bench: Bench,
    asked: Recipe,
    stages: tuple[schedule.Stage, ...],
    folder: Path,
    before: Fitted | None,
    codes: Codes | None,
    saliency: sensitivity.Sensitivity,
) -> Fitted:
    """Some of the stages: of the filter alone, or behind side codes from where it stood before."""
    plan, material = bench.plan, bench.material
    config = bench.config(stages)
    # Before side codes set it right, PoseNet's answer says little; stages that leave it out are judged without it.
    pose = codes is not None or not plan.params.steers or any(stage.pose for stage in stages)
    kind = PostFilter if codes is None else SteeredFilter
    model = build_postfilter(plan.params.architecture, plan.params.hidden, plan.params.view, plan.seed, kind)
    inputs: tuple[torch.Tensor, ...] = (material.frames,)
    if codes is not None and before is not None:
        inputs = (material.frames, torch.from_numpy(codes))
        bench.parameters(model).load(before.validation.weights)

    def decoded(packed: Mapping[str, Quantized], _values: Mapping[str, torch.Tensor]) -> Validation:
        stream = bench.pack(packed, codes)
        return config.validation(bench.measured(stream, pose=pose), len(stream.payload), pose=pose)

    source = bench.source
    extra = {
        "recipe": asked.name,
        "text": asked.text,
        "contract": source.contract.name,
        "family": "filtered",
        "device": source.device,
    }
    trainer = Trainer(model, config, device=source.device, folder=folder, monitor=bench.monitor, extra=extra)
    try:
        return trainer.fit(
            inputs,
            material.targets,
            material.posenet,
            material.segnet,
            saliency=saliency.saliency() if any(stage.alpha for stage in stages) else None,
            validate=decoded,
        )
    finally:
        # What comes after training, side codes and the payload's own measure, is computed where a judge computes it.
        for network in (material.segnet, material.posenet):
            network.to("cpu")


def restore(source: SourceClip, asked: Recipe, checkpoint: Path, monitor: Monitor) -> Bitstream:
    """The payload of a checkpoint's best candidate.

    Raises:
        TrainingError: the checkpoint is of another architecture, or has no candidate yet.
    """
    plan = plan_of(asked)
    tensors, _ = checkpoints.load(checkpoint)
    best = checkpoints.under("best", tensors)
    if not best:
        raise TrainingError(
            f"checkpoint {checkpoint.name}", expected="a validated candidate", found="none yet", fix="train on"
        )
    bench = Bench(source, plan, gather(source, plan.inner, head_of(source, plan), monitor), monitor)
    parameters = bench.parameters(build_postfilter(plan.params.architecture, plan.params.hidden, plan.params.view))
    shapes = {name: value.shape for name, value in parameters.all().items()}
    checkpoints.expect_shapes(best, shapes, f"checkpoint {checkpoint.name}")
    scheme, own = parameters.split(best)
    with compute.one_thread():
        return bench.assemble(scheme.pack(own), None)
