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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
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
Put = Callable[[str, bytes], None]  # puts a file of a name into a tree


def swap(tree: Mapping[str, Content], target: Path) -> None:
    """Put a tree in the place of `target`; on any failure the old one stands untouched.

    Raises:
        SiteError: the target is something else than a built site, or cannot be written.
    """
    with draft(target) as place:
        for name, content in tree.items():
            place(name, read(content))


@contextmanager
def draft(target: Path) -> Iterator[Put]:
    """A folder beside `target` and what puts files into it; it takes the target's place where the block ends well.

    Files may be put from several processes. On any failure the old tree stands untouched and the draft is gone.

    Raises:
        SiteError: the target is something else than a built site, or cannot be written.
    """
    _refuse_foreign(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        folder = _beside(target)
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


class Twin:
    """A second tree beside `target`, kept equal to it by links, for a builder that stays: it puts what changed only.

    After a swap the old tree becomes the twin and is brought up to date, so that the next draft begins where the target
    stands. Files of the two are the same files on disk, and each is written as a new one, never over an old one. Where
    anything went wrong, or another builder put its tree there, there is no twin, and the next draft is a whole tree.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._folder: Path | None = None
        self._open: Path | None = None
        self._own: int | None = None  # which folder it is
        self._left: int | None = None  # which folder the target was when it was put there
        self._changed: set[str] = set()

    @property
    def stands(self) -> bool:
        """Is it equal to the target? Not once another hand was at one of them."""
        return (
            self._folder is not None
            and _which(self._folder) == self._own
            and self._left is not None
            and _which(self._target) == self._left
        )

    @property
    def begun(self) -> bool:
        """Did the open draft begin as the target stands, so that only differences need to be put?"""
        return self._open is not None

    def stand(self) -> None:
        """Make it from nothing where there is none; there is none afterwards where the disk refuses it."""
        if self.stands or self._left is None or _which(self._target) != self._left:
            return
        self.close()
        folder = _beside(self._target)
        try:
            shutil.copytree(self._target, folder, copy_function=_link, dirs_exist_ok=True)
            self._folder, self._own = folder, _which(folder)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def draft(self) -> Iterator[Put]:
        """As `draft` of this module; where it has `begun`, what is not put stays, and `changed` must be told the rest.

        Raises:
            SiteError: the target cannot be written.
        """
        if not self.stands:
            self.close()
            with draft(self._target) as put:
                yield put
            self._left = _which(self._target)
            return
        assert self._folder is not None
        folder, self._folder, self._changed, self._open = self._folder, None, set(), self._folder
        try:
            yield partial(_replace, self._target, folder)
            is_ours = _which(self._target) == self._left
            try:
                _exchange(folder, self._target)
            except OSError as error:
                raise _unwritable(self._target, error) from None
            self._left = _which(self._target)
            with suppress(OSError):
                for name in self._changed if is_ours else ():
                    _follow(self._target / name, folder / name)
                self._folder, self._own = (folder, _which(folder)) if is_ours else (None, None)
        finally:
            self._open = None
            if self._folder is None:
                shutil.rmtree(folder, ignore_errors=True)

    def changed(self, put: Iterable[str], gone: Iterable[str]) -> None:
        """Note what was put into the open draft, perhaps in other processes, and take from it what is gone."""
        if self._open is None:  # a whole tree, in which there is nothing else
            return
        for name in gone:
            _remove(self._target, self._open / name)
            self._changed.add(name)
        self._changed.update(put)

    def close(self) -> None:
        """Remove it."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


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
            _folder(above)
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


def _folder(path: str) -> None:
    """Make a folder, and those above it where they are not there, which is seldom."""
    try:
        os.mkdir(path)  # noqa: PTH102  there are ten thousand, and a Path is slower
    except OSError:
        Path(path).mkdir(parents=True, exist_ok=True)


def _replace(target: Path, folder: Path, name: str, content: bytes) -> None:
    """Put a file where perhaps one is, which may stand in the target as well."""
    _remove(target, folder / name)
    _put(target, str(folder), set(), name, content)


def _remove(target: Path, path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(target, error) from None


def _follow(source: Path, path: Path) -> None:
    """Let a name be the file that another tree has under it, or nothing where that has none."""
    path.unlink(missing_ok=True)
    if source.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _link(str(source), str(path))
    else:
        with suppress(OSError):
            path.parent.rmdir()  # where nothing else is in it


def _which(folder: Path) -> int | None:
    """What tells a folder from another one that takes its place; None where there is none."""
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def _link(source: str, path: str) -> None:
    """A second name of a file; a copy where the file system has no such thing."""
    try:
        os.link(source, path)
    except OSError:
        shutil.copy2(source, path)


def _beside(target: Path) -> Path:
    """A new folder beside the target; its name carries the number of this process."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{target.name}-{os.getpid()}-", dir=target.parent))


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
