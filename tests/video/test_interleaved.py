"""One compiled pass over a decoded picture gives the bytes of the plain conversion."""

from __future__ import annotations

import numpy as np
import pytest

from lab.video import colour, interleaved


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("subsampled", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (7, 9), (8, 1), (1, 6), (129, 34), (874, 1164)])
def test_a_frame_equals_the_plain_conversion(size: tuple[int, int], subsampled: bool, full_range: bool) -> None:
    height, width = size
    rng = np.random.default_rng(height)
    y = rng.integers(0, 256, size, dtype=np.uint8)
    chroma = ((height + 1) // 2, (width + 1) // 2) if subsampled else size
    u, v = rng.integers(0, 256, (2, *chroma), dtype=np.uint8)
    expected = colour.to_uint8(colour.yuv_to_rgb(y, u, v, full_range=full_range))
    found = interleaved.frame(y, u, v, full_range=full_range)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8 and found.flags.c_contiguous


def test_every_colour_is_converted_alike() -> None:
    """Every pair of chroma levels, at every fifteenth level of luma."""
    u, v = (plane.astype(np.uint8) for plane in np.meshgrid(np.arange(256), np.arange(256)))
    for level in range(0, 256, 15):
        y = np.full((256, 256), level, np.uint8)
        expected = colour.to_uint8(colour.yuv_to_rgb(y, u, v))
        np.testing.assert_array_equal(interleaved.frame(y, u, v), expected)


@pytest.mark.parametrize("shapes", [((3, 3), (4, 4)), ((4, 4), (3, 3)), ((5, 4), (5, 4))])
def test_chroma_of_another_size_is_refused(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    u, v = (np.zeros(shape, np.uint8) for shape in shapes)
    with pytest.raises(ValueError, match="does not belong"):
        interleaved.frame(np.zeros((8, 8), np.uint8), u, v)
