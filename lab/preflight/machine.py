"""Preflight of the machine: everything that a run takes for granted of Python, packages, disk, memory and kernel."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import custody, walls
from lab.preflight.subject import Subject, refuse

ENCODERS = frozenset({"libx265", "libsvtav1", "libx264"})
DECODERS = frozenset({"libdav1d", "hevc", "h264"})
TOOLS = frozenset({"bash", "sha256sum"})
EARLIEST = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What was observed of the machine."""

    python: tuple[int, int]
    required: tuple[str, ...]
    installed: frozenset[str]
    torch_pinned: str
    torch_version: str
    threads: int
    exact: bool
    loop_result: int
    encoders: frozenset[str]
    decoders: frozenset[str]
    tools: frozenset[str]
    scratch_free_bytes: int
    cache_free_bytes: int
    memory_free_bytes: int
    open_files: int
    walls: tuple[str, ...]
    cuda: bool
    now: datetime
    commit: str


def observe(subject: Subject) -> Machine:
    """The machine as it is now."""
    import av
    import torch

    required = _required(subject.root)
    subject.cache.mkdir(parents=True, exist_ok=True)
    pinned = re.search(r"^torch==(\S+)$", (subject.root / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return Machine(
        python=sys.version_info[:2],
        required=required,
        installed=frozenset(name for name in required if _version(name)),
        torch_pinned=pinned.group(1) if pinned else "",
        torch_version=torch.__version__.partition("+")[0],
        threads=torch.get_num_threads(),
        exact=torch.get_float32_matmul_precision() == "highest" and not torch.backends.cuda.matmul.allow_tf32,
        loop_result=_loop(),
        encoders=ENCODERS & set(av.codecs_available),
        decoders=DECODERS & set(av.codecs_available),
        tools=frozenset(name for name in TOOLS if shutil.which(name)),
        scratch_free_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        cache_free_bytes=shutil.disk_usage(subject.cache).free,
        memory_free_bytes=_memory(),
        open_files=_open_files(),
        walls=walls.names(walls.strength()),
        cuda=torch.cuda.is_available(),
        now=datetime.now(UTC),
        commit=custody.commit(subject.root)[0],
    )


def _required(root: Path) -> tuple[str, ...]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return tuple(sorted(re.split(r"[<>=!~\[; ]", line, maxsplit=1)[0] for line in project["dependencies"]))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _loop() -> int:
    """1 + 4 + ... + 10000 by a compiled loop."""
    import numba

    compiled: Any = numba.njit(_squares)
    return int(compiled(100))


def _squares(count: int) -> int:
    total = 0
    for value in range(count + 1):
        total += value * value
    return total


def _memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not say how much memory is free")


def _open_files() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def python_is_recent(subject: Subject) -> str:
    """Python is 3.11 or newer."""
    if subject.machine.python < (3, 11):
        raise refuse(
            "Python", expected="3.11 or newer", found=subject.machine.python, fix="make setup with another one"
        )
    return "{}.{}".format(*subject.machine.python)


def packages_are_installed(subject: Subject) -> str:
    """Every package that the project names is installed."""
    missing = sorted(set(subject.machine.required) - subject.machine.installed)
    if missing or not subject.machine.required:
        raise refuse(
            "packages", expected="all that pyproject.toml names", found="no " + ", ".join(missing), fix="make setup"
        )
    return f"{len(subject.machine.installed)} packages"


def torch_is_the_pinned_one(subject: Subject) -> str:
    """torch is the version that constraints.txt pins."""
    pinned, found = subject.machine.torch_pinned, subject.machine.torch_version
    if not pinned or pinned != found:
        raise refuse("torch", expected=pinned or "a pin in constraints.txt", found=found, fix="make setup")
    return found


def one_thread_per_process(subject: Subject) -> str:
    """torch works with one thread per process."""
    if subject.machine.threads != 1:
        raise refuse("torch threads", expected="1", found=subject.machine.threads, fix="OMP_NUM_THREADS=1")
    return "1 thread"


def arithmetic_is_exact(subject: Subject) -> str:
    """No reduced-precision mode is on."""
    if not subject.machine.exact:
        raise refuse("matrix products", expected="full fp32", found="a reduced-precision mode")
    return "fp32, highest precision"


def loops_compile(subject: Subject) -> str:
    """numba compiles a loop, and the loop is right."""
    if subject.machine.loop_result != 338_350:
        raise refuse("a compiled loop", expected="338350", found=subject.machine.loop_result, fix="reinstall numba")
    return "compiled"


def encoders_are_here(subject: Subject) -> str:
    """The video encoders are part of the installed PyAV."""
    missing = sorted(ENCODERS - subject.machine.encoders)
    if missing:
        raise refuse(
            "encoders", expected=", ".join(sorted(ENCODERS)), found="no " + ", ".join(missing), fix="the av wheel"
        )
    return ", ".join(sorted(subject.machine.encoders))


def decoders_are_here(subject: Subject) -> str:
    """The video decoders are part of the installed PyAV."""
    missing = sorted(DECODERS - subject.machine.decoders)
    if missing:
        raise refuse(
            "decoders", expected=", ".join(sorted(DECODERS)), found="no " + ", ".join(missing), fix="the av wheel"
        )
    return ", ".join(sorted(subject.machine.decoders))


def tools_are_here(subject: Subject) -> str:
    """The tools that a packet calls are installed."""
    missing = sorted(TOOLS - subject.machine.tools)
    if missing:
        raise refuse("tools", expected=", ".join(sorted(TOOLS)), found="no " + ", ".join(missing))
    return ", ".join(sorted(subject.machine.tools))


def disk_holds_the_raw_frames(subject: Subject) -> str:
    """The temporary folder holds raw frames twice, with room to spare."""
    needed = 2 * subject.contract.raw_bytes + (1 << 30)
    if subject.machine.scratch_free_bytes < needed:
        raise refuse(
            "temporary folder", expected=f"{needed:,} bytes free", found=f"{subject.machine.scratch_free_bytes:,}"
        )
    return f"{subject.machine.scratch_free_bytes:,} bytes free"


def disk_holds_the_cache(subject: Subject) -> str:
    """The cache holds reference answers and checkpoints."""
    height, width = subject.contract.model_size
    needed = subject.contract.n_pairs * height * width + (1 << 30)
    if subject.machine.cache_free_bytes < needed:
        raise refuse("cache", expected=f"{needed:,} bytes free", found=f"{subject.machine.cache_free_bytes:,}")
    return f"{subject.machine.cache_free_bytes:,} bytes free"


def memory_holds_a_batch(subject: Subject) -> str:
    """Memory holds a batch of frames as the networks see them."""
    height, width = subject.contract.frame_size
    needed = 20 * height * width * 3 * 4 * 4 + (1 << 30)
    if subject.machine.memory_free_bytes < needed:
        raise refuse("memory", expected=f"{needed:,} bytes free", found=f"{subject.machine.memory_free_bytes:,}")
    return f"{subject.machine.memory_free_bytes:,} bytes free"


def files_can_be_opened(subject: Subject) -> str:
    """The limit on open files is that of an ordinary system."""
    if subject.machine.open_files < 256:
        raise refuse("open files", expected="256 or more", found=subject.machine.open_files, fix="ulimit -n 1024")
    return f"{subject.machine.open_files:,}"


def walls_stand(subject: Subject) -> str:
    """The kernel lets an inflating process be walled in."""
    if "source hidden" not in subject.machine.walls:
        raise refuse(
            "walls", expected="namespaces or landlock", found="neither", fix="results cannot rise above grade A"
        )
    return ", ".join(subject.machine.walls)


def device_is_there(subject: Subject) -> str:
    """The device of the axis is present."""
    if subject.axis not in ("cpu", "cuda"):
        raise refuse("axis", expected="cpu or cuda", found=subject.axis)
    if subject.axis == "cuda" and not subject.machine.cuda:
        raise refuse("axis cuda", expected="a CUDA device", found="none", fix="--axis cpu")
    return subject.axis


def clock_is_plausible(subject: Subject) -> str:
    """The clock does not stand before the newest record."""
    newest = max((str(run.data["recorded_at"]) for run in subject.runs), default="")
    now = subject.machine.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    if subject.machine.now < EARLIEST or now < newest:
        raise refuse("clock", expected=f"a time after {newest or EARLIEST.isoformat()}", found=now, fix="set the clock")
    return now


def commit_is_known(subject: Subject) -> str:
    """The checkout has a commit that a record can name."""
    if subject.machine.commit in ("", "unversioned"):
        raise refuse("checkout", expected="a commit", found=subject.machine.commit, fix="run from a clone")
    return subject.machine.commit[:12]


def scratch_can_be_written(subject: Subject) -> str:
    """The folder for checkpoints can be written."""
    return _writable(subject.work)


def cache_can_be_written(subject: Subject) -> str:
    """The cache can be written."""
    return _writable(subject.cache)


def _writable(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise refuse(f"folder {folder.name}", expected="one that can be written", found=error.strerror) from None
    return "written and removed"


def files_can_be_linked(subject: Subject) -> str:
    """The ledger's file system has hard links, which make appending all or nothing."""
    with tempfile.TemporaryDirectory(prefix=".preflight-", dir=subject.ledgers) as folder:
        first, second = Path(folder) / "first", Path(folder) / "second"
        first.write_bytes(b"x")
        try:
            os.link(first, second)
        except OSError as error:
            raise refuse("ledger", expected="a file system with hard links", found=error.strerror) from None
        return f"{second.stat().st_nlink} links"


def files_can_be_locked(subject: Subject) -> str:
    """The ledger's file system has locks, which keep writers apart."""
    with tempfile.NamedTemporaryFile(prefix=".preflight-", dir=subject.ledgers) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise refuse("ledger", expected="a file system with locks", found=error.strerror) from None
    return "locked and let go"


CHECKS = (
    python_is_recent,
    packages_are_installed,
    torch_is_the_pinned_one,
    one_thread_per_process,
    arithmetic_is_exact,
    loops_compile,
    encoders_are_here,
    decoders_are_here,
    tools_are_here,
    disk_holds_the_raw_frames,
    disk_holds_the_cache,
    memory_holds_a_batch,
    files_can_be_opened,
    walls_stand,
    device_is_there,
    clock_is_plausible,
    commit_is_known,
    scratch_can_be_written,
    cache_can_be_written,
    files_can_be_linked,
    files_can_be_locked,
)
