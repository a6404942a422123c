"""From a recipe and a clip to a payload of the family `filtered`: encode inside, train the filter, pack it.

Training never leaves the model grid: up-sampling is inverted exactly by the evaluator, so that what a candidate shows
the networks on the grid is what its decode shows them at camera size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from lab import codecs, custody, recipe
from lab.bitstream import Bitstream
from lab.codecs import weights
from lab.codecs.base import Monitor, SourceClip
from lab.codecs.filtered import decode, side
from lab.codecs.filtered import format as syntax
from lab.codecs.filtered.material import Material, answers_key, gather
from lab.codecs.filtered.model import RENDER_PAIRS, PostFilter, build_postfilter, render
from lab.errors import RecipeError, TrainingError
from lab.recipe import Recipe, fill
from lab.training import checkpoints, profiles, schedule, sensitivity, targets
from lab.training.config import Fitted, TrainConfig
from lab.training.parameters import Parameters
from lab.training.progress import Validation
from lab.training.quantize import Quantized
from lab.training.trainer import Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What a recipe of this family sets, beside `inner_params`: a table that overrides the inner recipe's.

    Attributes:
        inner: the recipe of the wrapped codec, "family/slug".
        architecture, hidden, view: the post-filter, see `model`.
        scheme, bits: how its weights are packed, see `lab.training.quantize`.
        first: whether first frames are coded, or are the last ones moved by side codes, which are searched then.
        side: whether per-frame side codes are searched; the architecture "shift" always has them.
        profile, steps: a named schedule scaled to this many steps in all, instead of [[stages]].
        validate_every: steps between two measurements of the decoded score.
    """

    inner: str
    architecture: Literal[
        "standard", "dilated", "pixel-shuffle", "separable", "psd", "attention", "multi-scale", "shift"
    ] = "standard"
    hidden: int = 16
    view: Literal["frame", "pair"] = "pair"
    scheme: Literal["int8-tensor", "int8-channel", "lsq", "lsq-channel", "fp4", "depth"] = "int8-channel"
    bits: int = 8
    first: Literal["coded", "moved"] = "coded"
    side: bool = False
    profile: str = ""
    steps: int = 0
    validate_every: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A recipe of this family, understood."""

    params: Params
    inner: Recipe
    stages: tuple[schedule.Stage, ...]
    seed: int


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
    build_postfilter(params.architecture, params.hidden, params.view)
    return Plan(params=params, inner=inner, stages=stages, seed=asked.seed)


def encode(source: SourceClip, asked: Recipe, monitor: Monitor) -> Bitstream:
    """The payload of a source under a recipe. Training resumes from `source.work` where it was stopped."""
    plan = plan_of(asked)
    material = gather(source, plan.inner, _head(source, plan), monitor)
    fitted = train(source, asked, plan, material, monitor)
    return assemble(source, plan, material, fitted.packed, monitor)


def train(source: SourceClip, asked: Recipe, plan: Plan, material: Material, monitor: Monitor) -> Fitted:
    """Train the post-filter; checkpoint, log, schedule and sensitivity lie in `source.work`."""
    contract = source.contract
    config = config_of(source, plan, material)
    source.work.mkdir(parents=True, exist_ok=True)
    (source.work / "stages.txt").write_text(schedule.table(plan.stages) + "\n", encoding="utf-8")
    saliency = sensitivity.of(
        material.targets,
        material.segnet,
        material.posenet,
        cache=source.cache / "targets" / f"{answers_key(source)}.sensitivity.safetensors",
        monitor=monitor,
    )
    sensitivity.write(saliency, source.work)
    trainer = Trainer(
        build_postfilter(plan.params.architecture, plan.params.hidden, plan.params.view, seed=plan.seed),
        config,
        folder=source.work,
        monitor=monitor,
        extra={"recipe": asked.name, "text": asked.text, "contract": contract.name, "family": "filtered"},
    )
    wanted = any(stage.alpha for stage in plan.stages)

    def decoded(packed: Mapping[str, Quantized], _values: Mapping[str, torch.Tensor]) -> Validation:
        stream = _pack(source, plan, material, packed)
        return config.validation(_measured(stream, material), len(stream.payload))

    return trainer.fit(
        (material.frames,),
        material.targets,
        material.posenet,
        material.segnet,
        saliency=saliency.saliency() if wanted else None,
        validate=decoded,
    )


def config_of(source: SourceClip, plan: Plan, material: Material) -> TrainConfig:
    """The training configuration of a plan."""
    return TrainConfig(
        stages=plan.stages,
        source_bytes=source.contract.source.bytes,
        formula=source.contract.formula,
        scheme=plan.params.scheme,
        bits=plan.params.bits,
        seed=plan.seed,
        validate_every=plan.params.validate_every,
        fixed_bytes=len(material.inner.payload),
        material=targets.key(answers_key(source), custody.sha256_bytes(material.inner.payload)),
    )


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
    model = build_postfilter(plan.params.architecture, plan.params.hidden, plan.params.view)
    parameters = Parameters(model, plan.params.scheme, plan.params.bits, torch.device("cpu"))
    shapes = {name: value.shape for name, value in parameters.all().items()}
    checkpoints.expect_shapes(best, shapes, f"checkpoint {checkpoint.name}")
    scheme, own = parameters.split(best)
    return assemble(source, plan, gather(source, plan.inner, _head(source, plan), monitor), scheme.pack(own), monitor)


def assemble(
    source: SourceClip, plan: Plan, material: Material, packed: Mapping[str, Quantized], monitor: Monitor
) -> Bitstream:
    """The payload of a packed filter, with side codes where the plan has them and they pay."""
    without = _pack(source, plan, material, packed)
    if not (plan.params.side or plan.params.first == "moved" or plan.params.architecture == "shift"):
        return without
    contract, before = source.contract, _measured(without, material)
    codes = side.search(
        _filter_of(without),
        material.frames,
        material.targets,
        material.segnet,
        material.posenet,
        pose_slope=0.5 * (contract.formula.posenet / max(before.posenet, 1e-9)) ** 0.5,
        seg_weight=contract.formula.segnet,
        byte_price=contract.formula.byte_price(contract.source.bytes),
        batch=RENDER_PAIRS,
        monitor=monitor,
    )
    beside = _pack(source, plan, material, packed, codes)
    config = config_of(source, plan, material)
    pays = config.validation(_measured(beside, material), len(beside.payload)).score
    return beside if pays < config.validation(before, len(without.payload)).score else without


def _head(source: SourceClip, plan: Plan) -> syntax.Head:
    contract, params = source.contract, plan.params
    return syntax.Head(
        size=contract.frame_size,
        grid=contract.model_size,
        n_pairs=contract.n_pairs,
        first=params.first,
        architecture=params.architecture,
        view=params.view,
        hidden=params.hidden,
        weights=weights.kind_of(params.scheme),
    )


def _pack(
    source: SourceClip, plan: Plan, material: Material, packed: Mapping[str, Quantized], codes: Any = None
) -> Bitstream:
    head = _head(source, plan)
    section = weights.write(packed.values(), head.weights)
    shapes = {name: item.shape for name, item in packed.items()}
    children = weights.children(section, weights.read(section, head.weights, shapes).values())
    return syntax.write(head, material.inner, section, children=children, side=codes)


def _filter_of(stream: Bitstream) -> PostFilter:
    head, parts = syntax.read(stream.payload)
    return decode.filter_of(head, parts.weights)


def _measured(stream: Bitstream, material: Material) -> targets.Distortion:
    """Distortion of a payload, decoded from its bytes; the inner frames are those of the same inner payload."""
    _, parts = syntax.read(stream.payload)
    beside = None if parts.side is None else torch.from_numpy(parts.side)
    shown = render(_filter_of(stream), material.frames, beside)
    return targets.measure(shown, material.targets, material.segnet, material.posenet)
