"""What is trained is exactly what is packed: for every scheme, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lab.bitstream import check_tiling
from lab.codecs import weights as stored
from lab.errors import BitstreamError
from lab.training import quantize
from lab.training.quantize import SCHEMES, Scheme

SHAPES = {
    "first.weight": (6, 3, 3, 3),
    "first.bias": (6,),
    "middle.weight": (5, 7),
    "last.weight": (1, 6, 3, 3),
    "last.bias": (1,),
}


def drawn(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    out = {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    out["first.weight"][2] *= 1e-3
    out["last.weight"].zero_()
    return out


def scheme_of(kind: str, weights: dict[str, torch.Tensor], bits: int = 8) -> Scheme:
    scheme = Scheme(kind, SHAPES, bits)
    scheme.calibrate(weights)
    if kind == "depth":
        with torch.no_grad():
            for number, depth in enumerate(scheme.depths.values()):
                depth.copy_(torch.arange(len(depth)).reshape(depth.shape) + 0.3 * number)
    return scheme


# Four bits for large tensors only: two sections, which the family that uses it writes.
IN_ONE_SECTION = [kind for kind in SCHEMES if kind != "fp4-large"]


@pytest.mark.parametrize("kind", IN_ONE_SECTION)
@pytest.mark.parametrize("bits", [8, 4])
def test_the_packed_tensor_rebuilds_the_trained_one_bit_for_bit(kind: str, bits: int) -> None:
    weights = drawn()
    scheme = scheme_of(kind, weights, bits)
    trained = scheme.fake(weights)
    kind_stored = stored.kind_of(kind)
    section = stored.write(scheme.pack(weights).values(), kind_stored)
    rebuilt = {name: stored.values(item) for name, item in stored.read(section, kind_stored, SHAPES).items()}
    assert list(rebuilt) == list(SHAPES)
    for name, value in rebuilt.items():
        assert value.dtype == np.float32
        assert value.tobytes() == trained[name].detach().numpy().tobytes(), name


@pytest.mark.parametrize("kind", SCHEMES)
def test_quantization_keeps_a_useful_gradient(kind: str) -> None:
    weights = {name: value.requires_grad_(True) for name, value in drawn().items()}
    scheme = scheme_of(kind, weights) if kind != "depth" else Scheme(kind, SHAPES)
    if kind == "depth":
        scheme.calibrate(weights)
    target = {name: value.detach() + 0.05 for name, value in weights.items()}
    loss = sum(((value - target[name]) ** 2).sum() for name, value in scheme.fake(weights).items())
    loss.backward()
    for name in ("first.weight", "first.bias", "middle.weight"):
        moved = {key: value.detach() - 0.5 * value.grad for key, value in weights.items()}
        before = (weights[name].detach() - target[name]).abs().mean()
        assert (moved[name] - target[name]).abs().mean() < before


def test_a_learned_step_reduces_the_error_of_four_bits() -> None:
    """Steps trained by their own gradient end up better than where they started."""
    weights = drawn()
    scheme = Scheme("lsq", SHAPES, bits=4)
    scheme.calibrate(weights)

    def error() -> torch.Tensor:
        return sum(((value - weights[name]) ** 2).sum() for name, value in scheme.fake(weights).items())

    before = error().item()
    optimizer = torch.optim.Adam(scheme.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    assert error().item() < 0.97 * before


def test_a_price_on_bits_removes_rows_that_nothing_needs() -> None:
    weights = drawn()
    scheme = Scheme("depth", SHAPES)
    scheme.calibrate(weights)
    before = scheme.rate_bits(weights).item()
    optimizer = torch.optim.Adam(scheme.parameters(), lr=0.2)
    for _ in range(60):
        optimizer.zero_grad()
        (1e-3 * scheme.rate_bits(weights)).backward()
        optimizer.step()
    after = scheme.pack(weights)
    assert scheme.rate_bits(weights).item() < 0.05 * before
    assert all(item.depths.max() == 0 and not item.codes.any() for item in after.values() if len(item.shape) > 1)


def test_four_bits_for_large_tensors_rebuild_in_two_sections() -> None:
    shapes = {"large.weight": (24, 8, 3, 3), "small.weight": (5, 7)}
    generator = torch.Generator().manual_seed(4)
    weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    scheme = Scheme("fp4-large", shapes)
    scheme.calibrate(weights)
    packed, trained = scheme.pack(weights), scheme.fake(weights)
    assert {name: item.kind for name, item in packed.items()} == {"large.weight": "fp4", "small.weight": "uniform"}
    for name, kind in (("large.weight", "fp4"), ("small.weight", "tensor")):
        section = stored.write([packed[name]], kind)
        (back,) = stored.read(section, kind, {name: shapes[name]}).values()
        assert stored.values(back).tobytes() == trained[name].detach().numpy().tobytes()


@pytest.mark.parametrize("kind", IN_ONE_SECTION)
def test_estimated_bits_are_near_the_stored_bytes(kind: str) -> None:
    generator = torch.Generator().manual_seed(3)
    shapes = {"a.weight": (32, 32, 3, 3)}
    weights = {"a.weight": 0.1 * torch.randn(shapes["a.weight"], generator=generator)}
    scheme = Scheme(kind, shapes)
    scheme.calibrate(weights)
    section = stored.write(scheme.pack(weights).values(), stored.kind_of(kind))
    assert 0.8 < scheme.rate_bits(weights).item() / 8 / len(section) < 1.2


def test_straight_through_is_exact_in_value() -> None:
    soft = torch.tensor([1e-8, 1.0, 1e8], requires_grad=True)
    hard = torch.tensor([0.1, 0.2, 0.3])
    assert torch.equal(quantize.straight_through(soft, hard).detach(), hard)


def test_rounded_pixels_are_bytes_with_the_gradient_of_clamping() -> None:
    frames = torch.tensor([-3.0, 0.4, 0.5, 1.5, 254.6, 300.0], requires_grad=True)
    shown = quantize.round_pixels(frames)
    assert shown.tolist() == [0.0, 0.0, 0.0, 2.0, 255.0, 255.0]
    shown.sum().backward()
    assert frames.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]


def test_unknown_schemes_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"int8-tensor.*depth.*'int3'"):
        Scheme("int3", SHAPES)
    with pytest.raises(ValueError, match="2 to 8"):
        Scheme("lsq", SHAPES, bits=9)
    with pytest.raises(ValueError, match="int8-tensor"):
        stored.kind_of("int3")


@pytest.mark.parametrize("kind", ["int8-channel", "fp4", "depth"])
def test_sections_of_weights_tile_and_refuse_every_truncation(kind: str) -> None:
    weights = drawn()
    kind_stored = stored.kind_of(kind)
    section = stored.write(scheme_of(kind, weights).pack(weights).values(), kind_stored)
    children = stored.children(section, stored.read(section, kind_stored, SHAPES).values())
    check_tiling(children, 0, len(section), "weights")
    assert children[1].ideal_bits is not None
    for length in range(len(section)):
        with pytest.raises(BitstreamError):
            stored.read(section[:length], kind_stored, SHAPES)
    with pytest.raises(BitstreamError):
        stored.read(section + b"\0", kind_stored, SHAPES)


def test_a_stream_that_would_expand_without_end_is_refused() -> None:
    bomb = stored._squeeze(bytes(50_000_000))
    assert len(bomb) < 100_000
    lengths = bytes([0x80 | len(bomb) & 0x7F, 0x80 | len(bomb) >> 7 & 0x7F, len(bomb) >> 14, 1, 1])
    with pytest.raises(BitstreamError):
        stored.read(lengths + bomb + b"\0\0", "tensor", {"a": (4, 4)})


def test_the_two_tables_of_four_bit_levels_agree() -> None:
    assert stored._FP4_LEVELS == quantize.FP4_LEVELS
    assert stored._FP4_BLOCK == quantize.FP4_BLOCK
    assert stored._MAX_DEPTH == quantize.MAX_DEPTH
