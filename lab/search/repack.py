"""Repacks of a trained payload: its weights on fewer bits, and each side channel left out; nothing is trained again.

Every candidate is a payload that its family's decoder reads, so its bytes are exact; its relative error is that of the
weights. Families: `implicit` (integers of three to seven bits; side-car, constants) and `semantic` (the same integers,
four-bit floating point; each tail of actions).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lab.codecs import weights
from lab.codecs.implicit import format as implicit
from lab.codecs.semantic import format as semantic
from lab.codecs.semantic.actions import TAILS
from lab.codecs.weights import Stored, StoredTensor
from lab.errors import SearchError
from lab.training.quantize import fp4_codes

DEPTHS = (7, 6, 5, 4, 3)
"""Bits per weight that are tried, sign included."""
FP4_LEAST = 64
"""Tensors of at least so many weights take four-bit floating point; smaller ones keep what they have."""
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repack:
    """One candidate: what was done, its payload, and the relative error of its weights in percent (0: none moved)."""

    name: str
    payload: bytes
    rel_err: float


def repacks(payload: bytes, family: str) -> Iterator[Repack]:
    """Every repack of a payload, the payload itself first.

    Raises:
        SearchError: a family that has none.
        BitstreamError: the payload is not one of its family.
    """
    makers = {"implicit": _implicit, "semantic": _semantic}
    if family not in makers:
        raise SearchError(f"repacks of {family!r}", expected="a family of " + ", ".join(makers), found=family)
    yield Repack(name="as it is", payload=payload, rel_err=0.0)
    yield from makers[family](payload)


def integers(values: Floats, bits: int) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Codes int8 of the shape of `values` on a symmetric grid, and its half-precision step (1,).

    Args:
        bits: 2 to 8, sign included.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits must be 2 to 8, got {bits}")
    most = 2 ** (bits - 1) - 1
    largest = float(np.abs(values).max(initial=0.0))
    step = np.array([max(largest / most, 2.0**-14)], np.float16)
    codes = np.clip(np.rint(values / np.float32(step[0])), -most, most)
    return codes.astype(np.int8), step


def relative_error(before: Mapping[str, Floats], after: Mapping[str, Floats]) -> float:
    """Root mean square change of all weights over their root mean square, in percent."""
    moved = sum(float(np.square(after[name].astype(np.float64) - before[name]).sum()) for name in before)
    whole = sum(float(np.square(before[name].astype(np.float64)).sum()) for name in before)
    return 100.0 * math.sqrt(moved / whole) if whole > 0.0 else math.nan


def _implicit(payload: bytes) -> Iterator[Repack]:
    content = implicit.read(payload)
    before = {name: value for name, value in content.values().items() if name in content.codes}
    if content.head.granularity == "tensor" and content.head.step_kind == "half":
        for bits in DEPTHS:
            coded = {name: integers(value, bits) for name, value in before.items()}
            moved = replace(
                content,
                codes={name: codes.reshape(content.codes[name].shape) for name, (codes, _) in coded.items()},
                steps={name: step.astype(np.float32) for name, (_, step) in coded.items()},
            )
            after = {name: value for name, value in moved.values().items() if name in before}
            yield Repack(
                name=f"int{bits}", payload=implicit.write(moved).payload, rel_err=relative_error(before, after)
            )
    if len(content.sidecar) and content.sidecar.any():
        without = replace(content, sidecar=np.empty((0, 2), np.int8))
        yield Repack(name="without side-car", payload=implicit.write(without).payload, rel_err=0.0)
    if content.constants.any():
        without = replace(content, constants=np.zeros_like(content.constants))
        yield Repack(name="without constants", payload=implicit.write(without).payload, rel_err=0.0)


def _semantic(payload: bytes) -> Iterator[Repack]:
    content = semantic.read(payload)
    big = [name for name, tensor in content.weights.items() if len(tensor.shape) > 1]
    before = {name: weights.values(content.weights[name]) for name in big}

    def moved(name: str, tensors: Mapping[str, StoredTensor]) -> Repack:
        made = semantic.write(replace(content, weights={**content.weights, **tensors})).payload
        after = {**before, **{key: weights.values(tensor) for key, tensor in tensors.items()}}
        return Repack(name=name, payload=made, rel_err=relative_error(before, after))

    for bits in DEPTHS:
        yield moved(f"int{bits}", {name: _stored(before[name], *integers(before[name], bits)) for name in big})
    large = [name for name in big if before[name].size >= FP4_LEAST]
    small = {name: _stored(before[name], *integers(before[name], 8)) for name in big if name not in large}
    if large:
        yield moved("fp4", {**small, **{name: _four_bit(before[name]) for name in large}})
    for tail in TAILS:
        if len(getattr(content.actions, tail)):
            actions = replace(content.actions, **{tail: np.empty(0, np.uint8)})
            made = semantic.write(replace(content, actions=actions)).payload
            yield Repack(name=f"without {tail}", payload=made, rel_err=0.0)


def _stored(values: Floats, codes: NDArray[np.int8] | NDArray[np.uint8], steps: NDArray[np.float16]) -> Stored:
    none = np.empty(0, np.int8), np.empty(0, np.uint8)
    return Stored(shape=tuple(values.shape), codes=codes, steps=steps, exponents=none[0], depths=none[1])


def _four_bit(values: Floats) -> Stored:
    codes, steps = fp4_codes(torch.from_numpy(np.ascontiguousarray(values)))
    return _stored(values, codes.numpy().astype(np.uint8), steps.numpy().astype(np.float16))
