"""The gate: what must not be in a published tree, looked for in every file of it and inside every container.

The allowlist keeps private fields out; this looks at what was built all the same. A finding names file, line and rule,
never the text it found. Files found clean are remembered by the digest of their content, under the digest of the rules.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from lab import custody
from lab.site import rules, tags, unpack
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
        memory: folder where digests of clean files are kept; None keeps nothing.
    """

    declared: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    memory: Path | None = None
    _seen: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict, repr=False)

    def scan(self, files: Iterable[tuple[str, bytes]]) -> list[Finding]:
        """Every hit in a tree of (path, content)."""
        clean = self._remembered()
        fresh: set[str] = set()
        hits: list[Finding] = []
        for path, content in files:
            digest = custody.sha256_bytes(Path(path).suffix.encode() + b"\0" + content)
            if digest in clean or digest in fresh:
                continue
            found = list(dict.fromkeys(self._file(path, content)))
            hits += found
            if not found:
                fresh.add(digest)
        if self.memory and fresh:
            write_atomic(self._memory_path(), "\n".join(sorted(clean | fresh)).encode())
        return hits

    def lines(self, text: str, kind: str = "text") -> Iterator[tuple[int, str]]:
        """(number of the line from 1, rule) of every hit in a text. Lines met before are not looked at again."""
        for mark in self.declared:
            text = text.replace(mark, "") if mark else text
        seen = self._seen.setdefault(kind, {})
        split = text.split("\n")
        unseen = list(dict.fromkeys(line for line in split if line not in seen))
        found: dict[int, list[str]] = {}
        for index, rule in rules.hits(unseen, kind):
            found.setdefault(index, []).append(rule)
        names = [name.lower() for name in self.names if len(name) >= SHORTEST_NAME and name.lower() not in COMMON_NAMES]
        for index, line in enumerate(unseen):
            if names and any(name in line.lower() for name in names):
                found.setdefault(index, []).append("name of the building machine or its user")
            seen[line] = tuple(dict.fromkeys(found.get(index, ())))
        for number, line in enumerate(split, 1):
            for rule in seen[line]:
                yield number, rule

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
        for number, rule in self.lines(path, "path"):
            yield Finding(path="(a file name)", line=number, rule=rule)

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
        source = "".join(inspect.getsource(part) for part in (rules, tags, unpack, Gate))
        parts = (source, version("detect-secrets"), repr(self.declared), repr(self.names))
        return self.memory / f"clean-{custody.sha256_bytes('|'.join(parts).encode())[:16]}.txt"
