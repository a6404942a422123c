"""What pages that are drawn late are drawn from, and which of them are still those of the build before.

A builder that stays has one stage. Where there are ten thousand pages of runs, nearly all of them are the same objects
from build to build, and since everything else that they need stands here, as it is now, they hold no former build.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from lab.site.book import Entry, Shelf
from lab.site.clips import Media
from lab.site.data import Content, Late
from lab.site.sheets import Page


class Shown(NamedTuple):
    """A run with its page, and the runs that decide whether the page is another one, by id."""

    entry: Entry
    page: Page
    named: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Stage:
    """The state of a build as its late pages see it.

    Attributes:
        shelves: by the name of their contract.
        media, files: as `plan.make` has them.
        draw: makes the bytes of a page, with templates and masthead as they are now.
        pages: those of runs, by address.
        lates: pages as files, by address: the page, digest of what stands around every page, path, file.
    """

    shelves: Mapping[str, Shelf] = field(default_factory=dict)
    media: Mapping[str, Media] = field(default_factory=dict)
    files: Mapping[str, Content] = field(default_factory=dict)
    draw: Callable[[Page], bytes] = lambda page: b""
    pages: dict[str, Shown] = field(default_factory=dict)
    lates: dict[str, tuple[Page, str, str, Late]] = field(default_factory=dict)

    def late(self, page: Page, around: str) -> tuple[Page, str, str, Late]:
        """A page as a file, the one that it was as long as neither the page nor what is around it changed."""
        known = self.lates.get(page.url)
        if known is None or known[0] is not page or known[1] != around:
            key = page.key and (around, page.title, page.key)
            known = page, around, page.path, Late(partial(_drawn, self, page), key)
        return known


def _drawn(stage: Stage, page: Page) -> bytes:
    return stage.draw(page)
