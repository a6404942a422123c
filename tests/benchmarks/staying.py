"""A builder that stays, `build.py --watch`: how long it takes to start, and to build again after one record more."""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builders import BUILD, ROOT, quiet

TURNS = 5
_AGAIN = re.compile(r"(\d+) of (\d+) files changed, ([\d.]+) s")


def measured(ledgers: Path, out: Path, cache: Path, change: Callable[[int], None]) -> dict[str, Any]:
    """Seconds of its first build, start included, and of those after each of `TURNS` changes.

    Args:
        change: makes the change of this number.

    Raises:
        SystemExit: it refused to build.
    """
    command = [sys.executable, "-c", BUILD, str(cache), "--ledgers", str(ledgers), "--out", str(out), "--watch"]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=quiet()
    )
    try:
        _line(process, "watching")
        row: dict[str, Any] = {"again_seconds": round(time.perf_counter() - started, 3), "again_core_s": used(process)}
        took, until, changed = [], [], []
        for turn in range(TURNS):
            change(turn)
            written = time.perf_counter()
            found = _AGAIN.search(_line(process, "files changed"))
            assert found is not None
            until.append(time.perf_counter() - written)
            changed.append(int(found[1]))
            took.append(float(found[3]))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
    row |= {"stay_seconds": statistics.median(took), "stay_least_s": min(took), "stay_most_s": max(took)}
    row["stay_changed"] = round(statistics.median(changed))
    return row | {"stay_until_seconds": round(statistics.median(until), 3)}


def used(process: subprocess.Popen[str]) -> float:
    """Processor seconds of a process and of those that it waited for (Linux)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return round(sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK"), 3)


def _line(process: subprocess.Popen[str], mark: str) -> str:
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        if mark in line:
            return line
        if line.startswith("not published"):
            raise SystemExit(line)
        last = line
    raise SystemExit(f"the builder ended: {last}")
