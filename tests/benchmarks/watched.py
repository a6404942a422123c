"""A command with its time and memory, all its processes together.

Peak memory is the sum of what each process holds, its part of what it shares with others (Linux: PSS). It is looked at
so often that the looking takes at most a fortieth of one processor; where the system does not tell, it is that of the
largest process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

LEAST_PAUSE_S = 0.05


class Watch(threading.Thread):
    """Looks at the memory of a process and its children until told that it is over, and ends what takes too long."""

    def __init__(self, pid: int, limit_s: float | None) -> None:
        super().__init__(daemon=True)
        self.pid, self.limit_s = pid, limit_s
        self.peak_bytes, self.stopped = 0, False
        self.over = threading.Event()

    def run(self) -> None:
        """Look, and wait forty times as long as the look took."""
        began, pause = time.perf_counter(), LEAST_PAUSE_S
        while not self.over.wait(pause):
            looked = time.perf_counter()
            self.peak_bytes = max(self.peak_bytes, sum(map(held, family(self.pid))))
            pause = max(LEAST_PAUSE_S, 40 * (time.perf_counter() - looked))
            if self.limit_s is not None and looked - began > self.limit_s and not self.over.is_set():
                self.stopped = True
                os.killpg(self.pid, signal.SIGKILL)
                return


def family(pid: int) -> list[int]:
    """A process and everything that descends from it, as far as the system tells."""
    found = [pid]
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in path.read_text().split():
                    found += family(int(child))
    return found


def held(pid: int) -> int:
    """Bytes of memory of a process, its part of what it shares with others (Linux: PSS); 0 where nobody tells."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return 0


def spent(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str], limit_s: float | None = None
) -> dict[str, Any]:
    """Wall and processor seconds of a command with its processes, their memory at the peak, status and last line.

    Args:
        limit_s: seconds after which it is ended and counts as stopped.
    """
    with tempfile.TemporaryFile("w+") as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, stdout=said, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        watch = Watch(process.pid, limit_s)
        watch.start()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        watch.over.set()
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.join()
        said.seek(0)
        lines = said.read().strip().splitlines()
    largest = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "seconds": round(seconds, 3),
        "core_s": round(used.ru_utime + used.ru_stime, 3),
        "peak_bytes": watch.peak_bytes or largest,
        "status": process.returncode,
        "stopped": watch.stopped,
        "last": lines[-1] if lines else "",
    }
