"""Inflate a packet in a clean process that can see neither the source nor the networks.

Where the kernel allows namespaces, the process has no network, and empty folders are mounted over everything that it
must not see; the mounts are locked by a second user namespace, so that it cannot lift them. Elsewhere fewer walls
stand. Which ones stood is part of the result.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import archive, custody
from lab.errors import RawSizeMismatch, ReplayError

NAMES_FILE = "public_test_video_names.txt"
STEM = "0"
MEMORY_LIMIT_BYTES = 16 << 30
# Arguments: the folders to cover, then --, then the command. Status 97 says that a folder could not be covered.
_SCRIPT = """
while [ "$1" != -- ]; do
  mount -t tmpfs -o size=4k,mode=555 none "$1" || exit 97
  shift
done
shift
exec unshare --user --map-root-user --mount -- "$@"
"""


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
    probe = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "true"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def inflate(
    packet: Path, work: Path, *, raw_bytes: int, hidden: Sequence[Path], time_limit_s: float, python: str | None = None
) -> Inflation:
    """Run a packet's inflate.sh on its archive.zip, as a judge would, and check what it wrote.

    Args:
        packet: folder with archive.zip, inflate.sh and whatever inflate.sh needs.
        work: an empty folder; the raw file is left in `work/inflated`.
        raw_bytes: exact size that the raw file must have.
        hidden: folders that the process must not see; those inside the packet are refused.
        time_limit_s: wall clock.

    Raises:
        ReplayError: inflate.sh is missing, fails, runs too long or writes elsewhere.
        RawSizeMismatch: the raw file has the wrong size.
        PacketError: the archive is not a safe ZIP.
    """
    for name in ("archive.zip", "inflate.sh"):
        if not (packet / name).is_file():
            raise ReplayError(
                f"packet {packet.name}", expected=name, found="nothing there", fix="build the packet again"
            )
    seen, inflated, home = work / "archive", work / "inflated", work / "home"
    for folder in (seen, inflated, home):
        folder.mkdir(parents=True)
    for member in archive.read(packet / "archive.zip"):
        target = seen / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(member.content)
    (work / NAMES_FILE).write_text(f"{STEM}.mkv\n", encoding="utf-8")
    script = (packet / "inflate.sh").resolve()
    inner = ["bash", str(script), str(seen), str(inflated), str(work / NAMES_FILE)]
    command, walls = _walled(inner, hidden)
    environment = {
        "PATH": f"{Path(python or sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHON": python or sys.executable,
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "NUMBA_CACHE_DIR": str(home / "numba"),
    }
    started = time.monotonic()
    log = _run(command, environment, work, raw_bytes, time_limit_s)
    elapsed = time.monotonic() - started
    raw = inflated / f"{STEM}.raw"
    extra = sorted(path.name for path in inflated.iterdir() if path != raw)
    if extra:
        raise ReplayError("inflate.sh", expected=f"only {raw.name}", found=", ".join(extra)[:200])
    if not raw.is_file() or raw.is_symlink():
        raise ReplayError("inflate.sh", expected=raw.name, found="nothing there", fix=log[-400:])
    found = raw.stat().st_size
    if found != raw_bytes:
        raise RawSizeMismatch(
            raw.name, expected=f"{raw_bytes:,} bytes", found=f"{found:,}", fix="too few or too many frames"
        )
    return Inflation(
        raw=raw, raw_bytes=found, raw_sha256=custody.sha256_file(raw), elapsed_s=elapsed, walls=walls, log=log
    )


def _walled(inner: list[str], hidden: Sequence[Path]) -> tuple[list[str], tuple[str, ...]]:
    """The command inside the strongest walls that this kernel offers, and their names."""
    plain = ("own process", "own empty home", "emptied environment", "time limit", "memory limit", "file size limit")
    if not (sys.platform == "linux" and shutil.which("unshare") and namespaces()):
        return inner, plain
    real = {path.resolve() for path in hidden if path.is_dir()}
    folders = [str(path) for path in sorted(real) if not real & set(path.parents)]
    outer = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    command = [*outer, "bash", "-c", _SCRIPT, "walls", *folders, "--", *inner]
    return command, (*plain, "no network", "source hidden", "networks hidden", "ledger hidden")


def _run(command: list[str], environment: dict[str, str], work: Path, raw_bytes: int, time_limit_s: float) -> str:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
        ceiling = raw_bytes + (64 << 20)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ceiling, ceiling))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    log_path = work / "inflate.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=limit,
        )  # fmt: skip
        try:
            code = process.wait(timeout=time_limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            raise ReplayError(
                "inflate.sh", expected=f"an end within {time_limit_s:.0f} s", found="none; it was stopped"
            ) from None
        except BaseException:
            os.killpg(process.pid, 9)
            process.wait()
            raise
    with log_path.open("rb") as written:
        written.seek(max(0, log_path.stat().st_size - 4000))
        text = written.read().decode("utf-8", errors="replace")
    if code == 97:
        raise ReplayError("walls", expected="empty folders over what must stay hidden", found="a mount that failed")
    if code != 0:
        last = text.strip().splitlines()[-1:] or [""]
        raise ReplayError("inflate.sh", expected="exit status 0", found=f"{code}: {last[0][:300]}")
    return text


def scratch(parent: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """A folder of its own for one replay, removed afterwards."""
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="replay-", dir=parent)
