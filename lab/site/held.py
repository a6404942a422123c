"""What a page holds that must be checked: ids, links, and what a strict policy refuses in it.

One automaton (hyperscan, as for leaks) finds where values of such attributes begin, in a single pass over the bytes;
white space is that of HTML, so that a no-break space before a name makes no attribute of it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import hyperscan

from lab.site.data import LINKS

_ID, _LINK, _REFUSED, _STYLE, _SCRIPT = range(5)
_PATTERNS = {
    _ID: r'\sid="',
    _LINK: rf'\s(?:{"|".join(LINKS)})="',
    _REFUSED: r'\sstyle=|\son[a-z]+="|\shref="javascript:',
    _STYLE: r"<style",
    _SCRIPT: r"<script",
}
_ANY_CASE = frozenset((_REFUSED, _STYLE, _SCRIPT))
_INLINE = re.compile(rb"<script(?![^>]*\ssrc=)(?! type=\"application/ld\+json\">)", re.IGNORECASE)
_TOLD = 40  # bytes before the end of something refused, among which its last word is told
_AFTER = b" \t\n\r\f\v>/,}]"  # what follows a mark that ends a value, and begins hardly any


class Held(NamedTuple):
    """Ids and links, repeated ones too; the last inline script, handler or style, empty where there is none."""

    ids: list[str]
    links: list[str]
    inline: str


def look(content: bytes) -> Held:
    """Ids, links and what is inline of a page."""
    found: list[tuple[int, int]] = []
    _automaton().scan(content, match_event_handler=lambda kind, _, end, *__: found.append((kind, end)))
    ids: list[str] = []
    links: list[str] = []
    inline, closed = "", -1
    for kind, end in found:
        if kind == _STYLE:
            inline = "<style"
        elif kind == _REFUSED:
            if _is_name(content, content.rfind(b"=", 0, end)):
                inline = content[max(end - _TOLD, 0) : end].split()[-1].decode("utf-8", "replace")
        elif kind == _SCRIPT:
            inline = "<script" if _INLINE.match(content, end - len("<script")) else inline
        elif end > closed + 1 and (content[end : end + 1] not in _AFTER or _is_name(content, end - len('="'))):
            closed = content.find(b'"', end) % (len(content) + 1)  # where nothing is found, -1 becomes the end
            (ids if kind == _ID else links).append(content[end:closed].decode())
    return Held(ids, links, inline)


def _is_name(content: bytes, end: int) -> bool:
    """Does the name of an attribute end here, and neither a text nor a value? In both, `<` and `"` are escaped."""
    pieces = content[max(content.rfind(b"<", 0, end), 0) : end].split(b'"')
    return len(pieces) % 2 == 1 and b">" not in b"".join(pieces[::2])


@cache
def _automaton() -> Any:
    """What looks for all patterns at once, made once in a process."""
    made = hyperscan.Database()
    made.compile(
        expressions=[text.encode() for text in _PATTERNS.values()],
        ids=list(_PATTERNS),
        elements=len(_PATTERNS),
        flags=[hyperscan.HS_FLAG_CASELESS if kind in _ANY_CASE else 0 for kind in _PATTERNS],
    )
    return made
