"""Who produced what: digests of bytes and trees, and the environment of a measurement.

A digest alone is not an identity of a result: archive + runtime tree + axis is.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from lab.errors import CustodyError, DigestMismatch

CHUNK_BYTES = 1 << 20
MANIFEST = "manifest-sha256.txt"
TREE_LIMIT_FILES = 4096
TREE_LIMIT_BYTES = 1 << 30
RECORDED_PACKAGES = (
    "torch",
    "numpy",
    "numba",
    "av",
    "brotli",
    "safetensors",
    "timm",
    "segmentation-models-pytorch",
)


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, read in bounded memory.

    Raises:
        CustodyError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise CustodyError(path.name, expected="a readable file", found=error.strerror or str(error)) from None
    return digest.hexdigest()


def sha256_tree(files: Iterable[tuple[str, bytes]]) -> str:
    """One digest of many files: SHA-256 over sorted `digest  name` lines, as `sha256sum` prints them.

    Args:
        files: (relative POSIX name, content), any order.
    """
    lines = sorted(f"{sha256_bytes(content)}  {name}\n" for name, content in files)
    return sha256_bytes("".join(lines).encode())


def identity(archive_sha256: str, runtime_sha256: str, axis: str, *circumstances: str) -> str:
    """What names a result: archive, runtime and axis together, and the circumstances that a caller adds."""
    return sha256_bytes("\n".join((archive_sha256, runtime_sha256, axis, *circumstances)).encode())


def tree(root: Path) -> dict[str, Path]:
    """Every file below a folder by its POSIX name, in order of names; safe to read one after the other.

    Raises:
        CustodyError: a link, pipe, socket or device, a name that no manifest can carry, or more than a tree may hold.
    """
    found: dict[str, Path] = {}
    n_bytes = 0
    for place, folders, files in os.walk(root, onerror=_unreadable):
        for name in (*folders, *files):
            path = Path(place) / name
            relative = path.relative_to(root).as_posix()
            status = path.lstat()
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                raise CustodyError(f"{root.name}/{relative[:100]}", expected="a regular file", found="a link or device")
            if any(ord(character) < 32 or ord(character) in (92, 127) for character in relative):
                raise CustodyError(f"folder {root.name}", expected="plain names", found=repr(relative)[:100])
            if stat.S_ISREG(status.st_mode):
                found[relative] = path
                n_bytes += status.st_size
        if len(found) > TREE_LIMIT_FILES or n_bytes > TREE_LIMIT_BYTES:
            raise CustodyError(
                f"folder {root.name}",
                expected=f"at most {TREE_LIMIT_FILES:,} files of {TREE_LIMIT_BYTES:,} bytes in all",
                found="more",
            )
    return dict(sorted(found.items()))


def _unreadable(error: OSError) -> None:
    raise CustodyError("folder", expected="one that can be read", found=error.strerror or str(error)) from None


def seal(folder: Path) -> None:
    """Write the manifest over every other file of a folder; `sha256sum -c` reads it."""
    lines = [f"{sha256_file(path)}  {name}\n" for name, path in tree(folder).items() if name != MANIFEST]
    (folder / MANIFEST).write_text("".join(lines), encoding="utf-8")


def check_seal(folder: Path) -> int:
    """How many files agree with the manifest: all of them.

    Raises:
        CustodyError: no manifest, or an unlisted or missing file.
        DigestMismatch: a file differs.
    """
    where = f"folder {folder.name}"
    present = tree(folder)
    manifest = present.pop(MANIFEST, None)
    if manifest is None:
        raise CustodyError(where, expected=MANIFEST, found="nothing there")
    listed: dict[str, str] = {}
    for line in manifest.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if match is None or match[2] in listed:
            raise CustodyError(
                f"{where}, {MANIFEST}", expected="one line `digest  name` per file", found=repr(line)[:100]
            )
        listed[match[2]] = match[1]
    if set(present) != set(listed):
        odd = ", ".join(sorted(set(present) ^ set(listed)))
        raise CustodyError(where, expected="exactly the files of its manifest", found=odd[:300])
    for name, digest in sorted(listed.items()):
        found = sha256_file(present[name])
        if found != digest:
            raise DigestMismatch(f"file {name}", expected=f"sha256 {digest[:16]}…", found=f"{found[:16]}…")
    return len(listed)


def expect_file(path: Path, sha256: str, what: str) -> None:
    """Return only if a file is there and has this digest.

    Raises:
        CustodyError: the file is missing.
        DigestMismatch: its bytes are not those on record.
    """
    if not path.is_file():
        raise CustodyError(what, expected=f"the file {path.name}", found="nothing there", fix="restore or fetch it")
    found = sha256_file(path)
    if found != sha256:
        raise DigestMismatch(what, expected=f"sha256 {sha256[:16]}…", found=f"{found[:16]}…", fix="restore the file")


def commit(root: Path) -> tuple[str, bool]:
    """(commit, is the code dirty) of a checkout; ("unversioned", True) outside of one.

    Records and built pages do not make code dirty; the package, `build.py` and the pinned versions do.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    if not head:
        return "unversioned", True
    status = git("status", "--porcelain", "--", "lab", "build.py", "pyproject.toml", "constraints.txt")
    return head, status is None or bool(status)


def versions(packages: Iterable[str] = RECORDED_PACKAGES) -> dict[str, str]:
    """Exact versions of Python and of the packages that can move a measured value."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """The kind of machine, coarse enough to publish: system, architecture, processor vendor line, core count."""
    processor = platform.processor() or "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return {
        "system": sys.platform,
        "architecture": platform.machine(),
        "processor": processor,
        "cores": str(os.cpu_count() or 0),
    }
