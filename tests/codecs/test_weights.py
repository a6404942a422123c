"""Weights of a network: our own models where they are shorter, and every older way of storing them still read."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lab.bitstream import check_tiling
from lab.codecs import weights
from lab.codecs.implicit import packing
from lab.entropy import weightstream
from lab.errors import BitstreamError

SHAPES = {"first": (24, 12, 3, 3), "bias": (24,), "last": (20, 24)}


def tensors(kind: str) -> list[SimpleNamespace]:
    """Drawn tensors as a quantizer packs them."""
    rng = np.random.default_rng(3)
    out = []
    for shape in SHAPES.values():
        n, nothing = int(np.prod(shape)), np.empty(0, np.int8)
        tensor = SimpleNamespace(shape=shape, exponents=nothing, depths=nothing.astype(np.uint8))
        tensor.steps = np.empty(0, np.float16)
        if len(shape) < 2:
            tensor.codes = rng.normal(size=shape).astype(np.float16)
        elif kind == "fp4":
            tensor.codes = rng.choice(16, n, p=np.tile([16, 14, 11, 8, 5, 3, 2, 1], 2) / 120).astype(np.uint8)
            tensor.steps = rng.uniform(0.01, 0.02, -(-n // 32)).astype(np.float16)
        elif kind == "rows":
            tensor.depths = (np.arange(shape[0]) % 6).astype(np.uint8)
            limit = (1 << np.maximum(tensor.depths.astype(np.int64), 1) - 1)[:, None]
            drawn = np.rint(rng.normal(0, 2, (shape[0], n // shape[0]))).astype(np.int64)
            tensor.codes = np.clip(drawn, -limit, limit - 1) * (tensor.depths > 0)[:, None]
            tensor.exponents = rng.integers(-9, -5, shape[0]).astype(np.int8)
        else:
            tensor.codes = np.rint(rng.normal(0, 12, shape)).clip(-127, 127).astype(np.int8)
            tensor.steps = np.full(shape[0] if kind == "channel" else 1, 0.01, np.float16)
        out.append(tensor)
    return out


def same(found: dict[str, weights.Stored], packed: list[SimpleNamespace]) -> bool:
    """Whether codes, steps, exponents and depths are what was packed."""
    return all(
        np.array_equal(stored.codes.reshape(-1), tensor.codes.reshape(-1))
        and np.array_equal(stored.steps, tensor.steps)
        and np.array_equal(stored.depths, tensor.depths)
        for stored, tensor in zip(found.values(), packed, strict=True)
    )


@pytest.mark.parametrize("kind", weights.KINDS)
def test_codes_go_through_our_models_and_come_back(kind: str) -> None:
    packed = tensors(kind)
    section = weights.write(packed, kind)
    found = weights.read(section, kind, SHAPES)
    assert same(found, packed)
    children = weights.children(section, found.values())
    check_tiling(children, 0, len(section), "weights")
    assert children[1].kind == "entropy coded"


@pytest.mark.parametrize("kind", weights.KINDS)
def test_sections_that_lzma_packed_are_still_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tensors(kind)
    own = weights.write(packed, kind)
    monkeypatch.setattr(weightstream, "encode", lambda *_, **__: SimpleNamespace(payload=bytes(1 << 20)))
    general = weights.write(packed, kind)
    assert len(general) > len(own)
    assert same(weights.read(general, kind, SHAPES), packed)


@pytest.mark.parametrize("kind", weights.KINDS)
def test_a_truncated_section_is_refused(kind: str) -> None:
    section = weights.write(tensors(kind), kind)
    for end in range(0, len(section), 7):
        with pytest.raises(BitstreamError):
            weights.read(section[:end], kind, SHAPES)


def test_an_implicit_decoder_is_smaller_through_our_models() -> None:
    codes = [tensor.codes for tensor in tensors("tensor") if len(tensor.shape) > 1]
    shapes = [tensor.shape for tensor in codes]
    packed = packing.pack_weights(codes)
    assert len(packed) < len(packing.squeeze(b"".join(tensor.tobytes() for tensor in codes)))
    found = packing.unpack_weights(packed, shapes)
    assert all(np.array_equal(one, other) for one, other in zip(found, codes, strict=True))
