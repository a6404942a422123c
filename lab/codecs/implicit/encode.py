"""From a recipe and a clip to a payload of the family `implicit`: train, pack, polish, prove.

The stages run in parts (`parts.py`): leading stages without either network's term fit pixels alone, without the
networks and several times faster; leading stages that a recipe shares are trained once for all recipes that begin with
them. Every candidate is scored from its payload, parsed and decoded, never from the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lab import custody
from lab.bitstream import Bitstream
from lab.codecs.base import Monitor, SourceClip
from lab.codecs.implicit import dual, fields, parts, places, polish
from lab.codecs.implicit import format as syntax
from lab.codecs.implicit.clip import Clip
from lab.codecs.implicit.content import Content, Head
from lab.codecs.implicit.judge import Judge
from lab.codecs.implicit.params import Params, head_of, params_of
from lab.codecs.implicit.parts import blind
from lab.codecs.implicit.report import Report
from lab.codecs.judge import answers_of
from lab.codecs.standins import Brisk, Silent
from lab.errors import RecipeError, RoundTripMismatch
from lab.evaluator import networks
from lab.recipe import Recipe
from lab.training import checkpoints, compute, progress
from lab.training.config import TrainConfig
from lab.training.optim import QUANTIZER
from lab.training.progress import Validation
from lab.training.quantize import Quantized
from lab.training.targets import Targets
from lab.training.trainer import Trainer

_LATENTS, _FIELDS, _DECODER = "latents", "fields", "decoder."


def encode(source: SourceClip, recipe: Recipe, monitor: Monitor) -> Bitstream:
    """The bitstream of a clip under a recipe; a run that was cut off goes on from its last checkpoint.

    Raises:
        RecipeError: the parameters do not fit the family or this contract's sizes.
        TrainingError: training cannot go on.
        RoundTripMismatch: the decoder does not find what was packed.
    """
    params, _ = params_of(recipe)
    contract = source.contract
    head = head_of(params, contract, f"recipe {recipe.name!r}")
    with compute.one_thread():
        segnet, posenet = networks.load(contract)
        known = answers_of(source, segnet, posenet, monitor)
        judge = Judge(known, segnet, posenet, contract)
        second = dual.answers(source, segnet, posenet) if params.decodes == "both" or params.noisy else None
        report = Report(source.work)
        packed = _train(source, recipe, head, judge, second if params.decodes == "both" else None, report, monitor)
        content = content_of(head, packed)
        for name, step in _polishing(params):
            content = _once(step, name, content, judge, report.folder, monitor)
            report.add(name, judge.validation(content))
        report.write()
        if second is not None:
            dual.report(content, judge, second, contract, report.folder / "axes.csv")
    bitstream = syntax.write(content)
    _prove(bitstream.payload, content)
    return bitstream


Polish = Callable[[Content, Judge, Monitor], Content]


def _once(step: Polish, name: str, content: Content, judge: Judge, folder: Path, monitor: Monitor) -> Content:
    """What a step of polishing makes of a content; a run that was cut off finds it beside its checkpoints."""
    digest = custody.sha256_bytes(syntax.write(content).payload)
    kept = folder / f"{name.replace(' ', '-')}-{digest[:16]}.safetensors"
    if not kept.is_file():
        made = np.frombuffer(syntax.write(step(content, judge, monitor)).payload, np.uint8)
        checkpoints.save_atomic(kept, {"payload": torch.from_numpy(made.copy())}, {})
    return syntax.read(checkpoints.load(kept)[0]["payload"].numpy().tobytes())


def _polishing(params: Params) -> Iterator[tuple[str, Polish]]:
    for number in range(params.field_polish):
        yield f"field polish {number + 1}", places.sweep
    for number in range(params.latent_polish):
        yield f"latent polish {number + 1}", polish.latents
    if params.sidecar:
        yield "side-car", polish.sidecar
    if params.constants:
        yield "decode constants", polish.constants


def _train(
    source: SourceClip,
    recipe: Recipe,
    head: Head,
    judge: Judge,
    second: Targets | None,
    report: Report,
    monitor: Monitor,
) -> Mapping[str, Quantized]:
    """The packed tensors of the best candidate."""
    params, stages = params_of(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = Clip(head.shape, head.n_pairs, params.latent_start)
    if head.shape.planes:
        codes = fields.shares(judge.known.classes, head.shape.planes + 1, head.shape.field[1:], params.levels)
        model.fields.data.copy_(codes.reshape(-1))
    if params.start:
        model.take(_start(source.start, head, f"recipe {recipe.name!r}"))
    if head.shape.planes:
        model.price_fields()
    known = judge.known if second is None else dual.joined(judge.known, second)
    index = (torch.arange(known.n_pairs) % head.n_pairs,)

    def validate(packed: Mapping[str, Quantized], _values: Mapping[str, torch.Tensor]) -> Validation:
        return judge.validation(content_of(head, packed))

    segnet, posenet = judge.segnet, judge.posenet
    if params.networks == "bfloat16":
        segnet, posenet = Brisk(segnet), Brisk(posenet)
    silent_pose = Silent((judge.known.pose.shape[1],))
    silent_seg = Silent(tuple(judge.known.logits.shape[1:]))
    packed: Mapping[str, Quantized] = {}
    for part in parts.of(stages, params.shared):
        unseeing = blind(part.stages[0])
        # Pixels alone do not depend on the networks, nor on how frames are enlarged.
        model.noisy = params.noisy and not unseeing
        model.up = source.contract.frame_size if params.up == "bicubic" and not unseeing else None
        config = TrainConfig(
            stages=part.stages,
            source_bytes=source.contract.source.bytes,
            scheme=params.scheme,
            bits=params.bits,
            seed=recipe.seed,
            validate_every=sum(stage.steps for stage in part.stages) if unseeing else params.validate_every,
            checkpoint_every=200,
            log_every=20,
            formula=source.contract.formula,
            rates={_LATENTS: params.latent_rate, _FIELDS: params.field_rate, QUANTIZER: params.step_rate},
            material=source.contract.digest,
        )
        extra = {"recipe": recipe.digest}
        folder = source.work / part.name
        if part.shared:
            began = replace(params, shared=0, field_polish=0, latent_polish=0, sidecar=False, constants=False)
            key = parts.key(config.digest, head, began, stages[: part.end])
            folder, extra = source.work.parent / f"prefix-{key[:16]}", {"prefix": key}
        trainer = Trainer(model, config, folder=folder, monitor=monitor, extra=extra)
        asked = (silent_pose, silent_seg) if unseeing else (posenet, segnet)
        fitted = trainer.fit(index, known, *asked, validate=validate)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(fitted.values[name])
        packed = fitted.packed
        report.take(folder / progress.LOG)
    return packed


def _start(payload: bytes, head: Head, where: str) -> Content:
    """What training begins with, of the same shape as what is trained."""
    if not payload:
        raise RecipeError(
            where, expected="a payload of the run that `start` names", found="none", fix="`lab run` has it"
        )
    found = syntax.read(payload)
    if (found.head.shape, found.head.n_pairs) != (head.shape, head.n_pairs):
        raise RecipeError(where, expected="a decoder of the shape of the run that `start` names", found="another shape")
    return found


def content_of(head: Head, packed: Mapping[str, Quantized]) -> Content:
    """A payload's content from tensors as the quantizer packed them."""
    codes: dict[str, NDArray[np.int8]] = {}
    steps: dict[str, NDArray[np.float32]] = {}
    vectors: dict[str, NDArray[np.float32]] = {}
    field = np.empty(0, np.int8)
    for name, tensor in packed.items():
        if name == _FIELDS:
            field = np.rint(tensor.codes.astype(np.float32)).astype(np.int8)
        elif tensor.kind == "half":
            vectors[name.removeprefix(_DECODER)] = tensor.codes.astype(np.float32)
        elif name != _LATENTS:
            codes[name.removeprefix(_DECODER)] = tensor.codes.astype(np.int8)
            steps[name.removeprefix(_DECODER)] = _steps(tensor)
    return Content(
        head=head,
        codes=codes,
        steps=steps,
        vectors=vectors,
        latents=np.ascontiguousarray(packed[_LATENTS].codes.astype(np.int8)).view(np.uint8),
        fields=field.reshape(head.n_pairs, *head.shape.field),
        latent_steps=_steps(packed[_LATENTS]),
        sidecar=np.empty((0, 2), np.int8),
        constants=np.empty(0, np.int8),
    )


def _steps(tensor: Quantized) -> NDArray[np.float32]:
    if tensor.kind == "rows":
        return np.ldexp(np.float32(1.0), tensor.exponents.astype(np.int32))
    return tensor.steps.astype(np.float32)


def _prove(payload: bytes, content: Content) -> None:
    """Return only if the parsed payload holds exactly what was written."""
    found = syntax.read(payload)
    same = np.array_equal(found.fields, content.fields)
    same = same and all(np.array_equal(value, found.values()[name]) for name, value in content.values().items())
    if not same or not np.array_equal(found.latent_values(), content.latent_values()):
        raise RoundTripMismatch("implicit", expected="the weights and latents that were packed", found="others")
    if not np.array_equal(found.biases(), content.biases()):
        raise RoundTripMismatch("implicit", expected="the constants that were packed", found="others")
