"""From a recipe and a clip to a payload of the family `semantic`: code the maps, train, pack, search, prove.

Every candidate is scored from its payload, parsed and drawn, never from the model that training holds.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lab import custody
from lab.bitstream import Bitstream
from lab.closure import closure
from lab.codecs.base import Monitor, SourceClip
from lab.codecs.judge import answers_of
from lab.codecs.semantic import actions, edits, pictures, poses, tails
from lab.codecs.semantic import format as syntax
from lab.codecs.semantic.content import Content, Head, Maps
from lab.codecs.semantic.judge import Judge
from lab.codecs.semantic.model import Shape
from lab.codecs.semantic.phases import Course, Phase, phases, train
from lab.codecs.standins import Brisk
from lab.entropy import labelmap
from lab.errors import RecipeError, RoundTripMismatch
from lab.evaluator import networks
from lab.recipe import Recipe, fill
from lab.training import compute, schedule, targets
from lab.training.optim import QUANTIZER
from lab.training.progress import Validation
from lab.training.quantize import Quantized
from lab.training.schedule import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What a recipe of this family sets, beside its `[[stages]]`.

    Attributes:
        embed, width, dilations, motion, motion_width, pose_dims: of the renderer, see `model.Shape`.
        pose_scale: codes of stream p per standard deviation of the source's pose.
        scheme, bits: how weights are packed, see `lab.training.quantize`.
        step_rate: factor on the learning rate of the quantizer's steps and depths.
        networks: precision of the frozen networks while training; scores are always taken in float32.
        validate_every: training steps between two scores.
        distil: steps of Adam on the last frames drawn so far; what they end in is what stages with a `pixel` term copy.
            Without it these copy the source.
        refit: rounds of solving for the poses after training.
        repair: rounds of solving for them once more, after edits and tails.
        edit: whether contours of the class maps are edited where that pays.
        tails: which tails of stream r are tried, in this order.
    """

    embed: int = 4
    width: int = 16
    dilations: tuple[int, ...] = (1, 2)
    motion: Literal["film", "warp", "zoom"] = "film"
    motion_width: int = 12
    pose_dims: int = 6
    pose_scale: int = 16
    scheme: Literal["int8-tensor", "int8-channel", "lsq", "lsq-channel", "fp4", "fp4-large", "depth"] = "lsq"
    bits: int = 8
    step_rate: float = 0.1
    networks: Literal["float32", "bfloat16"] = "float32"
    validate_every: int = 500
    distil: int = 0
    refit: int = 0
    repair: int = 0
    edit: bool = False
    tails: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.validate_every < 1 or min(self.distil, self.refit, self.repair) < 0 or not 1 <= self.pose_scale <= 255:
            raise ValueError("validate_every is positive, distil, refit and repair not negative, pose_scale 1 to 255")
        if self.pose_dims > 6:
            raise ValueError("a source's pose has six numbers")
        if set(self.tails) - set(actions.TAILS) or len(set(self.tails)) != len(self.tails):
            raise ValueError(f"tails are some of {', '.join(actions.TAILS)}, each once")
        self.shape(5)

    def shape(self, classes: int) -> Shape:
        """The renderer for so many classes."""
        return Shape(
            classes=classes,
            embed=self.embed,
            width=self.width,
            dilations=self.dilations,
            motion=self.motion,
            motion_width=self.motion_width,
            pose_dims=self.pose_dims,
        )


def params_of(recipe: Recipe) -> tuple[Params, list[tuple[Phase, tuple[Stage, ...]]]]:
    """The recipe's parameters and its stages by phase, checked.

    Raises:
        RecipeError: a key is unknown or missing, a value does not fit, or the stages are in an order that cannot be.
    """
    where = f"recipe {recipe.name!r}"
    return fill(Params, recipe.params, where), phases(schedule.stages(recipe.stages, where), where)


def encode(source: SourceClip, recipe: Recipe, monitor: Monitor) -> Bitstream:
    """The bitstream of a clip under a recipe; a run that was cut off goes on from its last checkpoint.

    Raises:
        RecipeError: the parameters do not fit the family or this contract's sizes.
        TrainingError: training cannot go on.
        RoundTripMismatch: the decoder does not find what was packed.
    """
    params, parts = params_of(recipe)
    contract = source.contract
    if any(big < 2 * small or small % 2 for big, small in zip(contract.frame_size, contract.model_size, strict=True)):
        raise RecipeError(
            f"recipe {recipe.name!r}",
            expected="frames of at least twice the model grid, whose sides are even",
            found=f"{contract.frame_size} over {contract.model_size}",
        )
    with compute.one_thread():
        segnet, posenet = networks.load(contract)
        known = answers_of(source, segnet, posenet, monitor)
        judge = Judge(known, segnet, posenet, contract)
        maps = _maps(source, known.classes.numpy(), monitor)
        head = Head(size=contract.frame_size, shape=params.shape(len(contract.classes)), pose_scale=params.pose_scale)
        codes = poses.of_source(known.pose, params.pose_dims, params.pose_scale)
        blank = Content(head=head, maps=maps, weights={}, poses=codes, actions=actions.none())

        def packed_content(packed: Mapping[str, Quantized]) -> Content:
            return Content(head=head, maps=maps, weights=packed, poses=codes, actions=actions.none())

        def validate(packed: Mapping[str, Quantized], phase: Phase) -> Validation:
            if phase == "last":
                return judge.of_last_frames(head.shape, maps, packed)
            return judge.validation(packed_content(packed))

        asked = (Brisk(segnet), Brisk(posenet)) if params.networks == "bfloat16" else (segnet, posenet)
        course = Course(
            source=source,
            monitor=monitor,
            known=known,
            segnet=asked[0],
            posenet=asked[1],
            scored=segnet,
            precision=params.networks,
            shape=head.shape,
            scheme=params.scheme,
            bits=params.bits,
            seed=recipe.seed,
            maps=torch.from_numpy(maps.labels),
            poses=torch.from_numpy(blank.conditions()),
            rates={QUANTIZER: params.step_rate},
            distil=params.distil,
            validate_every=params.validate_every,
            validate=validate,
        )
        content = _searched(packed_content(train(course, parts)), params, source, judge, monitor)
    bitstream = syntax.write(content)
    _prove(bitstream.payload, content)
    pictures.write(content, known.frames, source.work)
    return bitstream


def _searched(content: Content, params: Params, source: SourceClip, judge: Judge, monitor: Monitor) -> Content:
    """The content after everything that is tried on the real metric; each step stays only if it pays.

    Notes:
        The order of the published schedule, at the encoder and into streams: poses first, then whatever changes the
        last frame, then poses again.
    """
    content = _refitted(content, params.refit, source, judge, monitor)
    if params.edit:
        content = edits.edited(content, judge, monitor)
    if params.tails:
        content = tails.admit(content, judge, params.tails, source.work / "tails.csv", monitor)
    return _refitted(content, params.repair, source, judge, monitor)


def _refitted(content: Content, rounds: int, source: SourceClip, judge: Judge, monitor: Monitor) -> Content:
    """The content with its poses solved for, some times over; from the cache where the same was solved before."""
    for _ in range(rounds):
        digests = [network.sha256 for network in source.contract.networks.values()]
        code = custody.sha256_file(Path(poses.__file__))
        key = targets.key(custody.sha256_bytes(syntax.write(content).payload), digests, code)
        path = source.cache / "semantic" / f"{key}.poses.npy"
        before = judge.validation(content)
        if path.is_file():
            solved = replace(content, poses=np.load(path, allow_pickle=False))
        else:
            solved = poses.refit(content, judge, before.posenet or 0.0, monitor)
            _keep(path, _as_npy(solved.poses))
        if judge.change(before, judge.validation(solved)) >= 0.0:
            break
        content = solved
    return content


def _as_npy(values: NDArray[np.int64]) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _keep(path: Path, data: bytes) -> None:
    """Write a file of the cache, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.part")
    temporary.write_bytes(data)
    temporary.replace(path)


def _maps(source: SourceClip, labels: NDArray[np.uint8], monitor: Monitor) -> Maps:
    """Exact class maps with their bytes, from the cache where the same coder has coded the same maps before."""
    code = b"".join(path.read_bytes() for path in closure("lab.entropy.mapwriter"))
    key = targets.key(custody.sha256_bytes(code), labels.shape, custody.sha256_bytes(labels.tobytes()))
    path = source.cache / "semantic" / f"{key}.maps"
    if path.is_file():
        found = labelmap.read(path.read_bytes())
        if np.array_equal(found.labels, labels):
            return Maps(labels=labels, coded=path.read_bytes(), sections=found.sections)
    made = edits.maps_of(labels, monitor)
    _keep(path, made.coded)
    return made


def _prove(payload: bytes, content: Content) -> None:
    """Return only if the parsed payload holds exactly what was written."""
    found = syntax.read(payload)
    same = np.array_equal(found.maps.labels, content.maps.labels) and np.array_equal(found.poses, content.poses)
    again = syntax.write(found)
    if not same or again.payload != payload:
        raise RoundTripMismatch("semantic", expected="the maps, poses and weights that were packed", found="others")
