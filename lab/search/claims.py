"""Claims: of all processes that want to do one thing, on every machine that shares a folder, one does it at a time.

A claim is a lock that the kernel lets go of when its process ends, however it ends; who waited for it then looks
whether the thing is done already.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold the claim of this path; its file is there while somebody holds it or waits, and after a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(handle, path):
                yield
                path.unlink(missing_ok=True)
                return
        finally:
            os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the locked file still has its name: its former holder removes it before letting go."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
