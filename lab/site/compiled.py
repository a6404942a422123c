"""Templates and texts as code, kept from one build to the next: compiling them takes a second, reading them nothing.

As Python does with its own modules: what is kept is the compiler's answer to a text, never anything of a ledger. It is
asked for by the text's digest; code of another state of this package, of another jinja2 or another Python is not found.
"""

from __future__ import annotations

import importlib.util
import marshal
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from types import CodeType

import jinja2
from jinja2.bccache import Bucket

from lab import custody
from lab.store import write_atomic

LIMIT = 1 << 10  # codes; a folder that was used for years starts again
_known: dict[str, CodeType] = {}
_unkept: list[str] = []


def code(make: Callable[[], CodeType], *of: str) -> CodeType:
    """What `make` gives, once in the life of a process, or as it was read; `of` decides it."""
    key = _key(of)
    if key not in _known:
        _put(key, make())
    return _known[key]


class Templates(jinja2.BytecodeCache):
    """The same for templates, as jinja2 asks for them: by their name and the digest of their text."""

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """A template by its name alone: where its folder lies changes nothing."""
        return name

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give a template its code, where the same text was compiled before."""
        bucket.code = _known.get(_key((bucket.key, bucket.checksum)))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of a template."""
        assert bucket.code is not None
        _put(_key((bucket.key, bucket.checksum)), bucket.code)


def load(folder: Path) -> None:
    """Know what an earlier process kept in a folder; nothing, where that cannot be read or this one knows something."""
    if _known:
        return
    try:
        kept: dict[str, CodeType] = marshal.loads(_path(folder).read_bytes())
    except (OSError, EOFError, ValueError, TypeError):
        return
    if len(kept) <= LIMIT:
        _known.update(kept)


def keep(folder: Path) -> None:
    """Let later processes know what this one has compiled, where the disk takes it; what others left gives way."""
    if not _unkept:
        return
    path = _path(folder)
    with suppress(OSError):
        write_atomic(path, marshal.dumps(_known))
        for other in set(folder.glob("code-*.bin")) - {path}:
            other.unlink()
    _unkept.clear()


def _put(key: str, made: CodeType) -> None:
    _known[key] = made
    _unkept.append(key)


def _key(of: tuple[str, ...]) -> str:
    return custody.sha256_bytes("\n".join(of).encode("utf-8", "surrogatepass"))


def _path(folder: Path) -> Path:
    """Where code lies that this package, this jinja2 and this Python make: a filter of a constant is called early."""
    package = [(path.name, path.read_bytes()) for path in Path(__file__).parent.glob("*.py")]
    state = (custody.sha256_tree(package), version("jinja2"), importlib.util.MAGIC_NUMBER.hex())
    return folder / f"code-{_key(state)[:24]}.bin"
