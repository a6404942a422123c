"""Every model x coder x transform gives back what went in, and a stream is close to the information of its symbols."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from material import MODELS, transforms

from lab.bitstream import check_tiling
from lab.entropy.coders import Coder
from lab.entropy.models import Adaptive, GolombRice, Static
from lab.entropy.shapemodels import Gaussian, Laplace
from lab.entropy.streams import Stream, smallest
from lab.entropy.transforms import Delta, Zigzag
from lab.errors import BitstreamError, ChecksumMismatch, EntropyError

QUICK = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
SMALL = st.lists(st.integers(-150, 150), max_size=24).map(lambda values: np.array(values, np.int64))
FLAT = st.integers(0, 40).map(lambda count: np.full(count, 7, np.int64))


@pytest.mark.parametrize("coder", list(Coder))
@pytest.mark.parametrize("model", MODELS)
@QUICK
@given(values=SMALL | FLAT)
def test_every_model_coder_and_transform_gives_back_what_went_in(model: str, coder: Coder, values: np.ndarray) -> None:
    values = values[: len(values) // 2 * 2]
    if model == "order 2":  # its alphabet is small
        values = values % 9 - 4
    for chain in transforms(len(values)).values():
        unsigned = (*chain, Zigzag()) if model == "golomb-rice" else chain
        stream = Stream(model=MODELS[model], coder=coder, transforms=unsigned)
        coded = stream.encode(values)
        assert np.array_equal(stream.decode(coded.payload, len(values)), values)


@pytest.mark.parametrize("coder", list(Coder))
@pytest.mark.parametrize("model", MODELS)
def test_a_coder_adds_little_to_the_information_of_its_model(model: str, coder: Coder) -> None:
    values = np.random.default_rng(5).geometric(0.3, 500) - 1
    stream = Stream(model=MODELS[model], coder=coder)
    coded = stream.encode(values)
    # zero bytes at the end of a range-coded payload are not written
    assert coded.ideal_bits / 8 - 1 <= len(coded.payload) - coded.side_bytes <= 1.002 * coded.ideal_bits / 8 + 5


def test_a_truncated_stream_is_refused_at_every_byte() -> None:
    values = np.random.default_rng(6).integers(-9, 9, 60)
    for coder in Coder:
        for model in (Static(), Adaptive(order=1), Laplace()):
            stream = Stream(model=model, coder=coder)
            payload = stream.encode(values).payload
            for end in range(len(payload)):
                with pytest.raises(BitstreamError):
                    stream.decode(payload[:end], len(values))


def test_another_model_or_count_is_refused() -> None:
    values = np.random.default_rng(7).integers(0, 9, 80)
    payload = Stream(model=Adaptive()).encode(values).payload
    for stream, count in (
        (Stream(model=Adaptive(order=1)), 80),
        (Stream(model=Adaptive()), 81),
        (Stream(model=Adaptive()), 0),
    ):
        with pytest.raises(BitstreamError):
            stream.decode(payload, count)


def test_a_checksum_stands_for_the_values() -> None:
    stream = Stream(model=Adaptive())
    payload = bytearray(stream.encode(np.arange(20)).payload)
    payload[0] ^= 1
    with pytest.raises(ChecksumMismatch):
        stream.decode(bytes(payload), 20)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Static(), [0, 1 << 15]),
        (Adaptive(order=2), [0, 300]),
        (Laplace(), [0, 0, 1 << 14]),
        (GolombRice(), [-1]),
    ],
)
def test_what_a_model_cannot_hold_is_refused_with_the_way_out(model: Static, values: list[int]) -> None:
    with pytest.raises(EntropyError, match=r"split|zigzag"):
        Stream(model=model).encode(np.array(values))


def test_the_smallest_of_several_streams_is_chosen() -> None:
    values = np.cumsum(np.random.default_rng(8).normal(0, 3, 400).round().astype(np.int64))
    streams = (Stream(model=Adaptive()), Stream(model=Gaussian(), transforms=(Delta(),)))
    index, coded = smallest(streams, values)
    assert index == 1
    assert len(coded.payload) == min(len(stream.encode(values).payload) for stream in streams)


def test_sections_tile_a_stream() -> None:
    coded = Stream(model=Static()).encode(np.arange(300) % 7)
    section = coded.section("demo", offset=11)
    check_tiling((section,), 11, 11 + len(coded.payload), "demo")
