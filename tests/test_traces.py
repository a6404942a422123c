"""What training leaves is handed on as it lies; nothing is made up and nothing is in the way."""

from __future__ import annotations

from pathlib import Path

from lab import traces


def test_traces_are_gathered_under_their_names_as_evidence(tmp_path: Path) -> None:
    assert traces.gather(tmp_path / "nothing") == {}
    (tmp_path / "behind").mkdir()
    for place in ("stages.txt", "behind/training.csv", "checkpoint.safetensors", "sensitivity-segnet.png"):
        (tmp_path / place).write_bytes(place.encode())
    assert traces.gather(tmp_path) == {
        "stages.txt": b"stages.txt",
        "training-behind.csv": b"behind/training.csv",
        "sensitivity-segnet.png": b"sensitivity-segnet.png",
    }


def test_a_log_that_is_larger_than_evidence_may_be_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "training.csv").write_bytes(bytes(traces.LIMIT_BYTES + 1))
    assert traces.gather(tmp_path) == {}
