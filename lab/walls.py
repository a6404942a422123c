"""Walls around a process that must not be trusted: what it may read, write and reach.

Three strengths, the first that the kernel offers is used:

    namespaces   a root of its own that holds only what is named, read-only but for the named folders; own process
                 table; no network device but a dead loopback; no privilege that could take a wall down
    landlock     the same lists of readable and writable paths, enforced by the kernel on the ordinary root; outgoing
                 TCP is refused where the kernel knows how
    none         a process of its own with limits, nothing more

This file is also the program that builds the walls from inside: it is started by path in a clean interpreter, so it
imports nothing of this package.

References: mount_namespaces(7), pivot_root(2), mount_setattr(2), landlock(7), capabilities(7).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

STRENGTHS = ("namespaces", "landlock", "none")
BASIC = ("own process", "own empty home", "emptied environment", "time limit", "memory limit", "file size limit")
_SEALED = ("source hidden", "networks hidden", "ledger hidden", "nothing else readable", "nothing else writable")
SCRATCH_BYTES = 1 << 29
PROCESS_LIMIT = 512
BROKEN = 97

# What a Python with compiled packages needs of an ordinary Linux.
_SYSTEM: tuple[str, ...] = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/sys/devices/system/cpu")
_SYSTEM += (
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
)
_DEVICES = ("null", "zero", "full", "random", "urandom")

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MS_REC = 1, 2, 4, 8, 32, 4096, 16384
_AT_RECURSIVE, _MNT_DETACH = 0x8000, 2
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_SYS_MOUNT_SETATTR, _SYS_LANDLOCK = 442, 444  # the same number on every architecture
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
_READ_FILE, _READ_DIR, _EXECUTE = 1 << 2, 1 << 3, 1 << 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a walled process gets. Every path is absolute.

    `read` and `write` are the folders and files it may see; `hide` lies inside them and is covered; `home` and
    `root` are empty folders of ours: its home, and where its root is put together.
    """

    read: tuple[str, ...]
    write: tuple[str, ...]
    hide: tuple[str, ...]
    home: str
    root: str


def strength() -> str:
    """The strongest walls that this kernel lets us build: one of `STRENGTHS`."""
    if sys.platform != "linux":
        return "none"
    if shutil.which("unshare") and os.uname().machine in _SYS_PIVOT_ROOT:
        probe = [*_UNSHARE, sys.executable, "-I", str(Path(__file__).resolve()), "probe"]
        try:
            if subprocess.run(probe, capture_output=True, timeout=20, check=False).returncode == 0:
                return "namespaces"
        except (OSError, subprocess.TimeoutExpired):
            pass
    return "landlock" if _landlock_version() >= 1 else "none"


def names(kind: str) -> tuple[str, ...]:
    """The walls of a strength, as they are recorded."""
    if kind == "namespaces":
        return (*BASIC, "no network", *_SEALED, "own process table", "no privileges")
    if kind == "landlock":
        return (*BASIC, *_SEALED, *(("no outgoing TCP",) if _landlock_version() >= 4 else ()), "no privileges")
    return BASIC


def command(plan: Plan, inner: Sequence[str], kind: str) -> list[str]:
    """The command line that runs `inner` inside walls of a strength."""
    if kind == "none":
        return list(inner)
    start = _UNSHARE if kind == "namespaces" else []
    script = str(Path(__file__).resolve())
    return [*start, sys.executable, "-I", script, kind, json.dumps(asdict(plan)), *inner]


def interpreter_paths(python: str | None = None) -> tuple[str, ...]:
    """Folders that a Python interpreter reads its library and packages from."""
    if python in (None, sys.executable):
        return tuple(sorted({sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix} - {"/", ""}))
    code = "import sys; print('\\n'.join({sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}))"
    done = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return tuple(sorted(path for path in done.stdout.splitlines() if path not in ("/", "")))


_UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork"]
_UNSHARE += ["--kill-child", "--"]


# ---- from here on: inside ----


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    arguments = [text.encode() for text in (source, target, kind)]
    _call(f"mount {target}", _libc().mount(*arguments, ctypes.c_ulong(flags), data.encode() or None))


def _restrict(target: str, *, devices: bool = False, writable: bool = False) -> None:
    """Make a mount and everything mounted below it read-only, without devices and borrowed identities.

    Flags that the kernel locked stay as they are.
    """
    wanted = (0 if writable else _MS_RDONLY) | _MS_NOSUID | (0 if devices else _MS_NODEV)
    attributes = (ctypes.c_uint64 * 4)(wanted, 0, 0, 0)
    given = (ctypes.byref(attributes), ctypes.c_size_t(ctypes.sizeof(attributes)))
    _call(f"restrict {target}", _libc().syscall(_SYS_MOUNT_SETATTR, -100, target.encode(), _AT_RECURSIVE, *given))


def _bind(root: str, path: str, *, writable: bool = False) -> None:
    """The same path inside the root: a link where it is one, else the thing itself."""
    inside = root + path
    if Path(path).is_symlink():
        Path(inside).parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(inside):
            Path(inside).symlink_to(Path(path).readlink())
        path = os.path.realpath(path)
        inside = root + path
    if not Path(path).exists() or (os.path.lexists(inside) and not writable):
        return
    if Path(path).is_dir():
        Path(inside).mkdir(parents=True, exist_ok=True)
    else:
        Path(inside).parent.mkdir(parents=True, exist_ok=True)
        Path(inside).touch()
    _mount(path, inside, "", _MS_BIND | _MS_REC)
    _restrict(inside, devices=path.startswith("/dev/"), writable=writable)


def _enter_namespaces(plan: Plan) -> None:
    """Put a root together from the plan's lists and step into it; the old one is gone for good."""
    root = plan.root
    _mount("none", root, "tmpfs", _MS_NOSUID, "size=16m,mode=755")
    for path in ("/tmp", "/dev/shm", plan.home):
        Path(root + path).mkdir(parents=True, exist_ok=True)
        _mount("none", root + path, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={SCRATCH_BYTES},mode=700")
    # Folders before the links into them, short paths first: what is bound never covers what was bound inside it.
    for path in sorted({*_SYSTEM, *plan.read}, key=lambda path: (Path(path).is_symlink(), len(path), path)):
        _bind(root, path)
    for name in _DEVICES:
        _bind(root, f"/dev/{name}")
    for path in plan.write:
        _bind(root, path, writable=True)
    for path in plan.hide:
        if Path(root + path).is_dir():
            _mount("none", root + path, "tmpfs", _MS_RDONLY, "size=4k,mode=555")
    Path(root + "/proc").mkdir()
    try:
        _mount("proc", root + "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    except OSError:  # a container that covers parts of /proc: its own view is the best there is
        _mount("/proc", root + "/proc", "", _MS_BIND | _MS_REC)
    _restrict(root + "/proc")
    old = root + "/.old"
    Path(old).mkdir()
    os.chdir(root)
    pivot = _SYS_PIVOT_ROOT[os.uname().machine]
    _call("pivot_root", _libc().syscall(pivot, b".", b".old"))
    _call("umount", _libc().umount2(b"/.old", _MNT_DETACH))
    Path("/.old").rmdir()
    _mount("none", "/", "", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID)
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESS_LIMIT, PROCESS_LIMIT))


def _drop_privileges() -> None:
    """No capability now, none by any program that is started, whatever its owner or mode."""
    libc = _libc()
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _call("capset", libc.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())))
    _call("no new privileges", libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _landlock_version() -> int:
    return int(_libc().syscall(_SYS_LANDLOCK, None, ctypes.c_size_t(0), 1)) if sys.platform == "linux" else 0


def without(path: str, hide: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Paths that cover `path` but for hidden folders inside it, each with whether it is only to be listed."""
    inside = [other for other in hide if other == path or other.startswith(path.rstrip("/") + "/")]
    if path in inside:
        return
    if not inside:
        yield path, False
        return
    yield path, True
    for child in sorted(Path(path).iterdir()):
        yield from without(str(child), inside)


def _enter_landlock(plan: Plan) -> None:
    """Let the kernel refuse every file access outside of the plan's lists, and outgoing TCP."""
    libc, version = _libc(), _landlock_version()
    everything = (1 << {1: 13, 2: 14}.get(version, 15)) - 1
    # File access, then TCP bind and connect, then abstract sockets and signals: the struct grew with the versions.
    handled = (ctypes.c_uint64 * 3)(everything, 0b11, 0b11)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _call("landlock", libc.syscall(_SYS_LANDLOCK, ctypes.byref(handled), ctypes.c_size_t(size), 0))

    def allow(path: str, access: int) -> None:
        if not Path(path).exists():
            return
        if not Path(path).is_dir():
            access &= ~_READ_DIR & (_EXECUTE | 1 << 1 | _READ_FILE | (1 << 14 if version >= 3 else 0))
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = access.to_bytes(8, sys.byteorder) + handle.to_bytes(4, sys.byteorder)
        _call(f"landlock {path}", libc.syscall(_SYS_LANDLOCK + 1, ruleset, 1, ctypes.c_char_p(rule), 0))
        os.close(handle)

    for path in (*_SYSTEM, "/proc", *(f"/dev/{name}" for name in _DEVICES), *plan.read):
        for part, listed in without(os.path.realpath(path), plan.hide) if Path(path).exists() else ():
            allow(part, _READ_DIR if listed else _READ_FILE | _READ_DIR | _EXECUTE)
    for path in ("/dev/null", plan.home, *plan.write):
        allow(path, everything)
    _drop_privileges()
    _call("landlock", libc.syscall(_SYS_LANDLOCK + 2, ruleset, 0))
    os.close(ruleset)


def main(arguments: Sequence[str]) -> int:
    """Build walls and run a command inside: `probe`, or KIND PLAN COMMAND...; 97 where a wall does not stand."""
    kind = arguments[0]
    try:
        if kind == "probe":
            _mount("none", "/tmp", "tmpfs", 0, "size=4k")
            _restrict("/tmp")
            return 0
        plan = Plan(**json.loads(arguments[1]))
        if kind == "namespaces":
            _enter_namespaces(plan)
            _drop_privileges()
        else:
            _enter_landlock(plan)
        os.chdir(plan.home)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        sys.stderr.write(f"walls: {error}\n")
        return BROKEN
    return os.execvp(arguments[2], list(arguments[2:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
