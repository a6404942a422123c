"""The bench of one recipe: pack a filter, measure what its payload decodes to, search side codes for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lab import custody
from lab.bitstream import Bitstream
from lab.codecs import weights
from lab.codecs.base import Monitor, SourceClip
from lab.codecs.filtered import decode, side
from lab.codecs.filtered import format as syntax
from lab.codecs.filtered.material import Material, answers_key
from lab.codecs.filtered.model import RENDER_PAIRS, PostFilter, render
from lab.recipe import Recipe
from lab.training import schedule, sensitivity, targets
from lab.training.config import TrainConfig
from lab.training.parameters import Parameters
from lab.training.quantize import Quantized

Codes = NDArray[np.int8]
_SAMPLE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What a recipe of this family sets, beside `inner_params`: a table that overrides the inner recipe's.

    Attributes:
        inner: the recipe of the wrapped codec, "family/slug".
        architecture, hidden, view: the post-filter, see `model`.
        scheme, bits: how its weights are packed, see `lab.training.quantize`.
        first: whether first frames are coded, or are the last ones moved by side codes, which are searched then.
        side: whether per-frame side codes are searched; the architecture "shift" and moved first frames imply it.
        side_after: how many stages come before the codes are first searched, those that follow train behind them;
            0 searches once, after all stages.
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
    side_after: int = 0
    profile: str = ""
    steps: int = 0
    validate_every: int = 200

    def __post_init__(self) -> None:
        if self.first == "moved" and self.view == "pair":
            raise ValueError('first frames that are not coded need view = "frame"')

    @property
    def steers(self) -> bool:
        """Whether side codes are searched."""
        return self.side or self.first == "moved" or self.architecture == "shift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A recipe of this family, understood."""

    params: Params
    inner: Recipe
    stages: tuple[schedule.Stage, ...]
    seed: int


def head_of(source: SourceClip, plan: Plan) -> syntax.Head:
    """The header of every payload of a plan."""
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


@dataclass(frozen=True, slots=True)
class Bench:
    """A plan on a source, with all that its training needs."""

    source: SourceClip
    plan: Plan
    material: Material
    monitor: Monitor

    def config(self, stages: tuple[schedule.Stage, ...]) -> TrainConfig:
        """The training configuration of some of the stages."""
        params, contract, material = self.plan.params, self.source.contract, self.material
        return TrainConfig(
            stages=stages,
            source_bytes=contract.source.bytes,
            formula=contract.formula,
            scheme=params.scheme,
            bits=params.bits,
            seed=self.plan.seed,
            validate_every=params.validate_every,
            fixed_bytes=len(material.inner.payload),
            material=targets.key(answers_key(self.source), custody.sha256_bytes(material.inner.payload)),
        )

    def parameters(self, model: nn.Module) -> Parameters:
        """The parameters of a model and its quantizer."""
        return Parameters(model, self.plan.params.scheme, self.plan.params.bits, torch.device("cpu"))

    def saliency(self) -> sensitivity.Sensitivity:
        """Where the networks look on the source, from the cache."""
        material = self.material
        path = self.source.cache / "targets" / f"{answers_key(self.source)}.sensitivity.safetensors"
        return sensitivity.of(material.targets, material.segnet, material.posenet, cache=path, monitor=self.monitor)

    def pack(self, packed: Mapping[str, Quantized], codes: Codes | None) -> Bitstream:
        """The payload of a packed filter and side codes."""
        head = head_of(self.source, self.plan)
        section = weights.write(packed.values(), head.weights)
        shapes = {name: item.shape for name, item in packed.items()}
        children = weights.children(section, weights.read(section, head.weights, shapes).values())
        return syntax.write(head, self.material.inner, section, children=children, side=codes)

    def measured(self, stream: Bitstream, *, pose: bool = True) -> targets.Distortion:
        """Distortion of a payload, decoded from its bytes; the inner frames are those of the same inner payload."""
        material = self.material
        head, parts = syntax.read(stream.payload)
        codes = None if parts.side is None else torch.from_numpy(parts.side)
        shown = render(decode.filter_of(head, parts.weights), material.frames, codes)
        return targets.measure(shown, material.targets, material.segnet, material.posenet if pose else None)

    def search(self, packed: Mapping[str, Quantized], start: Codes | None = None) -> Codes:
        """Side codes for a packed filter, from zero or from codes that are nearly right.

        Notes:
            What PoseNet's distortion costs depends on its mean, which the codes themselves bring down; so a part of the
            pairs is solved first, and all of them under the slope that is then found.
        """
        model = self._filter(packed)
        if start is None:
            before = self.measured(self.pack(packed, None)).posenet
            _, posenet = self._searched(model, None, before, polish=False, every=_SAMPLE)
        else:
            posenet = self.measured(self.pack(packed, start)).posenet
        return self._searched(model, start, posenet, polish=True)[0]

    def _searched(
        self, model: PostFilter, start: Codes | None, posenet: float, *, polish: bool, every: int = 1
    ) -> tuple[Codes, float]:
        contract, material = self.source.contract, self.material
        return side.search(
            model,
            material.frames,
            material.targets,
            material.segnet,
            material.posenet,
            start=start,
            polish=polish,
            pose_slope=0.5 * (contract.formula.posenet / max(posenet, 1e-6)) ** 0.5,
            seg_weight=contract.formula.segnet,
            byte_price=contract.formula.byte_price(contract.source.bytes),
            batch=RENDER_PAIRS,
            monitor=self.monitor,
            every=every,
        )

    def _filter(self, packed: Mapping[str, Quantized]) -> PostFilter:
        head, parts = syntax.read(self.pack(packed, None).payload)
        return decode.filter_of(head, parts.weights)

    def assemble(self, packed: Mapping[str, Quantized], codes: Codes | None) -> Bitstream:
        """The payload of a packed filter, with side codes where the plan has them and they pay."""
        plain = self.pack(packed, None)
        if not self.plan.params.steers:
            return plain
        tried = [plain]
        tried += [self.pack(packed, found) for found in (codes, self.search(packed, codes)) if found is not None]
        config = self.config(self.plan.stages)
        scores = [config.validation(self.measured(stream), len(stream.payload)).score for stream in tried]
        return tried[int(np.argmin(scores))]
