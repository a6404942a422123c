"""Where the bits of class maps go: every pixel is one event, and events add up to the maps."""

from __future__ import annotations

import numpy as np
import pytest

from lab.entropy.mapwriter import encode
from lab.entropy.spending import EVENTS, events, spending


def test_every_pixel_and_every_bit_is_told_once() -> None:
    time, rows, columns = np.ogrid[:4, :20, :28]
    labels = ((rows * 3 + columns * 2 + 2 * time) // 31 % 4).astype(np.uint8)
    found = spending(labels)
    coded = encode(labels)
    assert sum(pixels for _, pixels, _ in found.events) == sum(row[2] for row in found.pairs) == labels.size
    assert sum(bits for *_, bits in found.events) == pytest.approx(coded.ideal_bits, rel=1e-4)
    assert sum(row[3] for row in found.pairs) == pytest.approx(coded.ideal_bits, rel=1e-4)
    assert found.map_bits == pytest.approx(coded.map_bits, rel=1e-4)


def test_events_tell_a_still_border_from_a_moved_one_and_from_a_surprise() -> None:
    last = np.zeros((12, 12), np.uint8)
    last[6:] = 1
    plane = last.copy()
    plane[5, :6] = 1  # the border moves up by one on the left
    plane[1, 1] = 3  # something in the middle of nothing
    named = np.array(EVENTS)[events(plane, last)]
    assert named[5, 2] == "border, moved by one"
    assert named[6, 9] == "border, where it was"
    assert named[1, 1] == "flat, a surprise"
    assert named[3, 9] == "flat, the same again"
    assert set(np.array(EVENTS)[events(plane, None)].reshape(-1)) == {"first map"}
