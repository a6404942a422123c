"""Inflate a packet in a clean process that can see neither the source nor the networks, and look at what it wrote.

The walls are those of `lab.walls`, the strongest that the kernel offers; which ones stood is part of the result. A
packet is somebody else's program: its archive is unpacked by us, its time, memory, file sizes and disk are bounded,
and it leaves nothing behind but the raw file.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab import archive, custody, walls
from lab.errors import RawSizeMismatch, ReplayError

NAMES_FILE = "public_test_video_names.txt"
STEM = "0"
MEMORY_LIMIT_BYTES = 16 << 30
# What inflate.sh may write beside the raw file, all in all.
SLACK_BYTES = 64 << 20
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Inflation:
    """What came out of a packet. `raw` lies in the folder that the caller gave."""

    raw: Path
    raw_bytes: int
    raw_sha256: str
    elapsed_s: float
    walls: tuple[str, ...]
    log: str


def namespaces() -> bool:
    """Does this kernel let us build the strong walls?"""
    return walls.strength() == "namespaces"


def inflate(
    packet: Path,
    work: Path,
    *,
    raw_bytes: int,
    hidden: Sequence[Path],
    shown: Sequence[Path] = (),
    time_limit_s: float,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    python: str | None = None,
    strength: str | None = None,
) -> Inflation:
    """Run a packet's inflate.sh on its archive.zip, as a judge would, and check what it wrote.

    Args:
        packet: folder with archive.zip, inflate.sh and whatever inflate.sh needs.
        work: an empty folder; the raw file is left in `work/inflated`.
        raw_bytes: exact size that the raw file must have.
        hidden: folders that the process must not see; those inside the packet are refused.
        shown: files beside the packet that it may read as well.
        time_limit_s: wall clock.
        memory_limit_bytes: address space of each process.
        python: the interpreter that inflate.sh finds (default: the one that runs here).
        strength: walls of `walls.STRENGTHS` (default: the strongest at hand).

    Raises:
        ReplayError: inflate.sh is missing, fails, runs too long or writes elsewhere.
        RawSizeMismatch: the raw file has the wrong size.
        PacketError: the archive is not a safe ZIP.
    """
    packet, work = packet.resolve(), work.resolve()
    for name in ("archive.zip", "inflate.sh"):
        if not (packet / name).is_file() or (packet / name).is_symlink():
            raise ReplayError(
                f"packet {packet.name}", expected=f"a file {name}", found="none", fix="build the packet again"
            )
    seen, inflated, home, root = (work / name for name in ("archive", "inflated", "home", "root"))
    for folder in (seen, inflated, home, root):
        folder.mkdir(parents=True)
    for member in archive.read(packet / "archive.zip"):
        target = seen / member.name
        if member.name.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(member.content)
    names = work / NAMES_FILE
    names.write_text(f"{STEM}.mkv\n", encoding="utf-8")
    kind = strength or walls.strength()
    plan = walls.Plan(
        read=(*walls.interpreter_paths(python), str(packet), str(seen), str(names), *map(str, shown)),
        write=(str(inflated),),
        hide=_covered(packet, hidden),
        home=str(home),
        root=str(root),
    )
    inner = ["bash", str(packet / "inflate.sh"), str(seen), str(inflated), str(names)]
    started = time.monotonic()
    log = _run(
        walls.command(plan, inner, kind),
        _environment(home, python or sys.executable),
        work,
        raw_bytes=raw_bytes,
        time_limit_s=time_limit_s,
        memory_limit_bytes=memory_limit_bytes,
    )
    elapsed = time.monotonic() - started
    raw = _raw_file(inflated, raw_bytes, log)
    return Inflation(
        raw=raw,
        raw_bytes=raw_bytes,
        raw_sha256=custody.sha256_file(raw),
        elapsed_s=elapsed,
        walls=walls.names(kind),
        log=log,
    )


def _covered(packet: Path, hidden: Sequence[Path]) -> tuple[str, ...]:
    """The folders to hide, this package among them: the runtime must work without it."""
    folders = {path.resolve() for path in (*hidden, Path(__file__).parent) if path.is_dir()}
    for folder in folders:
        if folder == packet or packet in folder.parents:
            raise ReplayError(
                f"packet {packet.name}",
                expected="a packet that holds neither source nor networks",
                found=f"the folder {folder.name} inside it",
                fix="move the packet",
            )
    # Only what lies inside a readable folder needs a cover; a folder around the packet must not get one.
    return tuple(sorted(str(folder) for folder in folders if folder not in packet.parents))


def _environment(home: Path, python: str) -> dict[str, str]:
    return {
        "PATH": f"{Path(python).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHON": python,
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "NUMBA_CACHE_DIR": str(home / "numba"),
    }


def _raw_file(inflated: Path, raw_bytes: int, log: str) -> Path:
    """The raw file, alone in its folder, regular and of the exact size."""
    raw = inflated / f"{STEM}.raw"
    extra = sorted(path.name for path in inflated.iterdir() if path != raw)
    if extra:
        raise ReplayError("inflate.sh", expected=f"only {raw.name}", found=", ".join(extra)[:200])
    if raw.is_symlink() or not raw.is_file():
        raise ReplayError("inflate.sh", expected=raw.name, found="nothing there", fix=log[-400:])
    found = raw.stat().st_size
    if found != raw_bytes:
        raise RawSizeMismatch(
            raw.name, expected=f"{raw_bytes:,} bytes", found=f"{found:,}", fix="too few or too many frames"
        )
    return raw


def _run(
    command: list[str],
    environment: dict[str, str],
    work: Path,
    *,
    raw_bytes: int,
    time_limit_s: float,
    memory_limit_bytes: int,
) -> str:
    """Run to the end or to a limit; the tail of what it printed."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit_bytes, memory_limit_bytes))
        resource.setrlimit(resource.RLIMIT_FSIZE, (raw_bytes + SLACK_BYTES, raw_bytes + SLACK_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    log_path = work / "inflate.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=limit,
        )  # fmt: skip
        try:
            code = _watch(process, work, raw_bytes, time_limit_s)
        finally:
            # Whatever it left running ends here.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    with log_path.open("rb") as written:
        written.seek(max(0, log_path.stat().st_size - 4000))
        text = written.read().decode("utf-8", errors="replace")
    last = (text.strip().splitlines() or [""])[-1][:300]
    if code == walls.BROKEN and last.startswith("walls: "):
        raise ReplayError("walls", expected="every wall to stand", found=last.removeprefix("walls: "))
    if code != 0:
        raise ReplayError("inflate.sh", expected="exit status 0", found=f"{code}: {last}")
    return text


def _watch(process: subprocess.Popen[bytes], work: Path, raw_bytes: int, time_limit_s: float) -> int:
    """The exit status, or an error once time or disk is used up."""
    deadline = time.monotonic() + time_limit_s
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=_POLL_S)
        if time.monotonic() > deadline:
            raise _stopped(f"an end within {time_limit_s:.0f} s", "none")
        used = _disk_bytes(work)
        if used > 2 * raw_bytes + SLACK_BYTES:
            raise _stopped(f"{raw_bytes:,} bytes of output", f"{used:,}")


def _stopped(expected: str, found: str) -> ReplayError:
    return ReplayError("inflate.sh", expected=expected, found=f"{found}; it was stopped")


def _disk_bytes(work: Path) -> int:
    """Disk that a running process has taken so far, whatever it names its files."""
    total = 0
    for folder in (work / "inflated", work / "home"):
        for place, _, files in os.walk(folder, onerror=lambda _: None):
            for name in files:
                with suppress(OSError):
                    total += (Path(place) / name).lstat().st_blocks * 512
    log = work / "inflate.log"
    return total + (log.stat().st_size if log.exists() else 0)


def scratch(parent: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """A folder of its own for one replay, removed afterwards."""
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="replay-", dir=parent)
