"""What must hold of a built tree before it may be published: links, anchors, media, policy and the host's limits."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape
from typing import Any
from urllib.parse import unquote

from lab import custody, shares
from lab.errors import BrokenLink, LeakFound, MediaMissing, SiteError
from lab.site import leaks
from lab.site.data import Content, File, Seal, read
from lab.site.held import Held, Lines

FILE_LIMIT = 20_000
ASSET_LIMIT_BYTES = 25 << 20
HEADER_RULES, HEADER_LINE, REDIRECTS, REDIRECT_LINE = 100, 2_000, 2_000, 1_000
_MEDIA = (".mp4", ".webp", ".png", ".jpg", ".svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A tree in which everything holds: its files by path, how many of them are pages, and how many links they have."""

    files: Mapping[str, File]
    pages: int
    links: int

    @property
    def n_bytes(self) -> int:
        """Size of all files together."""
        return sum(one.n_bytes for one in self.files.values())


@dataclass(slots=True)
class _Share:
    """What one process found in its files. `away`: (page, link, path, anchor) of links into other pages."""

    files: dict[str, File] = field(default_factory=dict)
    ids: dict[str, frozenset[str]] = field(default_factory=dict)
    away: list[tuple[str, str, str, str]] = field(default_factory=list)
    hits: list[leaks.Finding] = field(default_factory=list)
    clean: set[str] = field(default_factory=set)
    links: int = 0


def check(
    tree: Mapping[str, Content | Seal], gate: leaks.Gate | None = None, place: Callable[[str, bytes], Any] | None = None
) -> Checked:
    """What is known of every file; returns only if everything holds. Each file is read once.

    Args:
        gate: how leaks are looked for; None declares nothing and remembers nothing.
        place: what puts a file where it belongs, out of sight until all is checked; what it gives is kept.

    Raises:
        BrokenLink, MediaMissing, LeakFound, SiteError: the first thing that does not hold.
    """
    if len(tree) > FILE_LIMIT:
        raise SiteError("file count", expected=f"at most {FILE_LIMIT:,} files", found=f"{len(tree):,}")
    gate = gate or leaks.Gate()
    watch = gate.watch()
    whole = {name: content for name, content in tree.items() if not isinstance(content, Seal)}
    found = shares.spread(lambda some: _read(some, whole, tree.keys(), watch, place), _mixed(whole))
    files = {name: one for share in found for name, one in share.files.items()}
    last = {name: content.make(files) for name, content in tree.items() if isinstance(content, Seal)}
    found.append(_read(list(last), last, tree.keys(), watch, place))
    files |= found[-1].files
    _anchors_away(found)
    _limits(tree, files)
    gate.remember({digest for share in found for digest in share.clean})
    hits = [hit for share in found for hit in share.hits]
    if hits:
        order = {name: at for at, name in enumerate(tree)}
        hits.sort(key=lambda hit: order.get(hit.path, -1))  # names of files first
        shown = "; ".join(f"{hit.path}:{hit.line} {hit.rule}" for hit in hits[:5])
        raise LeakFound(
            f"{len(hits)} places in the built tree",
            expected="nothing private",
            found=shown,
            fix="remove it at its origin",
        )
    pages = sum(len(share.ids) for share in found)
    return Checked(files={name: files[name] for name in tree}, pages=pages, links=sum(share.links for share in found))


def _mixed(names: Iterable[str]) -> list[str]:
    """Pages among other files, each kind in its order, so that every part has its share of both: pages take longer."""
    kinds: tuple[list[str], list[str]] = ([], [])
    for name in names:
        kinds[name.endswith(".html")].append(name)
    placed = [(at / len(kind), name) for kind in kinds for at, name in enumerate(kind)]
    return [name for _, name in sorted(placed)]


def _read(
    names: Sequence[str],
    tree: Mapping[str, Content],
    known: Collection[str],
    watch: leaks.Watch,
    place: Callable[[str, bytes], Any] | None,
) -> _Share:
    """Each of some files: read, checked by itself, looked at for leaks, put into its place.

    Args:
        known: every path of the whole tree.
    """
    share = _Share(hits=watch.names(names))
    alike: dict[frozenset[str], frozenset[str]] = {}
    sound: dict[str, set[str]] = {}
    lines = Lines()
    for name in names:
        content = read(tree[name])
        if name.endswith(".html"):
            ids = _page(name, lines.look(content), known, share, sound.setdefault("../" * name.count("/"), set()))
            share.ids[name] = alike.setdefault(ids, ids)
        digest = custody.sha256_bytes(content)
        share.hits += watch.look(name, content, digest)
        share.files[name] = File(len(content), digest, place(name, content) if place else None)
    share.clean = watch.fresh
    return share


def _page(name: str, held: Held, known: Collection[str], share: _Share, sound: set[str]) -> frozenset[str]:
    """The ids of a page that holds no inline script, handler or style, every id once, and links that lead somewhere.

    Args:
        sound: links that were followed from a page of the same depth, by the way from the root.
    """
    if held.inline:
        raise SiteError(name, expected="no inline script, handler or style", found=held.inline)
    ids = _anchors(name, held.ids)
    links = set(held.links)
    share.links += len(links)
    up = "../" * name.count("/")
    for link in links - sound:
        target, _, fragment = (unescape(link) if "&" in link else link).partition("#")
        if up and target.startswith(up):
            sound.add(link)
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path = _resolve(name, target) if target else name
        if path not in known:
            kind = MediaMissing if path.endswith(_MEDIA) else BrokenLink
            raise kind(name, expected=f"{link!r} to lead somewhere", found="nothing in the tree")
        if fragment and path == name:
            _lands(name, link, fragment, ids)
        elif fragment and path.endswith(".html"):
            share.away.append((name, link, path, fragment))
    return ids


def _lands(name: str, link: str, fragment: str, ids: frozenset[str]) -> None:
    if unquote(fragment) not in ids:
        raise BrokenLink(name, expected=f"the anchor {link!r}", found="no element of that id")


def _anchors_away(found: Sequence[_Share]) -> None:
    """Return only if every link into another page finds its anchor there."""
    ids = {name: its for share in found for name, its in share.ids.items()}
    for share in found:
        for name, link, path, fragment in share.away:
            _lands(name, link, fragment, ids[path])


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
