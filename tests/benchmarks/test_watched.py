"""What the benchmarks say of time and memory counts every process of a command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import watched

HOLD = "import os, time; os.fork(); held = bytearray(b'x') * 60_000_000; time.sleep(1)"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory of other processes")
def test_memory_is_the_sum_over_processes_and_not_that_of_the_largest(tmp_path: Path) -> None:
    found = watched.spent([sys.executable, "-c", HOLD], tmp_path, os.environ)
    assert found["status"] == 0 and not found["stopped"]
    assert 120e6 < found["peak_bytes"] < 200e6


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    found = watched.spent(
        [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"], tmp_path, os.environ, 0.3
    )
    assert found["stopped"] and found["status"] < 0 and found["last"] == "1"
    assert found["seconds"] < 30
