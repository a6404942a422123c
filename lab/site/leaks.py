"""The gate: what must not be in a published tree, looked for in every file of it and inside every container.

The allowlist keeps private fields out; this looks at what was built all the same. A finding names file, line and rule,
never the text it found. Files found clean are remembered by the digest of their content, under the digest of the rules.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

from lab import custody
from lab.site import rules, sieve, tags, unpack
from lab.site.data import Content, read
from lab.store import write_atomic

SHORTEST_NAME = 4
_LINED = (".json", ".csv", ".txt")
_STEP = 1 << 14
COMMON_NAMES = frozenset(
    ("root", "user", "admin", "runner", "ubuntu", "debian", "localhost", "home", "build", "work", "test", "nobody")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One hit: where and which rule, not what."""

    path: str
    line: int
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """How a tree is looked at.

    Attributes:
        declared: exact texts that the author declared public, such as an address of his own.
        names: names of the building machine and of its user; common ones and very short ones are left out.
        shipped: digests by path of files that a package shipped, which are published byte for byte and not looked at:
            whoever installs the package has the same bytes.
        memory: folder where digests of clean files are kept; None keeps nothing.
        clean: marks of files that this gate let pass in this process.
    """

    declared: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    shipped: Mapping[str, str] = field(default_factory=dict)
    memory: Path | None = field(default=None, compare=False)
    clean: set[str] = field(default_factory=set, compare=False)

    def scan(self, tree: Mapping[str, Content]) -> list[Finding]:
        """Every hit in a tree, in order of its files."""
        watch = self.watch()
        hits = watch.names(list(tree))
        for path, content in tree.items():
            data = read(content)
            hits += watch.look(path, data, custody.sha256_bytes(data))
        self.clean.update(watch.fresh)
        self.remember(watch.fresh)
        return hits

    def watch(self) -> Watch:
        """A look at many files, with what is remembered of former ones; processes forked after it have one each."""
        self.ready()
        return Watch(gate=self, clean=self._remembered() | self.clean)

    def ready(self) -> sieve.Sieve:
        """What every look goes through, made once in a process: a fifth of a second."""
        return _sieve(self.names)

    def remember(self, clean: Set[str]) -> None:
        """Keep the marks of files that were found clean, beside those of former times."""
        if self.memory and not clean <= (known := self._remembered()):
            write_atomic(self._memory_path(), "\n".join(sorted(known | clean)).encode())

    def lines(self, text: str | bytes, kind: str = "text") -> Iterator[tuple[int, str]]:
        """(number of the line from 1, rule) of every hit in a text, or in one that is UTF-8 already."""
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        found, bare = list(self.ready().hits(data, kind)), data
        for mark in filter(None, self.declared if found else ()):
            bare = bare.replace(mark.encode(), b"")
        yield from found if bare == data else self.ready().hits(bare, kind)

    def file(self, path: str, content: bytes) -> Iterator[Finding]:
        """Every hit in one file, whatever is remembered of it."""
        for what in tags.found(content):
            yield Finding(path=path, line=1, rule=f"metadata: {what}")
        for part in unpack.parts(path, content):
            if part.refused:
                yield Finding(path=part.path, line=1, rule=part.refused)
            elif part.path.endswith((".png", ".jpg", ".jpeg", ".webp", ".mp4")):
                yield from (self._at(part.path, hit) for hit in self.lines(part.text, "media"))
            else:
                yield from (self._at(part.path, hit) for hit in self.lines(part.text, part.kind))

    @staticmethod
    def _at(path: str, hit: tuple[int, str]) -> Finding:
        return Finding(path=path, line=hit[0], rule=hit[1])

    def _remembered(self) -> set[str]:
        if self.memory is None:
            return set()
        try:
            return set(self._memory_path().read_text(encoding="ascii").split())
        except (OSError, UnicodeDecodeError):
            return set()

    def _memory_path(self) -> Path:
        assert self.memory is not None
        source = "".join(inspect.getsource(part) for part in (rules, sieve, tags, unpack, sys.modules[__name__]))
        parts = (source, version("detect-secrets"), version("hyperscan"), repr(self.declared), repr(self.names))
        return self.memory / f"clean-{custody.sha256_bytes('|'.join(parts).encode())[:16]}.txt"


@cache
def _sieve(names: tuple[str, ...]) -> sieve.Sieve:
    """The sieve that knows the names of a machine and its user, but for those that say nothing."""
    return sieve.Sieve([name for name in names if len(name) >= SHORTEST_NAME and name.lower() not in COMMON_NAMES])


@dataclass(slots=True)
class Watch:
    """Files looked at one by one. `clean` are marks of files that need no look, `fresh` those among them found here."""

    gate: Gate
    clean: set[str]
    fresh: set[str] = field(default_factory=set)

    def names(self, paths: Sequence[str]) -> list[Finding]:
        """Every hit in names of files."""
        found = self.gate.lines("\n".join(paths), "path")
        return [Finding(path="(a file name)", line=1, rule=rule) for _, rule in found]

    def taken(self) -> set[str]:
        """The marks that are fresh since this was asked last."""
        taken, self.fresh = self.fresh, set()
        return taken

    def look(self, path: str, content: bytes, digest: str, former: bytes = b"") -> list[Finding]:
        """Every hit in a file of this SHA-256, each once.

        Args:
            former: the file as it was when nothing was found in it. Of long lists of lines that both begin and end
                with, only what lies between is looked at: no rule sees further than the next line.
        """
        if self.gate.shipped.get(path) == digest:
            return []
        end = path[path.rfind(".") :] if "." in path else ""  # how a file is read depends on how its name ends
        mark = custody.sha256_bytes(f"{digest}{end}".encode())
        if mark in self.clean:
            return []
        skipped, part = _between(former, content) if former and path.endswith(_LINED) else (0, content)
        found = list(dict.fromkeys(self.gate.file(path, part)))
        found = [replace(hit, line=hit.line + skipped) for hit in found] if skipped else found
        if not found:
            self.fresh.add(mark)
            self.clean.add(mark)
        return found


def _between(former: bytes, content: bytes) -> tuple[int, bytes]:
    """(number of lines left out, the lines that differ with the one before and the one after) of two texts."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return 0, content
    start, end, most = 0, 0, min(len(former), len(content))
    while start < most and former[start : start + _STEP] == content[start : start + _STEP]:
        start += _STEP
    line = content.rfind(b"\n", 0, min(start, most)) + 1
    start = content.rfind(b"\n", 0, max(line - 1, 0)) + 1
    here, there = len(content), len(former)
    while (
        end + _STEP <= most - start
        and former[there - end - _STEP : there - end] == (content[here - end - _STEP : here - end])
    ):
        end += _STEP
    stop = content.find(b"\n", content.find(b"\n", here - end) + 1) if end else -1
    return content.count(b"\n", 0, start), content[start : stop if stop >= 0 else here]
