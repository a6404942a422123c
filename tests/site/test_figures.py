"""Scales and labels of the figures."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.site import details, figures, svg
from lab.site import format as show


@given(st.floats(1e-3, 1e6), st.floats(1.05, 1e4), st.integers(3, 9))
def test_log_ticks_lie_inside_and_apart(lo: float, ratio: float, most: int) -> None:
    axis = svg.Axis(label="", lo=lo, hi=lo * ratio, log=True)
    places = [axis.place(value) for value, _ in axis.ticks(most)]
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)
    assert all(b - a >= 1 / (most + 1) - 1e-9 for a, b in pairwise(places))


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e5), st.integers(2, 9))
def test_linear_ticks_are_round_and_inside(lo: float, span: float, most: int) -> None:
    axis = svg.Axis(label="", lo=lo, hi=lo + span)
    assert len(axis.ticks(most)) <= most + 1
    assert all(-1e-6 <= axis.place(value) <= 1 + 1e-6 for value, _ in axis.ticks(most))


def test_labels_never_overlap() -> None:
    frame, taken = svg.Box(x=0, y=0, width=400, height=300), []
    spots = [svg.place_label(f"label-{i}", 200.0, 150.0, taken, frame) for i in range(8)]
    assert spots[0] is not None
    boxes = list(taken)
    assert not [1 for i, a in enumerate(boxes) for b in boxes[:i] if a.meets(b)]


def test_the_rate_floor_never_lies_above_a_run(built: SimpleNamespace) -> None:
    board = built.book.main.boards[0]
    price = board.contract.formula.byte_price(board.contract.source.bytes)
    assert all(entry.n_bytes * price <= entry.total for entry in board.entries)


def test_bars_of_the_three_terms_add_up(built: SimpleNamespace) -> None:
    for row in figures.terms(built.book.main.entries):
        assert pytest.approx(row.entry.total) == sum(value for _, _, value, _ in row.values)


@pytest.mark.parametrize(("length", "model"), [(437, 192), (582, 256), (874, 384), (1164, 512), (540, 192)])
def test_no_camera_pixel_is_read_for_two_model_pixels(length: int, model: int) -> None:
    """What makes the resize invertible: taps of different model pixels are disjoint from a factor of 2 on."""
    read = [pixel for pair in details.taps(length, model) for pixel in pair]
    assert len(read) == len(set(read)) == 2 * model


@pytest.mark.parametrize(
    ("given", "expected"),
    [(0.0, "0.000000"), (-1e-9, "0.000000"), (0.5, "+0.500000"), (-0.5, "−0.500000"), (float("nan"), "not finite")],
)
def test_a_signed_number_says_zero_without_a_sign(given: float, expected: str) -> None:
    assert show.signed(given) == expected


def test_small_components_keep_their_digits() -> None:
    assert [show.scientific(value) for value in (0.0161, 0.000033274, 0.0, 2.5e-7)] == [
        "0.0161",
        "0.0000333",
        "0.00",
        "2.50e−7",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(999, "999 bytes"), (1_000, "1 KB"), (25e6, "25.0 MB"), (5.03e9, "5.0 GB")],
)
def test_a_size_is_told_in_the_unit_that_reads_best(value: float, text: str) -> None:
    assert show.size(value) == text
