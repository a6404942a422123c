"""What must hold of a built tree before it may be published: links, anchors, media, policy and the host's limits."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from html import unescape
from typing import Any
from urllib.parse import unquote

from lab import custody, shares
from lab.errors import BrokenLink, LeakFound, MediaMissing, SiteError
from lab.site import leaks
from lab.site.data import LINKS, Content, File, Seal, read
from lab.site.former import Away, Former, Seen, Sign, signs

FILE_LIMIT = 20_000
ASSET_LIMIT_BYTES = 25 << 20
HEADER_RULES, HEADER_LINE, REDIRECTS, REDIRECT_LINE = 100, 2_000, 2_000, 1_000
_MEDIA = (".mp4", ".webp", ".png", ".jpg", ".svg")
_LINKED = "|".join(f'(?<=\\s{name}=")' for name in LINKS)
# (id or nothing, value) of every id and link: looked for from the sign of equality on, which is found fast
_NAMED = re.compile(rf'="(?:(?<=\s(id)=")|{_LINKED})([^"]*)"')
_STYLE = re.compile(rb"<style|\sstyle=|href=\"javascript:")
_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)(?! type=\"application/ld\+json\">)")
_HANDLER = re.compile(rb"on[a-z]+=\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A tree in which everything holds: its files by path, what its pages hold, and the paths that they lead to.

    `changed`: files that differ from those of the former tree, or that it had not; `gone`: those that it had besides.
    """

    files: Mapping[str, File]
    seen: Mapping[str, Seen]
    leads: frozenset[str]
    signs: Mapping[str, Sign | None]
    changed: frozenset[str]
    gone: frozenset[str]

    @property
    def pages(self) -> int:
        """How many of its files are pages."""
        return len(self.seen)

    @property
    def links(self) -> int:
        """How many links its pages have."""
        return sum(page.links for page in self.seen.values())

    @property
    def n_bytes(self) -> int:
        """Size of all files together."""
        return sum(one.n_bytes for one in self.files.values())


@dataclass(slots=True)
class _Share:
    """What one process found in its files. `leads`: the path that a link leads to, by link and way from the root."""

    files: dict[str, File] = field(default_factory=dict)
    pages: dict[str, Seen] = field(default_factory=dict)
    hits: list[leaks.Finding] = field(default_factory=list)
    clean: set[str] = field(default_factory=set)
    leads: set[str] = field(default_factory=set)


def check(
    tree: Mapping[str, Content | Seal],
    gate: leaks.Gate | None = None,
    place: Callable[[str, bytes], Any] | None = None,
    former: Former | None = None,
    further: Callable[[], Mapping[str, Content]] | None = None,
) -> Checked:
    """What is known of every file; returns only if everything holds. Each file is read once.

    Args:
        gate: how leaks are looked for; None declares nothing and remembers nothing.
        place: what puts a file where it belongs, out of sight until all is checked; what it gives is kept.
        former: the tree that was checked last. What is as it was there is not read, and what comes out the same is
            not put.
        further: more files that no page leads to, begun elsewhere and asked for when all others are done.

    Raises:
        BrokenLink, MediaMissing, LeakFound, SiteError: the first thing that does not hold.
    """
    _countable(tree)
    gate = gate or leaks.Gate()
    watch = gate.watch()
    signed = {} if former is None else signs(tree)
    before = former or Former()
    same = dict.fromkeys(before.unchanged(tree, signed))
    whole = {name: content for name, content in tree.items() if not isinstance(content, Seal) and name not in same}
    put = partial(_put, place, before.files) if place else None
    found = shares.spread(lambda some: _read(some, whole, tree.keys(), watch, put), list(whole))
    more = further() if further else {}
    found.append(_read(list(more), more, tree.keys(), watch, put))
    _countable(tree := dict(sorted({**tree, **more}.items())))
    files = {name: before.files[name] for name in same} | {n: one for share in found for n, one in share.files.items()}
    last = {name: content.make(files) for name, content in tree.items() if isinstance(content, Seal)}
    found.append(_read(list(last), last, tree.keys(), watch, put))
    files |= found[-1].files
    seen = {name: before.pages[name] for name in same if name in before.pages}
    seen |= {name: page for share in found for name, page in share.pages.items()}
    _anchors_away(seen)
    _limits(tree, files)
    gate.remember({digest for share in found for digest in share.clean})
    hits = [hit for share in found for hit in share.hits]
    if hits:
        shown = "; ".join(f"{hit.path}:{hit.line} {hit.rule}" for hit in hits[:5])
        raise LeakFound(
            f"{len(hits)} places in the built tree",
            expected="nothing private",
            found=shown,
            fix="remove it at its origin",
        )
    return Checked(
        files={name: files[name] for name in tree},
        seen=seen,
        leads=frozenset().union(before.leads if same else (), *(share.leads for share in found)),
        signs=signed,
        changed=frozenset(n for n, one in files.items() if not _is_same(one, before.files.get(n))),
        gone=frozenset(before.files.keys() - tree.keys()),
    )


def _countable(tree: Mapping[str, Content | Seal]) -> None:
    if len(tree) > FILE_LIMIT:
        raise SiteError("file count", expected=f"at most {FILE_LIMIT:,} files", found=f"{len(tree):,}")


def _put(place: Callable[[str, bytes], Any], before: Mapping[str, File], name: str, content: bytes, digest: str) -> Any:
    known = before.get(name)
    return known.placed if known and known.sha256 == digest else place(name, content)


def _is_same(one: File, other: File | None) -> bool:
    return other is not None and one.sha256 == other.sha256


def _read(
    names: Sequence[str],
    tree: Mapping[str, Content],
    known: Collection[str],
    watch: leaks.Watch,
    put: Callable[[str, bytes, str], Any] | None,
) -> _Share:
    """Each of some files: read, checked by itself, looked at for leaks, put into its place.

    Args:
        known: every path of the whole tree.
    """
    share = _Share(hits=watch.names(names))
    alike: dict[frozenset[str], frozenset[str]] = {}
    sound: dict[str, set[str]] = {}
    for name in names:
        content = read(tree[name])
        if name.endswith(".html"):
            page = _page(name, content, known, share.leads, sound.setdefault("../" * name.count("/"), set()))
            share.pages[name] = replace(page, ids=alike.setdefault(page.ids, page.ids))
        digest = custody.sha256_bytes(content)
        share.hits += watch.look(name, content, digest)
        share.files[name] = File(len(content), digest, put(name, content, digest) if put else None)
    share.clean = watch.fresh
    return share


def _page(name: str, content: bytes, known: Collection[str], leads: set[str], sound: set[str]) -> Seen:
    """What is in a page that holds no inline script, handler or style, every id once, and links that lead somewhere.

    Args:
        leads: takes the paths that its links lead to.
        sound: links that were followed from a page of the same depth, by the way from the root.
    """
    if inline := _inline(content):
        raise SiteError(name, expected="no inline script, handler or style", found=inline)
    named = _NAMED.findall(content.decode())
    ids = _anchors(name, [value for key, value in named if key])
    links = {value for key, value in named if not key}
    away: list[Away] = []
    up = "../" * name.count("/")
    for link in links - sound:
        target, _, fragment = (unescape(link) if "&" in link else link).partition("#")
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path = _resolve(name, target) if target else name
        if path not in known:
            kind = MediaMissing if path.endswith(_MEDIA) else BrokenLink
            raise kind(name, expected=f"{link!r} to lead somewhere", found="nothing in the tree")
        leads.add(path)
        if fragment and path == name:
            _lands(name, link, fragment, ids)
        elif fragment and path.endswith(".html"):
            away.append((link, path, fragment))
        elif up and target.startswith(up):
            sound.add(link)
    return Seen(ids, len(links), tuple(away))


def _lands(name: str, link: str, fragment: str, ids: frozenset[str]) -> None:
    if unquote(fragment) not in ids:
        raise BrokenLink(name, expected=f"the anchor {link!r}", found="no element of that id")


def _anchors_away(seen: Mapping[str, Seen]) -> None:
    """Return only if every link into another page finds its anchor there."""
    for name, page in seen.items():
        for link, path, fragment in page.away:
            _lands(name, link, fragment, seen[path].ids)


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


def _anchors(name: str, found: list[str]) -> frozenset[str]:
    ids = frozenset(found)
    if len(found) != len(ids):
        twice = sorted({anchor for anchor in found if found.count(anchor) > 1})
        raise SiteError(name, expected="every id once", found=", ".join(twice)[:200])
    return ids


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


def _limits(tree: Mapping[str, Content | Seal], files: Mapping[str, File]) -> None:
    for name, one in files.items():
        if one.n_bytes > ASSET_LIMIT_BYTES:
            raise SiteError(name, expected="at most 25 MiB", found=f"{one.n_bytes:,} bytes")
    rules = _lines(tree, "_headers")
    n_rules = sum(not line.startswith((" ", "#")) for line in rules)
    if n_rules > HEADER_RULES or any(len(line) > HEADER_LINE for line in rules):
        raise SiteError("_headers", expected=f"{HEADER_RULES} rules of {HEADER_LINE:,} characters", found=str(n_rules))
    moved = [line for line in _lines(tree, "_redirects") if line[0] != "#"]
    if len(moved) > REDIRECTS or any(len(line) > REDIRECT_LINE for line in moved):
        raise SiteError("_redirects", expected=f"at most {REDIRECTS:,} lines", found=str(len(moved)))


def _lines(tree: Mapping[str, Content | Seal], name: str) -> list[str]:
    content = tree.get(name, b"")
    return [] if isinstance(content, Seal) else [line for line in read(content).decode().splitlines() if line]
