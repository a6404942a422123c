"""Weights: exact by every method, never stored where they can be coded, smaller than any public packing."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from material import weights

from lab.bitstream import check_tiling
from lab.codecs.implicit import published
from lab.entropy import weightstate, weightstream
from lab.errors import BitstreamError, ChecksumMismatch, EntropyError


@pytest.mark.parametrize("method", ["tensors", "mixing"])
def test_weights_come_back_exactly(method: str) -> None:
    tensors = weights(np.random.default_rng(1))
    coded = weightstream.encode(tensors, methods=(method,))
    found = weightstream.decode(coded.payload, [tensor.shape for tensor in tensors])
    assert all(np.array_equal(one, other) for one, other in zip(found, tensors, strict=True))
    assert len(coded.payload) < 0.85 * sum(tensor.size for tensor in tensors)
    check_tiling(coded.sections, 0, len(coded.payload), "weights")


def test_rows_of_different_spread_find_scales_of_their_own() -> None:
    rng = np.random.default_rng(2)
    rows = np.rint(rng.normal(0, 1, (40, 400)) * np.geomspace(1, 30, 40)[:, None]).clip(-127, 127).astype(np.int64)
    payload = weightstream.encode([rows], methods=("tensors",)).payload
    flat = weightstream.encode([rows.reshape(1, -1)], methods=("tensors",)).payload
    assert len(payload) < 0.985 * len(flat)


@pytest.mark.parametrize("tensors", [[], [np.zeros((0, 3), np.int8)], [np.full((300, 100), 5, np.int8)]])
def test_nothing_and_constant_weights_come_back(tensors: list[np.ndarray]) -> None:
    coded = weightstream.encode(tensors)
    found = weightstream.decode(coded.payload, [tensor.shape for tensor in tensors])
    assert all(np.array_equal(one, other) for one, other in zip(found, tensors, strict=True))


def test_weights_that_span_more_than_a_byte_are_refused() -> None:
    with pytest.raises(EntropyError):
        weightstream.encode([np.array([0, 256])])


def test_other_shapes_are_refused() -> None:
    tensors = weights(np.random.default_rng(3))
    payload = weightstream.encode(tensors, methods=("tensors",)).payload
    shapes = [tensor.shape for tensor in tensors]
    for other in (shapes[:-1], [*shapes[:-1], (3, 13)], [(1 << 20, 1 << 10)]):
        with pytest.raises(BitstreamError):
            weightstream.decode(payload, other)


def test_four_bit_floats_keep_the_order_of_their_values() -> None:
    levels = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
    nibbles = np.arange(16, dtype=np.uint8)
    values = np.concatenate([levels, -levels])
    ordered = weightstream.ordered_fp4(nibbles)
    assert (np.diff(values[np.argsort(ordered)]) >= 0).all()
    assert np.array_equal(weightstream.fp4_of(ordered), nibbles)


def test_four_bit_weights_come_within_a_percent_of_their_entropy() -> None:
    rng = np.random.default_rng(4)
    levels = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
    block = rng.normal(0, 1, (600, 32))
    scaled = 6 * block / np.abs(block).max(axis=1, keepdims=True)
    nibbles = (
        np.abs(np.abs(scaled)[..., None] - levels).argmin(-1).astype(np.uint8) | (scaled < 0).astype(np.uint8) << 3
    )
    coded = weightstream.encode([weightstream.ordered_fp4(nibbles)])
    print(coded.account)
    found = weightstream.decode(coded.payload, [nibbles.shape])[0]
    assert np.array_equal(weightstream.fp4_of(found), nibbles)
    assert coded.account.over < 0.01


def test_a_state_keeps_names_shapes_and_steps_under_one_checksum() -> None:
    tensors = weights(np.random.default_rng(5))
    codes = {f"layer.{at}": tensor for at, tensor in enumerate(tensors)}
    steps = {name: np.float32(at + 0.1) for at, name in enumerate(codes)}
    coded = weightstate.encode(codes, steps)
    found, found_steps = weightstate.decode(coded.payload)
    assert list(found) == list(codes) and found_steps == steps
    assert all(np.array_equal(found[name], codes[name]) for name in codes)
    check_tiling(coded.sections, 0, len(coded.payload), "weights")
    broken = bytearray(coded.payload)
    broken[coded.sections[0].n_bytes - 1] ^= 1  # the last step
    with pytest.raises(ChecksumMismatch):
        weightstate.decode(bytes(broken))


def test_a_published_decoder_takes_fewer_bytes_than_any_public_packing(shared: Path) -> None:
    """The decoder section of PR 104: 162,569 bytes by brotli, names, shapes, steps and codes included here as there."""
    with zipfile.ZipFile(shared / "archives" / "pr104_qhnerv_ft_best.zip") as archive:
        found = published.parse(archive.read(archive.namelist()[0]))
    coded = weightstate.encode(found.codes, found.scales)
    print(coded.account)
    codes, steps = weightstate.decode(coded.payload)
    assert list(codes) == list(found.codes) and steps == found.scales
    assert all(np.array_equal(codes[name], found.codes[name]) for name in codes)
    assert len(coded.payload) <= 160_800
