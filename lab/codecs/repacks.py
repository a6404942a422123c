"""Repacks of a payload that was paid for: its weights on fewer bits, its side channels coarser or left out.

Nothing is trained again. Every repack is a payload that its family's decoder reads, so its bytes are exact; its
relative error is that of the one stream that it touches, in percent of what that stream holds.

    filtered    weights of the post-filter (int7 to int3 per channel, fp4); side codes on even values, or none
    semantic    weights of the renderer (int7 to int3 per tensor, fp4); poses half and a quarter as fine; each tail
    implicit    weights of the decoder (int7 to int3 per tensor); latents half, a quarter as fine; side-car, constants
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from lab.codecs import weights
from lab.codecs.filtered import decode as filtered_decode
from lab.codecs.filtered import format as filtered
from lab.codecs.filtered.model import PostFilter
from lab.codecs.implicit import format as implicit
from lab.codecs.implicit.content import Content as ImplicitContent
from lab.codecs.semantic import format as semantic
from lab.codecs.semantic.actions import TAILS
from lab.codecs.semantic.content import Content as SemanticContent
from lab.codecs.weights import Stored, StoredTensor
from lab.errors import RecipeError
from lab.training.quantize import fp4_codes

DEPTHS = (7, 6, 5, 4, 3)
"""Bits per weight that are tried, sign included."""
COARSER = {"half": 2, "quarter": 4}
"""How many steps of a side channel become one."""
FP4_LEAST = 64
"""Of the renderer, tensors of at least so many weights take four-bit floating point."""
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repack:
    """One repack: its name, the stream that it touches, its payload, and that stream's relative error in percent."""

    name: str
    stream: str
    payload: bytes
    rel_err: float


Maker = Callable[[], Repack]


def stream_of(name: str) -> str:
    """The stream that a repack of this name touches: "weights", or the side channel's name."""
    first, _, rest = name.partition("-")
    if name == "fp4" or (first.startswith("int") and not rest):
        return "weights"
    return rest if first == "no" else name.rpartition("-")[0]


def names(payload: bytes, family: str) -> tuple[str, ...]:
    """What a payload can be repacked as, in a fixed order.

    Raises:
        RecipeError: a family that has no repacks.
        BitstreamError: the payload is not one of its family.
    """
    return tuple(_makers(payload, family))


def repack(payload: bytes, family: str, name: str) -> Repack:
    """The repack of this name.

    Raises:
        RecipeError: a family that has no repacks, or a name that this payload has no repack of.
        BitstreamError: the payload is not one of its family.
    """
    makers = _makers(payload, family)
    if name not in makers:
        raise RecipeError(f"repack {name!r}"[:100], expected="one of " + ", ".join(makers), found="no such repack")
    return makers[name]()


def repacks(payload: bytes, family: str) -> Iterator[Repack]:
    """Every repack of a payload.

    Raises:
        RecipeError: a family that has none.
        BitstreamError: the payload is not one of its family.
    """
    for make in _makers(payload, family).values():
        yield make()


def integers(values: Floats, bits: int, *, rows: bool = False) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Codes int8 of the shape of `values` on a symmetric grid, and its half-precision steps, (1,) or one for each row.

    Args:
        bits: 2 to 8, sign included.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits must be 2 to 8, got {bits}")
    most = 2 ** (bits - 1) - 1
    flat = values.reshape(len(values), -1) if rows else values.reshape(1, -1)
    steps = np.maximum(np.abs(flat).max(axis=1, initial=0.0) / most, 2.0**-14).astype(np.float16)
    codes = np.clip(np.rint(flat / steps.astype(np.float32)[:, None]), -most, most)
    return codes.astype(np.int8).reshape(values.shape), steps


def relative_error(before: Mapping[str, Floats], after: Mapping[str, Floats]) -> float:
    """Root mean square change of all values over their root mean square, in percent."""
    moved = sum(float(np.square(after[name].astype(np.float64) - before[name]).sum()) for name in before)
    whole = sum(float(np.square(before[name].astype(np.float64)).sum()) for name in before)
    return 100.0 * math.sqrt(moved / whole) if whole > 0.0 else math.nan


def _makers(payload: bytes, family: str) -> dict[str, Maker]:
    families = {"filtered": _filtered, "implicit": _implicit, "semantic": _semantic}
    if family not in families:
        raise RecipeError(f"repacks of {family!r}", expected="a family of " + ", ".join(families), found=family)
    return families[family](payload)


def _removed(name: str, write: Callable[[], bytes]) -> Maker:
    """A stream left out: all of it is lost."""
    return lambda: Repack(name=name, stream=stream_of(name), payload=write(), rel_err=100.0)


def _filtered(payload: bytes) -> dict[str, Maker]:
    head, parts = filtered.read(payload)
    model = PostFilter(head.architecture, head.hidden, head.view)
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    kept = weights.read(parts.weights, head.weights, shapes)
    before = {name: weights.values(kept[name]) for name, shape in shapes.items() if len(shape) > 1}
    inner = filtered_decode.INNER[parts.inner[1]][2](parts.inner)

    def written(kind: str, section: bytes, side: NDArray[np.int8] | None) -> bytes:
        children = weights.children(section, weights.read(section, kind, shapes).values())
        return filtered.write(head._replace(weights=kind), inner, section, children=children, side=side).payload

    def moved(name: str, kind: str, tensors: Mapping[str, StoredTensor]) -> Repack:
        section = weights.write([tensors.get(key, kept[key]) for key in shapes], kind)
        after = {key: weights.values(tensor) for key, tensor in tensors.items()}
        made = written(kind, section, parts.side)
        return Repack(name=name, stream="weights", payload=made, rel_err=relative_error(before, after))

    def coded(bits: int) -> Repack:
        tensors = {key: _stored(value, *integers(value, bits, rows=True)) for key, value in before.items()}
        return moved(f"int{bits}", "channel", tensors)

    def four() -> Repack:
        return moved("fp4", "fp4", {key: _four_bit(value) for key, value in before.items()})

    def coarser(word: str, side: NDArray[np.int8]) -> Repack:
        factor = COARSER[word]
        most = 127 // factor
        rounded = (factor * np.clip(np.rint(side / factor), -most, most)).astype(np.int8)
        error = relative_error({"side": side.astype(np.float32)}, {"side": rounded.astype(np.float32)})
        made = written(head.weights, parts.weights, rounded)
        return Repack(name=f"side-{word}", stream="side", payload=made, rel_err=error)

    makers: dict[str, Maker] = {f"int{bits}": partial(coded, bits) for bits in DEPTHS}
    makers["fp4"] = four
    if parts.side is not None:
        side = parts.side
        for word in COARSER:
            makers[f"side-{word}"] = partial(coarser, word, side)
        makers["no-side"] = _removed("no-side", lambda: written(head.weights, parts.weights, None))
    return makers


def _implicit(payload: bytes) -> dict[str, Maker]:
    content = implicit.read(payload)
    before = {name: value for name, value in content.values().items() if name in content.codes}

    def coded(bits: int) -> Repack:
        made = {name: integers(value, bits) for name, value in before.items()}
        moved = replace(
            content,
            codes={name: codes.reshape(content.codes[name].shape) for name, (codes, _) in made.items()},
            steps={name: step.astype(np.float32) for name, (_, step) in made.items()},
        )
        after = {name: value for name, value in moved.values().items() if name in before}
        error = relative_error(before, after)
        return Repack(name=f"int{bits}", stream="weights", payload=implicit.write(moved).payload, rel_err=error)

    makers: dict[str, Maker] = {}
    if content.head.granularity == "tensor" and content.head.step_kind == "half":
        makers |= {f"int{bits}": partial(coded, bits) for bits in DEPTHS}
    if content.head.latent_kind == "signed":
        makers |= {f"latents-{word}": partial(_coarser_latents, content, word) for word in COARSER}
    if len(content.sidecar) and content.sidecar.any():
        without = replace(content, sidecar=np.empty((0, 2), np.int8))
        makers["no-sidecar"] = _removed("no-sidecar", lambda: implicit.write(without).payload)
    if content.constants.any():
        bare = replace(content, constants=np.zeros_like(content.constants))
        makers["no-constants"] = _removed("no-constants", lambda: implicit.write(bare).payload)
    return makers


def _coarser_latents(content: ImplicitContent, word: str) -> Repack:
    """Latents on larger steps; corrections keep their size as nearly as the larger unit lets them."""
    factor = COARSER[word]
    signed = content.latents.view(np.int8)
    codes = np.rint(signed / factor).astype(np.int8)
    sidecar = content.sidecar.copy()
    if len(sidecar):
        sidecar[:, 1] = np.rint(sidecar[:, 1] / factor).astype(np.int8)
    steps = content.latent_steps * np.float32(factor)
    moved = replace(content, latents=codes.view(np.uint8), latent_steps=steps, sidecar=sidecar)
    before, after = ({"latents": signed.astype(np.float32)}, {"latents": codes.astype(np.float32) * factor})
    return Repack(
        name=f"latents-{word}",
        stream="latents",
        payload=implicit.write(moved).payload,
        rel_err=relative_error(before, after),
    )


def _semantic(payload: bytes) -> dict[str, Maker]:
    content = semantic.read(payload)
    big = [name for name, tensor in content.weights.items() if len(tensor.shape) > 1]
    before = {name: weights.values(content.weights[name]) for name in big}

    def moved(name: str, tensors: Mapping[str, StoredTensor]) -> Repack:
        made = semantic.write(replace(content, weights={**content.weights, **tensors})).payload
        after = {key: weights.values(tensor) for key, tensor in tensors.items()}
        return Repack(name=name, stream="weights", payload=made, rel_err=relative_error(before, after))

    def coded(bits: int) -> Repack:
        return moved(f"int{bits}", {name: _stored(before[name], *integers(before[name], bits)) for name in big})

    large = [name for name in big if before[name].size >= FP4_LEAST]

    def four() -> Repack:
        small = {name: _stored(before[name], *integers(before[name], 8)) for name in big if name not in large}
        return moved("fp4", {**small, **{name: _four_bit(before[name]) for name in large}})

    makers: dict[str, Maker] = {f"int{bits}": partial(coded, bits) for bits in DEPTHS}
    if large:
        makers["fp4"] = four
    for word, factor in COARSER.items():
        if content.head.pose_scale % factor == 0:
            makers[f"poses-{word}"] = partial(_coarser_poses, content, word)
    for tail in TAILS:
        if len(getattr(content.actions, tail)):
            makers[f"no-{tail}"] = _removed(f"no-{tail}", partial(_without_tail, content, tail))
    return makers


def _coarser_poses(content: SemanticContent, word: str) -> Repack:
    """Poses on larger steps."""
    factor = COARSER[word]
    codes = np.rint(content.poses / factor).astype(np.int64)
    head = content.head._replace(pose_scale=content.head.pose_scale // factor)
    before, after = (
        {"poses": content.poses.astype(np.float32)},
        {"poses": (codes * factor).astype(np.float32)},
    )
    return Repack(
        name=f"poses-{word}",
        stream="poses",
        payload=semantic.write(replace(content, head=head, poses=codes)).payload,
        rel_err=relative_error(before, after),
    )


def _without_tail(content: SemanticContent, tail: str) -> bytes:
    actions = replace(content.actions, **{tail: np.empty(0, np.uint8)})
    return semantic.write(replace(content, actions=actions)).payload


def _stored(values: Floats, codes: NDArray[np.int8] | NDArray[np.uint8], steps: NDArray[np.float16]) -> Stored:
    none = np.empty(0, np.int8), np.empty(0, np.uint8)
    return Stored(shape=tuple(values.shape), codes=codes, steps=steps, exponents=none[0], depths=none[1])


def _four_bit(values: Floats) -> Stored:
    codes, steps = fp4_codes(torch.from_numpy(np.ascontiguousarray(values)))
    return _stored(values, codes.numpy().astype(np.uint8), steps.numpy().astype(np.float16))
