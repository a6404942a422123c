"""`lab mask`: files to bytes and back, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lab import cli


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Two maps of three labels as a file."""
    labels = np.zeros((2, 20, 30), np.uint8)
    labels[:, 8:, :17] = 1
    labels[1, 12:, 20:] = 2
    path = tmp_path / "maps.npy"
    np.save(path, labels)
    return path


def test_maps_come_back_through_files(maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coded, back = tmp_path / "maps.bin", tmp_path / "back.npy"
    assert cli.main(["mask", "encode", str(maps), str(coded), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["bytes"] == coded.stat().st_size
    assert summary["bits_per_pixel"] == 8 * summary["bytes"] / 1200
    assert 0 < summary["ideal_bits"] <= 8 * summary["bytes"]
    assert cli.main(["mask", "decode", str(coded), str(back)]) == 0
    assert np.array_equal(np.load(maps), np.load(back))
    assert f"{summary['bytes']:,} bytes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.zeros((2, 4, 4), np.int64), "int64 (2, 4, 4)"),
        (np.zeros((4, 4), np.uint8), "uint8 (4, 4)"),
        (np.arange(32, dtype=np.uint8).reshape(1, 4, 8), "at most 16 labels"),
    ],
)
def test_other_arrays_are_refused_and_leave_the_target_alone(
    labels: np.ndarray, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.npy", tmp_path / "out.bin"
    np.save(source, labels)
    target.write_bytes(b"mine")
    assert cli.main(["mask", "encode", str(source), str(target)]) == 1
    assert says in capsys.readouterr().err
    assert target.read_bytes() == b"mine"


def test_what_is_no_payload_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.bin"
    source.write_bytes(b"not a payload")
    assert cli.main(["mask", "decode", str(source), str(tmp_path / "out.npy")]) == 1
    assert "label map" in capsys.readouterr().err
    assert not (tmp_path / "out.npy").exists()
    assert cli.main(["mask", "encode", str(source), str(tmp_path / "out.bin")]) == 1
    assert "numpy.save" in capsys.readouterr().err
