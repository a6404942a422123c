"""What a builder that stays knows of the tree that it checked last, so that it looks again at what changed only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.site.data import Content, File, Late, Seal
from lab.site.kept import Look, look
from lab.site.leaks import Gate

Away = tuple[str, str, str]  # link, path and anchor of a link into another page


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in a page: its ids, how many links it has, and those that lead to an anchor of another page."""

    ids: frozenset[str]
    links: int
    away: tuple[Away, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """A tree that was checked and published, and what was found in it; empty before the first one.

    `gate`: how it was looked at for leaks; `leads`: every path that a page leads to.
    """

    gate: Gate | None = None

    tree: Mapping[str, Content | Seal] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    pages: Mapping[str, Seen] = field(default_factory=dict)
    leads: frozenset[str] = frozenset()
    signs: Mapping[str, Look | None] = field(default_factory=dict)

    def unchanged(self, tree: Mapping[str, Content | Seal], signs: Mapping[str, Look | None], gate: Gate) -> list[str]:
        """The files of a new tree that are as they were; none where a file is gone that a page may lead to.

        Args:
            gate: how leaks are looked for now: what another one let pass is looked at again.
        """
        if gate != self.gate or any(name in self.leads for name in self.files.keys() - tree.keys()):
            return []
        found = []
        for name, content in tree.items():
            before = self.tree.get(name)
            if type(content) is Late and type(before) is Late:  # most are, and most are the same one
                if content.key is not None and (content is before or content.key == before.key):
                    found.append(name)
            elif name in self.files and self._same(content, before, signs.get(name), self.signs.get(name)):
                found.append(name)
        return found

    def text(self, name: str, gate: Gate) -> bytes:
        """A file that was made here as it was, in which such a gate found nothing; empty where that is not known."""
        content = self.tree.get(name)
        return content if isinstance(content, bytes) and gate == self.gate else b""

    def passed(self, name: str, digest: str, gate: Gate) -> bool:
        """Did such a gate let a file of this name and SHA-256 pass?"""
        return gate == self.gate and name in self.files and self.files[name].sha256 == digest

    @staticmethod
    def _same(content: Content | Seal, before: Content | Seal | None, looks: Look | None, looked: Look | None) -> bool:
        if isinstance(content, Path):
            return before == content and looks is not None and looks == looked
        return isinstance(content, bytes) and before == content


def signs(tree: Mapping[str, Content | Seal]) -> dict[str, Look | None]:
    """How the files look that stand on disk."""
    return {name: look(str(content)) for name, content in tree.items() if isinstance(content, Path)}
