"""What must hold of a built tree before it may be published: links, anchors, media, policy and the host's limits."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from functools import lru_cache
from html import unescape
from urllib.parse import unquote

from lab import shares
from lab.errors import BrokenLink, LeakFound, MediaMissing, SiteError
from lab.site import leaks
from lab.site.data import LINKS, Content, read, size_of

FILE_LIMIT = 20_000
ASSET_LIMIT_BYTES = 25 << 20
HEADER_RULES, HEADER_LINE, REDIRECTS, REDIRECT_LINE = 100, 2_000, 2_000, 1_000
_MEDIA = (".mp4", ".webp", ".png", ".jpg", ".svg")
_NAMED = re.compile(rf'\s(id|{"|".join(LINKS)})="([^"]*)"')
_STYLE = re.compile(rb"<style|\sstyle=|href=\"javascript:")
_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)(?! type=\"application/ld\+json\">)")
_HANDLER = re.compile(rb"on[a-z]+=\"")


def check(tree: Mapping[str, Content], gate: leaks.Gate | None = None) -> dict[str, int]:
    """How much was checked; returns only if everything holds.

    Args:
        gate: how leaks are looked for; None declares nothing and remembers nothing.

    Raises:
        BrokenLink, MediaMissing, LeakFound, SiteError: the first thing that does not hold.
    """
    names = [name for name in tree if name.endswith(".html")]
    read_pages = shares.spread(lambda some: [_page(name, read(tree[name])) for name in some], names)
    found = dict(zip(names, (page for share in read_pages for page in share), strict=True))
    n_links = sum(_links(name, page[1], tree, found) for name, page in found.items())
    _limits(tree)
    hits = (gate or leaks.Gate()).scan(tree)
    if hits:
        shown = "; ".join(f"{hit.path}:{hit.line} {hit.rule}" for hit in hits[:5])
        raise LeakFound(
            f"{len(hits)} places in the built tree",
            expected="nothing private",
            found=shown,
            fix="remove it at its origin",
        )
    return {"pages": len(names), "links": n_links, "files": len(tree)}


def _page(name: str, content: bytes) -> tuple[set[str], set[str]]:
    """(ids, links) of a page that holds no inline script, handler or style and every id once."""
    if inline := _inline(content):
        raise SiteError(name, expected="no inline script, handler or style", found=inline)
    named = _NAMED.findall(content.decode())
    return _anchors(name, [value for key, value in named if key == "id"]), {v for key, v in named if key != "id"}


def _inline(content: bytes) -> str:
    """What of a page a strict policy refuses; empty where nothing. Plain texts are looked for before patterns."""
    lowered = content.lower()
    if any(mark in lowered for mark in (b"<style", b"style=", b"javascript:")) and (found := _STYLE.search(lowered)):
        return found.group().decode()[:40]
    for pattern in (_SCRIPT, _HANDLER):
        for found in pattern.finditer(lowered):
            if pattern is _SCRIPT or lowered[found.start() - 1 : found.start()].isspace():
                return found.group().decode()[:40]
    return ""


def _anchors(name: str, found: list[str]) -> set[str]:
    if len(found) != len(set(found)):
        twice = sorted({anchor for anchor in found if found.count(anchor) > 1})
        raise SiteError(name, expected="every id once", found=", ".join(twice)[:200])
    return set(found)


def _links(
    name: str, links: set[str], tree: Mapping[str, Content], pages: Mapping[str, tuple[set[str], set[str]]]
) -> int:
    for link in links:
        target, _, fragment = unescape(link).partition("#")
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path = name if not target else _resolve(name, target)
        if path not in tree:
            kind = MediaMissing if path.endswith(_MEDIA) else BrokenLink
            raise kind(name, expected=f"{link!r} to lead somewhere", found="nothing in the tree")
        if fragment and path in pages and unquote(fragment) not in pages[path][0]:
            raise BrokenLink(name, expected=f"the anchor {link!r}", found="no element of that id")
    return len(links)


def _resolve(name: str, target: str) -> str:
    """The file in the tree that a link of a page leads to."""
    up = "../" * name.count("/")
    return _at("" if target.startswith(up) else name, target.removeprefix(up))


@lru_cache(maxsize=1 << 16)
def _at(name: str, target: str) -> str:
    base = "" if target.startswith("/") else posixpath.dirname(name)
    path = posixpath.normpath(posixpath.join(base, unquote(target.partition("?")[0]).lstrip("/") or "."))
    path = "" if path == "." else path
    return posixpath.join(path, "index.html") if target.endswith(("/", ".")) or not path else path


def _limits(tree: Mapping[str, Content]) -> None:
    if len(tree) > FILE_LIMIT:
        raise SiteError("file count", expected=f"at most {FILE_LIMIT:,} files", found=f"{len(tree):,}")
    for name, content in tree.items():
        if size_of(content) > ASSET_LIMIT_BYTES:
            raise SiteError(name, expected="at most 25 MiB", found=f"{size_of(content):,} bytes")
    rules = read(tree.get("_headers", b"")).decode().splitlines()
    n_rules = sum(bool(line) and not line.startswith((" ", "#")) for line in rules)
    if n_rules > HEADER_RULES or any(len(line) > HEADER_LINE for line in rules):
        raise SiteError("_headers", expected=f"{HEADER_RULES} rules of {HEADER_LINE:,} characters", found=str(n_rules))
    moved = [line for line in read(tree.get("_redirects", b"")).decode().splitlines() if line and line[0] != "#"]
    if len(moved) > REDIRECTS or any(len(line) > REDIRECT_LINE for line in moved):
        raise SiteError("_redirects", expected=f"at most {REDIRECTS:,} lines", found=str(len(moved)))
