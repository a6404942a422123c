"""One swap: a built tree takes the place of the old one in a single step of the file system.

The tree is written to a folder beside the target and exchanged with it by name, so that a reader, or a build that was
killed, finds the old tree or the complete new one.
"""

from __future__ import annotations

import ctypes
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import shares
from lab.errors import SiteError
from lab.site.data import Content, read

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
    _refuse_foreign(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        draft = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{target.name}-", dir=target.parent))
    except OSError as error:
        raise _unwritable(target, error) from None
    try:
        shares.spread(lambda some: _write(some, tree, str(draft)), list(tree))
        if (target / KEPT).is_file():
            shutil.copyfile(target / KEPT, draft / KEPT)
        draft.chmod(0o755)
        if target.exists():
            _exchange(draft, target)
        else:
            draft.rename(target)
    except OSError as error:
        raise _unwritable(target, error) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def differences(tree: Mapping[str, Content], target: Path) -> list[str]:
    """Names that a built tree and a folder do not share byte for byte."""
    present = (
        {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
        if target.is_dir()
        else set()
    )
    present.discard(KEPT)
    odd = present ^ set(tree)
    same = present & set(tree)
    return sorted(odd | {name for name in same if (target / name).read_bytes() != read(tree[name])})


def _write(names: Sequence[str], tree: Mapping[str, Content], draft: str) -> None:
    folders: set[str] = set()
    for name in names:
        path = f"{draft}/{name}"
        folder = path[: path.rindex("/")]
        if folder not in folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
            folders.add(folder)
        content = tree[name]
        if isinstance(content, bytes):
            with io.FileIO(path, "x") as stream:
                os.fchmod(stream.fileno(), _mode(name))
                left = memoryview(content)
                while left:
                    left = left[stream.write(left) :]
        else:
            shutil.copyfile(content, path)
            Path(path).chmod(_mode(name))


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
    """Remove drafts that a killed build left behind."""
    for left in target.parent.glob(f"{PREFIX}{target.name}-*"):
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
