"""The gate: what must not be in a published tree, looked for in every file of it and inside every container.

The allowlist keeps private fields out; this looks at what was built all the same. A finding names file, line and rule,
never the text it found. Files found clean are remembered by the digest of their content, under the digest of the rules.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from lab import custody, shares
from lab.site import rules, sieve, tags, unpack
from lab.site.data import Content, read
from lab.store import write_atomic

SHORTEST_NAME = 4
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
    """

    declared: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    shipped: Mapping[str, str] = field(default_factory=dict)
    memory: Path | None = None

    def scan(self, tree: Mapping[str, Content]) -> list[Finding]:
        """Every hit in a tree, in order of its files; several processes look at a large one."""
        clean = self._remembered()
        rules.detectors()
        looked = shares.spread(lambda some: self._share(some, tree, clean), list(tree))
        fresh = {digest for _, digests in looked for digest in digests}
        if self.memory and fresh:
            write_atomic(self._memory_path(), "\n".join(sorted(clean | fresh)).encode())
        return [hit for hits, _ in looked for hit in hits]

    def _share(
        self, paths: Sequence[str], tree: Mapping[str, Content], clean: set[str]
    ) -> tuple[list[Finding], set[str]]:
        """(hits, digests of files that were found clean) of some files of a tree."""
        fresh: set[str] = set()
        hits = [Finding(path="(a file name)", line=1, rule=rule) for _, rule in self.lines("\n".join(paths), "path")]
        for path in paths:
            content = read(tree[path])
            if path in self.shipped and custody.sha256_bytes(content) == self.shipped[path]:
                continue
            _, dot, suffix = path.rpartition(".")
            digest = custody.sha256_bytes((dot + suffix).encode() + b"\0" + content)
            if digest in clean or digest in fresh:
                continue
            found = list(dict.fromkeys(self._file(path, content)))
            hits += found
            if not found:
                fresh.add(digest)
        return hits, fresh

    def lines(self, text: str, kind: str = "text") -> Iterator[tuple[int, str]]:
        """(number of the line from 1, rule) of every hit in a text."""
        for mark in self.declared:
            text = text.replace(mark, "") if mark else text
        names = tuple(n for n in self.names if len(n) >= SHORTEST_NAME and n.lower() not in COMMON_NAMES)
        yield from sieve.of(names).hits(text, kind)

    def _file(self, path: str, content: bytes) -> Iterator[Finding]:
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
        source = "".join(inspect.getsource(part) for part in (rules, sieve, tags, unpack, Gate))
        parts = (source, version("detect-secrets"), version("hyperscan"), repr(self.declared), repr(self.names))
        return self.memory / f"clean-{custody.sha256_bytes('|'.join(parts).encode())[:16]}.txt"
