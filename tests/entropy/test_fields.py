"""Fields on a grid: what lies around a code makes it cheap, and every shape comes back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lab.entropy.contextmodels import Mixing
from lab.entropy.fieldmodel import KINDS, FieldMixing
from lab.entropy.models import MOST_VALUES
from lab.entropy.streams import Stream
from lab.errors import BitstreamError


def moving_discs(n_fields: int = 40, rows: int = 24, columns: int = 32, levels: int = 4) -> np.ndarray:
    """Shares of cells that a disc and what is outside of it cover while it drifts, int64 (n, rows, columns, 2)."""
    y, x = np.mgrid[: 4 * rows, : 4 * columns]
    fields = []
    for at in range(n_fields):
        inside = (y - 40 - 0.3 * at) ** 2 + (x - 50 - 0.7 * at) ** 2 < 30**2
        share = inside.reshape(rows, 4, columns, 4).mean(axis=(1, 3))
        fields.append(np.stack([share, 1.0 - share], axis=-1))
    return np.rint(np.stack(fields) * levels).astype(np.int64)


def test_what_lies_around_a_code_saves_two_fifths_against_rows_of_cells() -> None:
    fields = moving_discs()
    n_fields, rows, columns, planes = fields.shape
    cells = rows * columns
    in_rows = Stream(model=Mixing(groups=((n_fields * cells, cells),) * planes))
    around = Stream(model=FieldMixing(grid=(rows, columns, planes)))
    plain = in_rows.encode(np.moveaxis(fields, -1, 0).reshape(-1))
    assert len(around.encode(fields.reshape(-1)).payload) < 0.6 * len(plain.payload)


def test_a_plane_that_another_one_implies_costs_less_than_the_first() -> None:
    fields = moving_discs()
    one, both = fields[..., :1], fields
    sizes = [
        len(Stream(model=FieldMixing(grid=part.shape[1:])).encode(part.reshape(-1)).payload) for part in (one, both)
    ]
    assert sizes[1] < 1.6 * sizes[0]


@given(arrays.arrays(np.int64, st.tuples(*[st.integers(1, 4)] * 4), elements=st.integers(-128, 127)))
@settings(max_examples=30, deadline=None)
def test_fields_of_every_shape_come_back(fields: np.ndarray) -> None:
    stream = Stream(model=FieldMixing(grid=fields.shape[1:]))
    payload = stream.encode(fields.reshape(-1)).payload
    assert np.array_equal(stream.decode(payload, fields.size), fields.reshape(-1))


def test_more_planes_than_have_weights_of_their_own_come_back() -> None:
    fields = np.random.default_rng(3).integers(0, 3, (2, 1, 2, 200))
    stream = Stream(model=FieldMixing(grid=fields.shape[1:]))
    assert np.array_equal(stream.decode(stream.encode(fields.reshape(-1)).payload, fields.size), fields.reshape(-1))


def test_a_stream_of_fields_that_is_cut_short_is_refused() -> None:
    fields = moving_discs(4)
    stream = Stream(model=FieldMixing(grid=fields.shape[1:]))
    payload = stream.encode(fields.reshape(-1)).payload
    for end in range(0, len(payload), 7):
        with pytest.raises(BitstreamError):
            stream.decode(payload[:end], fields.size)


def test_symbols_that_fill_no_field_are_refused() -> None:
    with pytest.raises(ValueError, match="7 symbols for fields of 4"):
        Stream(model=FieldMixing(grid=(2, 2, 1))).encode(np.arange(7))


@pytest.mark.parametrize("size", [2, 512, 513, 600, MOST_VALUES])
def test_alphabets_of_every_size_come_back(size: int) -> None:
    """Weights are laid out for as many bits as an alphabet may have: kernels do not look where they write."""
    values = np.random.default_rng(size).integers(0, size, 400)
    values[:2] = 0, size - 1
    stream = Stream(model=FieldMixing(grid=(1, 2, 2)))
    assert np.array_equal(stream.decode(stream.encode(values).payload, len(values)), values)


def test_weights_have_room_for_the_bits_of_the_largest_alphabet() -> None:
    assert 1 + (MOST_VALUES - 1).bit_length() == KINDS
