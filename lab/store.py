"""Files that appear complete or not at all, whatever happens to the process that writes them.

A write goes to a temporary name beside its target, to the disk, and only then to its own name. What a killed process
leaves behind carries its process number and is swept by the next write; so whoever shares a folder shares a process
table, or writes under a lock as `Ledger.enter` does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from lab.errors import DuplicateRun


def write_once(path: Path, data: bytes) -> None:
    """Create a file complete or not at all, never over another: temporary file, fsync, link, fsync of the folder.

    Raises:
        DuplicateRun: the name is taken.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    handle, temporary = tempfile.mkstemp(prefix=f".append-{os.getpid()}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise DuplicateRun(
                f"record {path.stem}",
                expected="a free id",
                found="a record",
                fix="records are never edited; supersede it",
            ) from None
    finally:
        Path(temporary).unlink(missing_ok=True)
    _settle(path.parent)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that a reader sees the old bytes or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    handle, temporary = tempfile.mkstemp(prefix=f".write-{os.getpid()}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _settle(path.parent)


def replace_folder(path: Path, texts: Mapping[str, bytes]) -> None:
    """Write a folder of files that appears under its name only when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    draft = Path(tempfile.mkdtemp(prefix=f".write-{os.getpid()}-", dir=path.parent))
    try:
        draft.chmod(0o755)
        for name, content in texts.items():
            write_atomic(draft / name, content)
        if path.exists():  # left by a process that ended before its record was written
            shutil.rmtree(path)
        draft.rename(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """Bring a folder's names to the disk, so that they outlive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what processes that ended in the middle of a write left behind."""
    for path in (*folder.glob(".append-*-*"), *folder.glob(".write-*-*")):
        owner = path.name.split("-")[1]
        with suppress(ProcessLookupError, PermissionError, OSError):
            if owner.isdigit() and not Path(f"/proc/{owner}").exists() and not alive(int(owner)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def alive(process: int) -> bool:
    """Does a process of this number run?"""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
