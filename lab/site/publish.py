"""One swap: a built tree takes the place of the old one in a single step of the file system.

The tree is written to a folder beside the target and exchanged with it by name, so that a reader, or a build that was
killed, finds the old tree or the complete new one.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from lab import custody, store
from lab.errors import SiteError
from lab.site.data import Content, File, read

PREFIX = ".site-"
KEPT = ".gitignore"
MARKER = "_headers"
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def swap(tree: Mapping[str, Content], target: Path) -> None:
    """Put a tree in the place of `target`; on any failure the old one stands untouched.

    Raises:
        SiteError: the target is something else than a built site, or cannot be written.
    """
    with draft(target) as place:
        for name, content in tree.items():
            place(name, read(content))


@contextmanager
def draft(target: Path) -> Iterator[Callable[[str, bytes], None]]:
    """A folder beside `target` and what puts files into it; it takes the target's place where the block ends well.

    Files may be put from several processes. On any failure the old tree stands untouched and the draft is gone.

    Raises:
        SiteError: the target is something else than a built site, or cannot be written.
    """
    _refuse_foreign(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{target.name}-{os.getpid()}-", dir=target.parent))
    except OSError as error:
        raise _unwritable(target, error) from None
    try:
        yield partial(_put, target, str(folder), set())
        try:
            if (target / KEPT).is_file():
                shutil.copyfile(target / KEPT, folder / KEPT)
            folder.chmod(0o755)
            if target.exists():
                _exchange(folder, target)
            else:
                folder.rename(target)
        except OSError as error:
            raise _unwritable(target, error) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def differences(files: Mapping[str, File], target: Path) -> list[str]:
    """Names that a built tree and a folder do not share byte for byte, by their digests."""
    present = (
        {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
        if target.is_dir()
        else set()
    )
    present.discard(KEPT)
    same = present & files.keys()
    odd = {name for name in same if custody.sha256_file(target / name) != files[name].sha256}
    return sorted((present ^ files.keys()) | odd)


def _put(target: Path, folder: str, made: set[str], name: str, content: bytes) -> None:
    """Write one file; `made` are the folders that are known to be there."""
    path, how, mode = f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _mode(name)
    above = path[: path.rfind("/")]
    try:
        if above not in made:
            Path(above).mkdir(parents=True, exist_ok=True)
            made.add(above)
        handle = os.open(path, how, mode)
        try:
            os.fchmod(handle, mode)
            left = memoryview(content)
            while left:
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)
    except OSError as error:
        raise _unwritable(target, error) from None


def _mode(name: str) -> int:
    return 0o755 if name.endswith(".sh") else 0o644


def _refuse_foreign(target: Path) -> None:
    """An existing folder is replaced only if it is empty, a built site, or holds no more than a .gitignore."""
    if not target.exists():
        return
    names = {item.name for item in target.iterdir()} if target.is_dir() else {"(a file)"}
    if names - {KEPT} and MARKER not in names:
        raise SiteError(
            f"output {target.name}",
            expected="a new folder, or a site built before",
            found="other files",
            fix="choose another --out",
        )


def _sweep(target: Path) -> None:
    """Remove drafts that a killed build left behind; those of builds that go on carry the number of their process."""
    for left in target.parent.glob(f"{PREFIX}{target.name}-*"):
        owner = left.name.removeprefix(f"{PREFIX}{target.name}-").partition("-")[0]
        if not owner.isdigit() or int(owner) == os.getpid() or not store.alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


def _exchange(draft: Path, target: Path) -> None:
    """Exchange two names in one step, by the system's own call where there is one."""
    libc = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(draft), os.fsencode(target)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        if libc.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE) == 0:
            return
    elif hasattr(libc, "renamex_np") and libc.renamex_np(first, second, _RENAME_EXCHANGE) == 0:
        return
    aside = draft.with_name(f"{draft.name}-old")
    target.rename(aside)
    draft.rename(target)
    aside.rename(draft)


def _unwritable(target: Path, error: OSError) -> SiteError:
    return SiteError(
        f"output {target.name}",
        expected="to write the site",
        found=error.strerror or str(error),
        fix="the old one is untouched; check space and permissions",
    )
