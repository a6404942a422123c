"""Raw files are exactly what the contract says, in both directions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab.errors import RawSizeMismatch, SampleCountMismatch, VideoError
from lab.video import raw

SIZE = (6, 9)


def pairs(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (2, *SIZE, 3), dtype=np.uint8) for _ in range(n)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, written = tmp_path / "0.raw", pairs(4)
    assert raw.write_pairs(path, written, n_pairs=4, size=SIZE) == path.stat().st_size == 4 * 2 * 6 * 9 * 3
    found = list(raw.read_pairs(path, n_pairs=4, size=SIZE))
    np.testing.assert_array_equal(np.stack(found), np.stack(written))


@pytest.mark.parametrize("change", [-1, 1, -162, 162, -324, 324])
def test_a_file_that_is_not_exactly_as_long_is_refused_before_the_first_pair(tmp_path: Path, change: int) -> None:
    path = tmp_path / "0.raw"
    path.write_bytes(bytes(raw.raw_bytes(4, SIZE) + change))
    with pytest.raises(RawSizeMismatch):
        raw.read_pairs(path, n_pairs=4, size=SIZE)


def test_a_partial_frame_is_named(tmp_path: Path) -> None:
    path = tmp_path / "0.raw"
    path.write_bytes(bytes(raw.raw_bytes(4, SIZE) - 5))
    with pytest.raises(RawSizeMismatch, match="7 frames and 157 bytes of a partial one"):
        raw.read_pairs(path, n_pairs=4, size=SIZE)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RawSizeMismatch, match="no file"):
        raw.read_pairs(tmp_path / "0.raw", n_pairs=4, size=SIZE)


@pytest.mark.parametrize("count", [3, 5])
def test_too_few_or_too_many_pairs_leave_nothing_behind(tmp_path: Path, count: int) -> None:
    with pytest.raises(SampleCountMismatch):
        raw.write_pairs(tmp_path / "0.raw", pairs(count), n_pairs=4, size=SIZE)
    assert not list(tmp_path.iterdir())


def test_a_pair_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="pair 0"):
        raw.write_pairs(tmp_path / "0.raw", [np.zeros((2, 6, 8, 3), np.uint8)], n_pairs=1, size=SIZE)
    assert not list(tmp_path.iterdir())
