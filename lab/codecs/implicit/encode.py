"""From a recipe and a clip to a payload of the family `implicit`: train, pack, polish, prove.

The stages run in parts (`parts.py`): leading stages without either network's term fit pixels alone, without the
networks and several times faster; leading stages that a recipe shares are trained once for all recipes that begin with
them. Every candidate is scored from its payload, parsed and decoded, never from the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lab.bitstream import Bitstream
from lab.codecs.base import Monitor, SourceClip
from lab.codecs.implicit import dual, fields, parts, polish
from lab.codecs.implicit import format as syntax
from lab.codecs.implicit.clip import Clip
from lab.codecs.implicit.content import Content, Head
from lab.codecs.implicit.judge import Judge
from lab.codecs.implicit.model import Shape
from lab.codecs.implicit.parts import blind
from lab.codecs.implicit.report import Report
from lab.codecs.judge import answers_of
from lab.codecs.standins import Brisk, Silent
from lab.contract import Contract
from lab.errors import RecipeError, RoundTripMismatch
from lab.evaluator import networks
from lab.recipe import Recipe, fill
from lab.training import compute, progress, schedule
from lab.training.config import TrainConfig
from lab.training.optim import QUANTIZER
from lab.training.progress import Validation
from lab.training.quantize import Quantized
from lab.training.schedule import Stage
from lab.training.targets import Targets
from lab.training.trainer import Trainer
from lab.video import resample

_LATENTS, _FIELDS, _DECODER = "latents", "fields", "decoder."


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What a recipe of this family sets, beside its `[[stages]]`.

    Attributes:
        widths: channels before each stage and after the last.
        kernels: side of each stage's convolution; one stage each, every one doubles the grid, as a shuffled head does.
        latent_dim: numbers per pair.
        rank, refine, modulated, shuffled, activation: see `model.Shape`.
        field: whether each pair has a field, and that it starts as shares of classes; see `fields`.
        fold, levels: rows of a field per row of the stem's grid; the largest code that a field starts with.
        field_rate: factor on the learning rate of fields.
        latent_start: latents begin as slow waves along time, or as noise.
        latent_rate, step_rate: factors on the learning rates of latents, and of the quantizer's steps and depths.
        up: from the model grid to the frame; training goes through the same up-sampler.
        decodes: whether training knows the evaluator's decode of the source, or a second one with repeated chroma too.
        noisy: whether training moves pixels by up to one grey level; see `dual`.
        scheme, bits: how weights and latents are quantized, see `lab.training.quantize`.
        networks: precision of the frozen networks while training; scores are always taken in float32.
        validate_every: training steps between two scores.
        start: id of a run of the parent, whose weights, latents and fields training begins with.
        shared: how many leading stages are trained once for every recipe that begins with them.
        latent_polish: rounds of trying latent codes one up or down on the real metric.
        sidecar: whether corrections per pair are tried on the real metric.
        constants: whether channel biases and the latents' scale are tried on the real metric.
    """

    widths: tuple[int, ...]
    kernels: tuple[int, ...] = (3, 3, 3, 3, 3)
    latent_dim: int = 16
    rank: int = 6
    refine: int = 0
    modulated: bool = False
    shuffled: bool = False
    activation: Literal["sin", "gelu"] = "sin"
    field: Literal["none", "shares"] = "none"
    fold: int = 1
    levels: int = 4
    field_rate: float = 1.0
    latent_start: Literal["waves", "noise"] = "waves"
    latent_rate: float = 5.0
    step_rate: float = 0.1
    up: Literal["aligned", "bicubic"] = "aligned"
    decodes: Literal["evaluator", "both"] = "evaluator"
    noisy: bool = False
    scheme: Literal["int8-tensor", "int8-channel", "lsq", "lsq-channel", "depth"] = "lsq"
    bits: int = 8
    networks: Literal["float32", "bfloat16"] = "float32"
    validate_every: int = 500
    start: str = ""
    shared: int = 0
    latent_polish: int = 0
    sidecar: bool = False
    constants: bool = False

    def __post_init__(self) -> None:
        if self.validate_every < 1 or min(self.latent_polish, self.shared) < 0:
            raise ValueError("validate_every is positive, latent_polish and shared not negative")
        if not all(0.0 < rate <= 100.0 for rate in (self.latent_rate, self.step_rate, self.field_rate)):
            raise ValueError("latent_rate, field_rate and step_rate are above 0 and at most 100")
        if not 1 <= self.levels <= 100:
            raise ValueError("levels are 1 to 100")
        if max(self.widths, default=0) > 255 or max(self.latent_dim, self.rank, self.refine) > 126:
            raise ValueError("widths reach 255; latent_dim, rank and refine 126")
        self.shape((1, 1), 5)

    def shape(self, grid: tuple[int, int], n_classes: int) -> Shape:
        """The decoder over this grid."""
        return Shape(
            kind="lean",
            latent_dim=self.latent_dim,
            grid=grid,
            widths=self.widths,
            kernels=self.kernels,
            rank=self.rank,
            refine=self.refine,
            modulated=self.modulated,
            shuffled=self.shuffled,
            planes=n_classes - 1 if self.field == "shares" else 0,
            fold=self.fold if self.field == "shares" else 1,
            activation=self.activation,
        )


def params_of(recipe: Recipe) -> tuple[Params, tuple[Stage, ...]]:
    """The recipe's parameters and stages, checked.

    Raises:
        RecipeError: a key is unknown or missing, a value does not fit, or no stage trains on the networks.
    """
    where = f"recipe {recipe.name!r}"
    params = fill(Params, recipe.params, where)
    found = schedule.stages(recipe.stages, where)
    if blind(found[-1]):
        raise RecipeError(where, expected="a last stage that the networks judge", found=f"stage {found[-1].name!r}")
    return params, found


def encode(source: SourceClip, recipe: Recipe, monitor: Monitor) -> Bitstream:
    """The bitstream of a clip under a recipe; a run that was cut off goes on from its last checkpoint.

    Raises:
        RecipeError: the parameters do not fit the family or this contract's sizes.
        TrainingError: training cannot go on.
        RoundTripMismatch: the decoder does not find what was packed.
    """
    params, _ = params_of(recipe)
    contract = source.contract
    head = _head(params, contract, f"recipe {recipe.name!r}")
    with compute.one_thread():
        segnet, posenet = networks.load(contract)
        known = answers_of(source, segnet, posenet, monitor)
        judge = Judge(known, segnet, posenet, contract)
        second = dual.answers(source, segnet, posenet) if params.decodes == "both" or params.noisy else None
        report = Report(source.work)
        packed = _train(source, recipe, head, judge, second if params.decodes == "both" else None, report, monitor)
        content = content_of(head, packed)
        for name, step in _polishing(params):
            content = step(content, judge, monitor)
            report.add(name, judge.validation(content))
        report.write()
        if second is not None:
            dual.report(content, judge, second, contract, report.folder / "axes.csv")
    bitstream = syntax.write(content)
    _prove(bitstream.payload, content)
    return bitstream


def _polishing(params: Params) -> Iterator[tuple[str, Callable[[Content, Judge, Monitor], Content]]]:
    for number in range(params.latent_polish):
        yield f"latent polish {number + 1}", polish.latents
    if params.sidecar:
        yield "side-car", polish.sidecar
    if params.constants:
        yield "decode constants", polish.constants


def _head(params: Params, contract: Contract, where: str) -> Head:
    n_classes = len(contract.classes)
    scale = params.shape((1, 1), n_classes).scale
    if any(side % scale for side in contract.model_size):
        raise RecipeError(
            where,
            expected=f"a model grid of multiples of {scale}, the scale of the decoder",
            found=f"{contract.model_size[0]}x{contract.model_size[1]}",
            fix="use fewer stages",
        )
    if params.up == "aligned":
        try:
            resample.aligned_up(torch.zeros(contract.model_size, dtype=torch.uint8), contract.frame_size)
        except ValueError as error:
            raise RecipeError(where, found=str(error), fix='set up = "bicubic"') from None
    return Head(
        size=contract.frame_size,
        n_pairs=contract.n_pairs,
        up=params.up,
        shape=params.shape((contract.model_size[0] // scale, contract.model_size[1] // scale), n_classes),
        granularity="tensor" if params.scheme in ("lsq", "int8-tensor") else "row",
        step_kind="exponent" if params.scheme == "depth" else "half",
    )


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
            began = replace(params, shared=0, latent_polish=0, sidecar=False, constants=False)
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
