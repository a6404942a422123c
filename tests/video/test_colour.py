"""Colour conversion agrees with a plain restatement of the contest's reader."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lab.video import colour


def plain_rgb(y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BT.601 limited range in double precision, one pixel after the other."""
    height, width = y.shape

    def chroma(plane: NDArray[np.uint8], row: int, column: int) -> float:
        at_row, at_column = (row + 0.5) / 2 - 0.5, (column + 0.5) / 2 - 0.5
        at_row, at_column = max(at_row, 0.0), max(at_column, 0.0)
        top, left = int(at_row), int(at_column)
        bottom, right = min(top + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
        down, across = at_row - top, at_column - left
        above = plane[top, left] * (1 - across) + plane[top, right] * across
        below = plane[bottom, left] * (1 - across) + plane[bottom, right] * across
        return float(above * (1 - down) + below * down)

    out = np.zeros((height, width, 3), dtype=np.uint8)
    for row in range(height):
        for column in range(width):
            luma = (float(y[row, column]) - 16) * 255 / 219
            blue = (chroma(u, row, column) - 128) * 255 / 224
            red = (chroma(v, row, column) - 128) * 255 / 224
            rgb = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
            out[row, column] = [round(min(max(value, 0.0), 255.0)) for value in rgb]
    return out


def planes(seed: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    half = ((height + 1) // 2, (width + 1) // 2)
    return [rng.integers(0, 256, size, dtype=np.uint8) for size in ((height, width), half, half)]


@pytest.mark.parametrize("size", [(16, 20), (17, 21), (2, 2)])
def test_reading_equals_a_plain_restatement(size: tuple[int, int]) -> None:
    y, u, v = planes(1, *size)
    ours = colour.to_uint8(colour.yuv_to_rgb(y, u, v))
    assert ours.shape == (*size, 3)
    np.testing.assert_array_equal(ours, plain_rgb(y, u, v))


def test_reading_equals_the_contests_order_of_operations_bit_for_bit() -> None:
    y, u, v = planes(2, 64, 96)
    up = [
        torch.nn.functional.interpolate(
            torch.from_numpy(c)[None, None].float(), size=(64, 96), mode="bilinear", align_corners=False
        )[0, 0]
        for c in (u, v)
    ]
    luma = (torch.from_numpy(y).float() - 16.0) * (255.0 / 219.0)
    blue, red = ((c - 128.0) * (255.0 / 224.0) for c in up)
    rgb = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
    theirs = torch.stack([c.clamp(0, 255) for c in rgb])
    assert torch.equal(colour.yuv_to_rgb(y, u, v), theirs)


def test_full_range_spans_black_to_white() -> None:
    grey = np.full((1, 2), 128, dtype=np.uint8)
    luma = np.array([[0, 255, 16, 235], [0, 255, 16, 235]], dtype=np.uint8)
    full = colour.to_uint8(colour.yuv_to_rgb(luma, grey, grey, full_range=True))
    limited = colour.to_uint8(colour.yuv_to_rgb(luma, grey, grey))
    assert full[0, :, 1].tolist() == [0, 255, 16, 235]
    assert limited[0, :, 1].tolist() == [0, 255, 0, 255]


def test_nearest_chroma_keeps_block_means_where_bilinear_does_not() -> None:
    _, u, _ = planes(3, 8, 8)
    full = colour.enlarge_chroma(torch.from_numpy(u).float()[None], (8, 8), nearest=True)
    assert torch.equal(torch.nn.functional.avg_pool2d(full, 2)[0], torch.from_numpy(u).float())


def test_chroma_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="does not belong"):
        colour.enlarge_chroma(torch.zeros(1, 5, 5), (8, 8))


def test_there_and_back_loses_only_rounding_on_even_colour() -> None:
    rng = np.random.default_rng(4)
    blocks = rng.integers(20, 236, (3, 12, 10)).astype(np.float32)
    picture = torch.from_numpy(blocks.repeat(2, axis=1).repeat(2, axis=2))
    back = colour.yuv_to_rgb(*colour.rgb_to_yuv420(picture), nearest=True)
    assert float((back - picture).abs().max()) <= 2.5


def test_odd_sides_cannot_be_subsampled() -> None:
    with pytest.raises(ValueError, match="even"):
        colour.rgb_to_yuv420(torch.zeros(3, 5, 4))


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (129, 34), (874, 1164)])
def test_a_frame_in_strips_equals_a_frame_at_once(size: tuple[int, int], full_range: bool) -> None:
    height, width = size
    rng = np.random.default_rng(height)
    y = rng.integers(0, 256, size, dtype=np.uint8)
    u, v = rng.integers(0, 256, (2, (height + 1) // 2, (width + 1) // 2), dtype=np.uint8)
    whole = colour.to_uint8(colour.yuv_to_rgb(y, u, v, full_range=full_range))
    np.testing.assert_array_equal(colour.yuv_to_frame(y, u, v, full_range=full_range), whole)
