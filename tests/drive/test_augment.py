"""The short ways of wear give what the whole sum gives."""

from __future__ import annotations

import numpy as np
import pytest

from lab.drive import augment


@pytest.mark.parametrize("sigma", [0.0, 0.7, 9.3])
@pytest.mark.parametrize("flipped", [False, True])
def test_tint_without_grey_or_noise_is_the_whole_sum_of_them(sigma: float, flipped: bool) -> None:
    rng = np.random.default_rng(3)
    pool = augment.noise_pool(2)
    frame = rng.integers(0, 256, (17, 23, 3), np.uint8)[:, :: -1 if flipped else 1]
    curves = augment.tone_curves(rng)
    short, whole = np.empty(frame.shape, np.uint8), np.empty(frame.shape, np.uint8)
    augment._tint(frame, curves, 0.0, pool, 40, 11, sigma, short)
    augment._tint_grey(frame, curves, 0.0, pool[40:, 11:], sigma, whole)
    assert np.array_equal(short, whole)
    tones = np.stack([curves[channel][frame[..., channel]] for channel in range(3)], -1)
    assert np.array_equal(tones, short) == (sigma == 0.0)
