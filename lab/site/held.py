"""What a page holds that must be checked: ids, links, and what a strict policy refuses in it.

Most lines of a page stand on the page before it too. Such a line is looked at once, by itself, and what it holds is
kept; the others are looked at together. Only lines that nothing leads out of are kept, and a page in which something
leads from one line to the next is looked at whole, so that what is found does not depend on what was kept.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lab.site.data import LINKS

KEPT_LIMIT = 1 << 15  # lines


def _valued(start: str, *ends: str) -> re.Pattern[str]:
    """What finds the values of attributes that begin alike: from that beginning on, which is found fast."""
    names = "|".join(rf'{end}="(?<=\s{start}{end}=")' for end in ends)
    return re.compile(f'{start}(?:{names})([^"]*)"')


_DATA = "data-"
_ID = _valued("id", "")
_LINKS = (  # a pattern is tried where the text before it is
    (_DATA.encode(), _valued(_DATA, *(name.removeprefix(_DATA) for name in LINKS if name.startswith(_DATA)))),
    *((f'{name}="'.encode(), _valued(name, "")) for name in LINKS if not name.startswith(_DATA)),
)
_STYLE = re.compile(rb"<style|\sstyle=|href=\"javascript:")
_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)(?! type=\"application/ld\+json\">)")
_CUT = re.compile(rb"<script[^>\n]*\n")  # a script whose tag goes on in the next line
_HANDLER = re.compile(rb"on[a-z]+=\"")


class Held(NamedTuple):
    """Ids and links, repeated ones too; an inline script, handler or style, empty where there is none.

    `whole`: nothing leads from one line to the next.
    """

    ids: list[str]
    links: list[str]
    inline: str
    whole: bool


class Lines:
    """Pages, one after the other, with a memory of the lines that come again."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Any] = {}  # what a line holds; False, where that is nothing
        self._last: frozenset[bytes] = frozenset()

    def look(self, content: bytes) -> Held:
        """What `look` finds in a page, in another order; of several inline things perhaps another one."""
        kept, lines = self._kept, content.split(b"\n")
        known = [*map(kept.get, lines)]
        fresh = [line for line, one in zip(lines, known, strict=True) if one is None]
        ids, links, inline, whole = look(b"\n".join((b"", *fresh, b'"')))  # an open value now ends in another line
        self._learn(frozenset(fresh))
        if not whole:
            return look(b"\n" + content)
        for one in filter(None, known):
            ids += one.ids
            links += one.links
            inline = inline or one.inline
        return Held(ids, links, inline, whole)

    def _learn(self, fresh: frozenset[bytes]) -> None:
        """Keep the lines that came twice in a row and that nothing leads out of."""
        if len(self._kept) > KEPT_LIMIT:
            self._kept.clear()
        for line in self._last & fresh:
            held = look(b"\n" + line + b'\n"')
            if held.whole:
                self._kept[line] = held if held.ids or held.links or held.inline else False
        self._last = fresh


def look(content: bytes) -> Held:
    """Ids, links and what is inline of a page, or of any lines of one."""
    text, lowered = content.decode(), content.lower()
    ids = _ID.findall(text)
    links = [link for mark, pattern in _LINKS if mark in content for link in pattern.findall(text)]
    whole = "\n" not in "".join(ids) and "\n" not in "".join(links)
    if b"<script" in lowered:
        whole = whole and not _CUT.search(lowered)
    return Held(ids, links, _inline(lowered), whole)


def _inline(lowered: bytes) -> str:
    """What of a page in small letters a strict policy refuses; empty where nothing. Plain texts go before patterns."""
    if (b"style" in lowered or b"javascript:" in lowered) and (found := _STYLE.search(lowered)):
        return found.group().decode()[:40]
    for pattern in (_SCRIPT, _HANDLER) if b"<script" in lowered else (_HANDLER,):
        for found in pattern.finditer(lowered):
            if pattern is _SCRIPT or lowered[found.start() - 1 : found.start()].isspace():
                return found.group().decode()[:40]
    return ""
