"""What a recipe of the family `implicit` may set, and the header that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from lab.codecs.implicit.content import Head
from lab.codecs.implicit.model import Shape
from lab.codecs.implicit.parts import blind
from lab.contract import Contract
from lab.errors import RecipeError
from lab.recipe import Recipe, fill
from lab.training import schedule
from lab.training.schedule import Stage
from lab.video import resample


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What a recipe of this family sets, beside its `[[stages]]`.

    Attributes:
        widths: channels before each stage and after the last.
        kernels: side of each stage's convolution; one stage each, every one doubles the grid, as a shuffled head does.
        latent_dim: numbers per pair.
        rank, refine, modulated, shuffled, activation: see `model.Shape`.
        field: whether each pair has a field, and that it starts as shares of classes; see `fields`.
        late: whether the field enters where the decoder reaches its grid; see `model.Shape`.
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
        field_polish: sweeps of trying codes of fields one up or down on the real metric; see `places`.
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
    late: bool = False
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
    field_polish: int = 0
    latent_polish: int = 0
    sidecar: bool = False
    constants: bool = False

    def __post_init__(self) -> None:
        if self.validate_every < 1 or min(self.field_polish, self.latent_polish, self.shared) < 0:
            raise ValueError("validate_every is positive; field_polish, latent_polish and shared not negative")
        if not all(0.0 < rate <= 100.0 for rate in (self.latent_rate, self.step_rate, self.field_rate)):
            raise ValueError("latent_rate, field_rate and step_rate are above 0 and at most 100")
        if not 1 <= self.levels <= 100:
            raise ValueError("levels are 1 to 100")
        if self.field == "none" and self.field_polish:
            raise ValueError("field_polish is for a decoder that takes fields")
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
            late=self.late,
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


def head_of(params: Params, contract: Contract, where: str) -> Head:
    """The header of a payload of this contract's clip.

    Raises:
        RecipeError: the decoder's scale, or its up-sampler, does not fit the contract's sizes.
    """
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
        field_coder="rows" if params.field == "none" else "around",
    )
