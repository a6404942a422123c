"""What a process has read of ledgers, for when it reads them again: only what has changed on disk is read anew.

A run is taken as it was read if its record, the folder of its evidence, every file that was read there, its clip and
its archive look as they did: size, times of change of content and of anything, and inode. How they look is taken down
before they are read, so that what changes meanwhile is read again the next time.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from lab.facts import REPLAY_FILE
from lab.site.book import Entry
from lab.site.sanitize import Withheld

Look = tuple[int, int, int, int]
Looks = tuple[tuple[str, Look | None], ...]


def look(path: str, folder: int | None = None) -> Look | None:
    """How a file or a folder looks, None where there is none; a relative path is one below an open folder."""
    try:
        found = os.stat(path, dir_fd=folder)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


@contextmanager
def opened(folder: str) -> Iterator[int | None]:
    """A folder below which files are looked at, None where there is none."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def listed(folder: int | None, *names: str) -> dict[str, Look | None]:
    """How everything in some folders below an open one looks, by path below it."""
    found: dict[str, Look | None] = {}
    for name in names if folder is not None else ():
        with suppress(FileNotFoundError, NotADirectoryError):
            handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
            try:
                with os.scandir(handle) as items:
                    found |= {f"{name}/{item.name}": look(item.name, handle) for item in items}
            finally:
                os.close(handle)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How everything that a run was read from looked.

    Attributes:
        record, evidence: its file, the folder of its evidence.
        files: files of that folder that were read.
        held: its clip and its archive, also where they are not there.
        copies: files elsewhere that stand for some of them; they must be there.
    """

    record: Look | None
    evidence: Look | None
    files: Looks = ()
    held: Looks = ()
    copies: tuple[str, ...] = ()

    @classmethod
    def at(cls, identifier: str, folder: int | None) -> Seen:
        """How a run looks of which nothing was read yet."""
        replay = f"evidence/{identifier}/{REPLAY_FILE}"
        evidence = look(f"evidence/{identifier}", folder)
        replays = look(replay, folder) if evidence else None
        return cls(
            record=look(f"runs/{identifier}.json", folder),
            evidence=evidence,
            files=((replay, replays),) if replays else (),
        )

    def and_files(self, identifier: str, folder: int | None) -> Seen:
        """The same, before all files of its evidence are read."""
        every = listed(folder, f"evidence/{identifier}") if self.evidence else {}
        return replace(self, files=tuple({**every, **dict(self.files)}.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A run as it was read: its entry, what of it is withheld, where it stands among others, which one it replaces."""

    entry: Entry
    withheld: list[Withheld]
    order: tuple[str, str]
    replaces: str
    seen: Seen | None = None


@dataclass(slots=True, kw_only=True)
class Reading:
    """What was read of one ledger. All of it is read again where anything of `under` is another.

    Attributes:
        known: runs by the names of their files, in the order of a shelf.
        held: how clips and archives looked.
        replaced: entries of runs that others replaced, as they were read and as they know it, by id.
        ahead: those of `known` that looked different when somebody looked ahead; None where nobody did.
    """

    under: tuple[Any, ...]
    known: dict[str, Known] = field(default_factory=dict)
    held: Mapping[str, Look | None] = field(default_factory=dict)
    replaced: dict[str, tuple[Entry, Entry]] = field(default_factory=dict)
    ahead: list[str] | None = None

    def look(self, folder: str) -> None:
        """Look ahead for the next `changed`, which then takes runs to be as they look now."""
        with opened(folder) as handle:
            self.ahead = self._other(handle)

    def changed(self, names: Sequence[str], folder: int | None, held: Mapping[str, Look | None]) -> list[str]:
        """Names of those files of records whose runs were not read yet, or look different now."""
        other = self._other(folder) if self.ahead is None else self.ahead
        self.ahead = None
        found = {name for name in names if name not in self.known} | set(other).intersection(names)
        if held is not self.held:
            for name in self.known.keys() & set(names) - found:
                seen = self.known[name].seen
                if seen is None or any(held.get(path) != before for path, before in seen.held):
                    found.add(name)
        return sorted(found)

    def _other(self, folder: int | None) -> list[str]:
        """The known runs whose record, evidence or copies of it look different now."""
        other = []
        for name, known in self.known.items():
            seen = known.seen
            if (
                seen is None
                or look(f"runs/{name}", folder) != seen.record
                or look(f"evidence/{name[:-5]}", folder) != seen.evidence
                or (seen.files and any(look(path, folder) != before for path, before in seen.files))
                or (seen.copies and any(look(path) is None for path in seen.copies))
            ):
                other.append(name)
        return other

    def keep(self, names: Collection[str], fresh: dict[str, Known]) -> list[Known]:
        """The runs of these names, some of them fresh, in their order; others are forgotten."""
        every = self.known | fresh
        if len(every) != len(names):
            every = {name: every[name] for name in names}
        self.known = dict(sorted(every.items(), key=lambda one: one[1].order))
        return list(self.known.values())

    def superseded(self, taken: Iterable[Known]) -> list[Entry]:
        """Entries of runs, each knowing which other replaces it; the same ones where that has not changed."""
        by = {known.replaces: known.entry.id for known in taken if known.replaces}
        before, self.replaced = self.replaced, {}
        entries = [known.entry for known in taken]
        for at, entry in enumerate(entries) if by else ():
            if entry.run.id in by:
                one, told = before.get(entry.id, (None, entry))
                if one is not entry or told.superseded_by != by[entry.id]:
                    told = replace(entry, superseded_by=by[entry.id])
                self.replaced[entry.id] = entry, told
                entries[at] = told
        return entries


Kept = dict[str, Reading]


def reading(kept: Kept | None, name: str, under: tuple[Any, ...]) -> Reading:
    """What was read of a ledger under the same circumstances; else an empty reading, kept from now on."""
    if kept is None:
        return Reading(under=under)
    if name not in kept or kept[name].under != under:
        kept[name] = Reading(under=under)
    return kept[name]
