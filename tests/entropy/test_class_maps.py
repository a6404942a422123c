"""Class maps: exact on every shape, bounded on noise, refused when damaged."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest

from lab.entropy import labelmap, mapwriter
from lab.errors import LabError


def blobs(shape: tuple[int, int, int], classes: int) -> np.ndarray:
    """Moving regions with straight and curved borders."""
    time, rows, columns = np.ogrid[: shape[0], : shape[1], : shape[2]]
    field = (rows * 3 + columns * 2 + 2 * time) // 17 + (rows * rows + columns * time) // 190
    return (field % classes).astype(np.uint8)


@pytest.mark.parametrize(
    ("shape", "classes"), [((1, 9, 13), 2), ((3, 24, 32), 5), ((2, 17, 40), 16), ((2, 1, 1), 3), ((4, 16, 16), 1)]
)
def test_maps_come_back_exactly(shape: tuple[int, int, int], classes: int) -> None:
    labels = blobs(shape, classes)
    coded = mapwriter.encode(labels)
    assert np.array_equal(labels, labelmap.decode(coded.payload))


def test_noise_costs_at_most_one_percent_over_its_entropy() -> None:
    labels = np.random.default_rng(3).integers(0, 4, (4, 64, 64)).astype(np.uint8)
    coded = mapwriter.encode(labels)
    assert np.array_equal(labels, labelmap.decode(coded.payload))
    assert len(coded.payload) <= 1.01 * labels.size * 2 / 8 + 16


def test_a_truncated_stream_is_refused() -> None:
    payload = mapwriter.encode(blobs((3, 24, 32), 5)).payload
    for end in range(len(payload)):
        with pytest.raises(LabError):
            labelmap.decode(payload[:end])


@pytest.mark.slow
def test_real_masks_are_smaller_than_any_published_coder_makes_them(shared: Path) -> None:
    """The first 75 frames of the contest's mask tensor; the best figure on record is 16,355 bytes."""
    raw = lzma.decompress((shared / "masks" / "contest_mask_000_149.u8.xz").read_bytes())
    labels = np.frombuffer(raw, np.uint8).reshape(150, 384, 512)[:75]
    payload = mapwriter.encode(labels).payload
    assert len(payload) <= 12_600
    assert np.array_equal(labels, labelmap.decode(payload))
