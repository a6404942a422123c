"""Laws of resampling: the aligned up-sampler is inverted bit for bit; kernels agree with independent restatements."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.evaluator import preprocess
from lab.video import resample

CAMERAS = [((192, 256), (437, 582)), ((384, 512), (874, 1164)), ((192, 256), (540, 960))]


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("grid", "frame"), CAMERAS)
def test_the_evaluators_resize_inverts_aligned_up_bit_for_bit(grid: tuple[int, int], frame: tuple[int, int]) -> None:
    small = noise(1, 2, 3, *grid)
    large = resample.aligned_up(small, frame)
    assert large.dtype == torch.uint8
    assert tuple(large.shape) == (2, 3, *frame)
    assert torch.equal(resample.resize(large, grid), small.float())
    assert torch.equal(resample.aligned_down(large, grid), small)
    # The same through the evaluator's own entrance: an interleaved frame as it lies in a raw file.
    interleaved = large.movedim(1, -1).contiguous()
    assert torch.equal(preprocess.resize(preprocess.to_planes(interleaved), grid), small.float())


@pytest.mark.parametrize(("grid", "frame"), CAMERAS[:1] + CAMERAS[2:])
def test_every_grey_level_survives_at_every_position(grid: tuple[int, int], frame: tuple[int, int]) -> None:
    # All four taps of a pixel hold one value, so constant frames of all 256 values prove the law for every content.
    for value in range(256):
        small = resample.resize(torch.full((1, *frame), value, dtype=torch.uint8), grid)
        assert torch.all(small == value), value


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 40), st.integers(4, 40), st.data())
def test_the_law_holds_after_rounding_at_every_scale_of_two_and_more(
    rows: int, columns: int, data: st.DataObject
) -> None:
    frame = (data.draw(st.integers(2 * rows, 9 * rows)), data.draw(st.integers(2 * columns, 9 * columns)))
    small = noise(rows * 41 + columns, 1, rows, columns)
    large = resample.aligned_up(small, frame)
    assert torch.equal(resample.aligned_down(large, (rows, columns)), small)
    # Two weights that should sum to one may miss it by a rounding: two units in the last place of 255.
    assert float((resample.resize(large, (rows, columns)) - small).abs().max()) <= 2 * 2.0**-16


def test_free_lines_lie_between_their_neighbours() -> None:
    small = noise(3, 1, 8, 8)
    large = resample.aligned_up(small, (37, 41))[0]
    owner = resample.aligned_owner(8, 37)
    column = np.flatnonzero(resample.aligned_owner(8, 41) >= 0)[0]
    for row in np.flatnonzero(owner < 0):
        before, after = owner[:row][owner[:row] >= 0], owner[row:][owner[row:] >= 0]
        ends = [int(small[0, side, 0]) for side in (*before[-1:], *after[:1])]
        assert min(ends) <= int(large[row, column]) <= max(ends)


def test_below_a_scale_of_two_aligned_up_refuses_and_says_why() -> None:
    with pytest.raises(ValueError, match="neighbours on the model grid read the same rows"):
        resample.aligned_up(noise(4, 3, 192, 256), (383, 582))


def test_aligned_up_takes_only_rounded_pixels() -> None:
    with pytest.raises(ValueError, match="uint8"):
        resample.aligned_up(torch.zeros(3, 8, 8), (16, 16))


def test_an_axis_of_equal_length_is_left_as_it_is() -> None:
    small = noise(5, 3, 16, 16)
    assert torch.equal(resample.aligned_up(small, (16, 16)), small)
    assert torch.equal(resample.resize(resample.aligned_up(small, (16, 40)), (16, 16)), small.float())


@pytest.mark.parametrize("size", [(437, 582), (40, 50), (96, 100)])
def test_bicubic_is_torchs_when_enlarging(size: tuple[int, int]) -> None:
    x = noise(6, 3, 40, 50)
    theirs = F.interpolate(x[None].float(), size=size, mode="bicubic", align_corners=False)[0]
    assert torch.allclose(resample.bicubic(x, size), theirs, atol=2e-2)


@pytest.mark.parametrize("size", [(19, 22), (150, 171)])
def test_lanczos_is_that_of_an_independent_library(size: tuple[int, int]) -> None:
    image = pytest.importorskip("PIL.Image")
    x = noise(7, 1, 60, 70).float()
    picture = image.fromarray(x[0].numpy(), mode=None)
    theirs = np.asarray(picture.resize((size[1], size[0]), image.Resampling.LANCZOS))
    ours = resample.lanczos(x, size)[0].numpy()
    inner = (slice(8, -8), slice(8, -8)) if size[0] > 60 else (slice(3, -3), slice(3, -3))
    # Borders differ by choice: here the edge is repeated, there the kernel is cut off.
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=0.02)


def test_area_keeps_the_mean_and_repeats_pixels_when_enlarging() -> None:
    x = noise(8, 3, 30, 42)
    assert torch.allclose(resample.area(x, (10, 14)), F.avg_pool2d(x.float(), 3), atol=1e-3)
    assert float(resample.area(x, (7, 11)).mean()) == pytest.approx(float(x.float().mean()), abs=1e-3)
    assert torch.equal(resample.area(x, (60, 84)), x.float().repeat_interleave(2, 1).repeat_interleave(2, 2))


@pytest.mark.parametrize("kernel", [resample.bicubic, resample.lanczos, resample.area, resample.resize])
def test_a_flat_picture_stays_flat(kernel: object) -> None:
    flat = torch.full((2, 3, 20, 30), 77, dtype=torch.uint8)
    for size in ((7, 9), (55, 81)):
        assert torch.allclose(kernel(flat, size), torch.tensor(77.0), atol=1e-3)  # type: ignore[operator]
