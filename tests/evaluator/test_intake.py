"""Inputs made in one compiled pass are those of the differentiable preparation, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lab.evaluator import intake, preprocess

CAMERAS = [((874, 1164), (384, 512)), ((437, 582), (192, 256))]
OTHERS = [
    ((64, 80), (64, 80)),
    ((33, 41), (65, 81)),
    ((101, 131), (64, 83)),
    ((540, 960), (91, 250)),
    ((9, 7), (64, 65)),
]


def drawn(n_pairs: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Pairs of random pixels."""
    rng = np.random.default_rng(size[0])
    return list(rng.integers(0, 256, (n_pairs, 2, *size, 3), dtype=np.uint8))


@pytest.mark.parametrize(("size", "grid"), CAMERAS + OTHERS)
def test_both_inputs_equal_the_preparation_bit_for_bit(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert intake.exact(grid)
    pairs = drawn(2, size)
    whole = preprocess.to_planes(torch.from_numpy(np.stack(pairs)))
    seen, planes = intake.inputs(pairs, grid)
    assert torch.equal(seen, preprocess.segnet_input(whole, grid))
    assert torch.equal(planes, preprocess.posenet_input(whole, grid))


def test_on_small_grids_only_the_last_digit_differs() -> None:
    """torch takes another kernel there, which is why the evaluator does not use this one."""
    assert not intake.exact((64, 64)) and intake.exact((64, 65))
    pairs = drawn(2, (91, 121))
    expected = preprocess.segnet_input(preprocess.to_planes(torch.from_numpy(np.stack(pairs))), (40, 50))
    torch.testing.assert_close(intake.inputs(pairs, (40, 50))[0], expected, rtol=0, atol=1e-4)


def test_black_and_white_reach_the_ends_of_the_range() -> None:
    for level in (0, 255):
        seen, planes = intake.inputs([np.full((2, 90, 120, 3), level, np.uint8)], (40, 50))
        assert bool((seen == level).all())
        assert bool((planes[:, [0, 3, 6, 9]] == (level - 127.5) / 63.75).all())


def test_inputs_lie_in_memory_as_the_networks_read_them() -> None:
    for tensor in intake.inputs(drawn(3, (90, 120)), (40, 50)):
        assert tensor.is_contiguous(memory_format=torch.channels_last) and tensor.dtype == torch.float32


def test_a_pair_is_prepared_alike_alone_and_among_others() -> None:
    pairs = drawn(3, (90, 120))
    together = intake.inputs(pairs, (40, 50))
    for n, pair in enumerate(pairs):
        for whole, one in zip(together, intake.inputs([pair], (40, 50)), strict=True):
            assert torch.equal(whole[n : n + 1], one)
