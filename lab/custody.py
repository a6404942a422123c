"""Who produced what: digests of bytes and trees, and the environment of a measurement.

A digest alone is not an identity of a result: archive + runtime tree + axis is.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from lab.errors import CustodyError, DigestMismatch

CHUNK_BYTES = 1 << 20
RECORDED_PACKAGES = ("torch", "numpy", "numba", "av", "brotli", "safetensors")


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
