"""What must hold of a built tree before it may be published: links, anchors, media, policy and the host's limits."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from html import unescape
from urllib.parse import unquote

from lab.errors import BrokenLink, LeakFound, MediaMissing, SiteError
from lab.site import leaks
from lab.site.data import Content, read, size_of

FILE_LIMIT = 20_000
ASSET_LIMIT_BYTES = 25 << 20
HEADER_RULES, HEADER_LINE, REDIRECTS, REDIRECT_LINE = 100, 2_000, 2_000, 1_000
_MEDIA = (".mp4", ".webp", ".png", ".jpg", ".svg")
_LINK = re.compile(r'\s(?:href|src|poster|data-(?:src|archive|index|series|answers))="([^"]*)"')
_ID = re.compile(r'\sid="([^"]*)"')
_INLINE = re.compile(
    r"<style|\sstyle=|\son[a-z]+=\"|<script(?![^>]*\ssrc=)(?! type=\"application/ld\+json\">)|href=\"javascript:",
    re.IGNORECASE,
)


def check(tree: Mapping[str, Content], gate: leaks.Gate | None = None) -> dict[str, int]:
    """How much was checked; returns only if everything holds.

    Args:
        gate: how leaks are looked for; None declares nothing and remembers nothing.

    Raises:
        BrokenLink, MediaMissing, LeakFound, SiteError: the first thing that does not hold.
    """
    pages = {name: read(content).decode() for name, content in tree.items() if name.endswith(".html")}
    anchors = {name: _anchors(name, html) for name, html in pages.items()}
    n_links = sum(_links(name, html, tree, anchors) for name, html in pages.items())
    for name, html in pages.items():
        if found := _INLINE.search(html):
            raise SiteError(name, expected="no inline script, handler or style", found=found.group()[:40])
    _limits(tree)
    hits = (gate or leaks.Gate()).scan((name, read(content)) for name, content in tree.items())
    if hits:
        shown = "; ".join(f"{hit.path}:{hit.line} {hit.rule}" for hit in hits[:5])
        raise LeakFound(
            f"{len(hits)} places in the built tree",
            expected="nothing private",
            found=shown,
            fix="remove it at its origin",
        )
    return {"pages": len(pages), "links": n_links, "files": len(tree)}


def _anchors(name: str, html: str) -> set[str]:
    found = _ID.findall(html)
    if len(found) != len(set(found)):
        twice = sorted({anchor for anchor in found if found.count(anchor) > 1})
        raise SiteError(name, expected="every id once", found=", ".join(twice)[:200])
    return set(found)


def _links(name: str, html: str, tree: Mapping[str, Content], anchors: Mapping[str, set[str]]) -> int:
    links = set(_LINK.findall(html))
    for link in links:
        target, _, fragment = unescape(link).partition("#")
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path = name if not target else _resolve(name, target)
        if path not in tree:
            kind = MediaMissing if path.endswith(_MEDIA) else BrokenLink
            raise kind(name, expected=f"{link!r} to lead somewhere", found="nothing in the tree")
        if fragment and path in anchors and unquote(fragment) not in anchors[path]:
            raise BrokenLink(name, expected=f"the anchor {link!r}", found="no element of that id")
    return len(links)


def _resolve(name: str, target: str) -> str:
    """The file in the tree that a link of a page leads to."""
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
