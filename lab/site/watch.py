"""Building again whenever ledger, prose or templates change, in a process that stays and keeps what did not."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.site import check, leaks, publish
from lab.site.data import Content, Seal
from lab.site.former import Former
from lab.site.kept import Kept
from lab.site.stage import Stage

EVERY_S, CALM_S = 1.0, 0.2
DEPTH = 2  # of a ledger's folders that are listed: contract, and what it holds
State = list[tuple[str, int, int]]


@dataclass(slots=True)
class Memory:
    """What a builder keeps between two builds of one site: records as read, files that packages shipped, the tree.

    `past` is the tree before, taken apart in `rest`: that takes a while where it has ten thousand pages.
    """

    twin: publish.Twin
    records: Kept = field(default_factory=dict)
    shipped: Mapping[str, Content] = field(default_factory=dict)
    former: Former = field(default_factory=Former)
    stage: Stage = field(default_factory=Stage)
    past: Former | None = None

    def publish(
        self,
        tree: Mapping[str, Content | Seal],
        gate: leaks.Gate,
        further: Callable[[], Mapping[str, Content]] | None = None,
    ) -> check.Checked:
        """Check what changed of a tree, and put it into the place of the former one in one step.

        Raises:
            LabError: something does not hold, or the site cannot be written; the former tree stands, and is kept.
        """
        with self.twin.draft() as put:
            if not self.twin.begun:
                self.former = Former()
            elif gate == self.former.gate:  # which has let all pass that did not change
                gate = replace(gate, memory=None)
            checked = check.check(tree, gate, put, self.former, further)
            self.twin.changed(checked.changed, checked.gone)
        self.past = self.former
        self.former = Former(
            gate=gate,
            tree=tree,
            files=checked.files,
            pages=checked.seen,
            leads=checked.leads,
            signs=checked.signs,
        )
        return checked

    def close(self) -> None:
        """Leave nothing beside the site."""
        self.twin.close()

    def look(self, ledgers: Path) -> None:
        """See which runs look different now, for a build that begins soon."""
        for name, reading in self.records.items():
            reading.look(str(ledgers / name))

    def rest(self) -> None:
        """What is better done before the next build than in it."""
        self.past = None
        if self.former.files:
            self.twin.stand()
        gc.collect()


def scan(ledgers: Path, *folders: Path) -> State:
    """What decides whether to build again: every file of the folders, and the folders of a ledger with their dates.

    A file that appears or is replaced in a ledger changes the date of its folder.
    """
    found: State = []
    for folder in folders:
        found += _below(folder, None)
    return found + _below(ledgers, DEPTH)


def _below(folder: Path | str, depth: int | None) -> State:
    """(path, date, size) below a folder; with a depth, files that lie deeper are not looked at."""
    found: State = []
    try:
        with os.scandir(folder) as items:
            for item in items:
                inner = item.is_dir(follow_symlinks=False)
                if inner or depth is None or depth > 0:
                    is_now = item.stat(follow_symlinks=False)
                    found.append((item.path, is_now.st_mtime_ns, 0 if inner else is_now.st_size))
                if inner and (depth is None or depth > 0):
                    found += _below(item.path, None if depth is None else depth - 1)
    except OSError:  # it vanished meanwhile: a change by itself
        found.append((str(folder), 0, 0))
    return found


def turns(
    look: Callable[[], State], wait: Callable[[float], bool], ahead: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Now, and again whenever what `look` gives is another thing than before the last turn, and calm since.

    Args:
        wait: waits some seconds; True ends the turns.
        ahead: what a turn needs and may find out while it is waited for calm, again with every change that `look`
            sees; what it does not see, an edit in place after that, waits for the next turn.
    """
    known = look()
    yield
    while not wait(EVERY_S):
        before, now = known, look()
        while now != before:
            before, since = now, time.monotonic()
            ahead()
            if wait(max(0.0, since + CALM_S - time.monotonic())):
                return
            now = look()
        if now != known:
            known = now
            yield
