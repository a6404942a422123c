"""What must hold of a built tree before it may be published: links, anchors, media, policy and the host's limits."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from html import unescape
from typing import Any
from urllib.parse import unquote

from lab import shares
from lab.errors import BrokenLink, LeakFound, MediaMissing, SiteError
from lab.site import data, held, leaks
from lab.site.data import Content, File, Seal, read
from lab.site.former import Away, Former, Seen, signs
from lab.site.kept import Look

FILE_LIMIT = 20_000
ASSET_LIMIT_BYTES = 25 << 20
_TURNS = 32  # shares for each process
_OTHER, _AS_A_PAGE = 0.3, 40_000  # of a page: another file, and how many of its bytes take as long again
HEADER_RULES, HEADER_LINE, REDIRECTS, REDIRECT_LINE = 100, 2_000, 2_000, 1_000
_MEDIA = (".mp4", ".webp", ".png", ".jpg", ".svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A tree in which everything holds: its files by path, what its pages hold, and the paths that they lead to.

    `changed`: files that differ from those of the former tree, or that it had not; `gone`: those that it had besides.
    """

    files: Mapping[str, File]
    seen: Mapping[str, Seen]
    leads: frozenset[str]
    signs: Mapping[str, Look | None]
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
    """What was found in some files. `leads`: paths that pages lead to and that did not come before."""

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
    signed = {} if former is None else signs(tree)
    before = former or Former()
    same = dict.fromkeys(before.unchanged(tree, signed, gate))
    whole = {name: content for name, content in tree.items() if not isinstance(content, Seal) and name not in same}
    desk = _Desk(gate, before, place)
    found = shares.spread(
        lambda some: desk.read(some, whole, tree), list(whole), cost=partial(_cost, whole), turns=_TURNS
    )
    more = further() if further else {}
    found.append(desk.read(list(more), more, tree))
    every = {**tree, **more}
    _countable(tree := {name: every[name] for name in sorted(every)})
    files = {name: before.files[name] for name in same} | {n: one for share in found for n, one in share.files.items()}
    last = {name: content.make(files) for name, content in tree.items() if isinstance(content, Seal)}
    found.append(desk.read(list(last), last, tree))
    files |= found[-1].files
    seen = {name: before.pages[name] for name in same if name in before.pages}
    seen |= {name: page for share in found for name, page in share.pages.items()}
    _anchors_away(seen)
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
    return Checked(
        files={name: files[name] for name in tree},
        seen=seen,
        leads=frozenset().union(before.leads if same else (), *(share.leads for share in found)),
        signs=signed,
        changed=frozenset(n for n in files.keys() - same.keys() if not _is_same(files[n], before.files.get(n))),
        gone=frozenset(before.files.keys() - tree.keys()),
    )


def _countable(tree: Mapping[str, Content | Seal]) -> None:
    if len(tree) > FILE_LIMIT:
        raise SiteError("file count", expected=f"at most {FILE_LIMIT:,} files", found=f"{len(tree):,}")


def _is_same(one: File, other: File | None) -> bool:
    return other is not None and one.sha256 == other.sha256


def _cost(tree: Mapping[str, Content], name: str) -> float:
    """How long a file takes, a page being one: others are only read, looked at and put."""
    content = tree[name]
    return (
        1.0 if name.endswith(".html") else _OTHER + (len(content) / _AS_A_PAGE if isinstance(content, bytes) else 0.0)
    )


class _Desk:
    """Where files are read one by one: each checked by itself, looked at for leaks, put into its place.

    What came before is remembered: sets of ids, links that were followed. Every process has a desk of its own.
    """

    def __init__(self, gate: leaks.Gate, before: Former, place: Callable[[str, bytes], Any] | None) -> None:
        """Take what looks for leaks, the tree that was checked last, and what puts a file."""
        self._gate, self._before, self._place = gate, before, place
        self._watch = gate.watch()
        self._alike: dict[frozenset[str], frozenset[str]] = {}
        self._sound: dict[str, set[str]] = {}  # links that were followed from pages, by their way from the root

    def read(self, names: Sequence[str], tree: Mapping[str, Content], known: Container[str]) -> _Share:
        """Some files of a tree; `known` are the paths of all of it."""
        share = _Share(hits=self._watch.names(names))
        for name in names:
            content = read(tree[name])
            if name.endswith(".html"):
                share.pages[name] = self._page(name, held.look(content), known, share.leads)
            digest = data.digest_of(content)
            if not self._before.passed(name, digest, self._gate):
                share.hits += self._watch.look(name, content, digest, self._before.text(name, self._gate))
            share.files[name] = File(len(content), digest, self._put(name, content, digest))
        share.clean = self._watch.taken()
        return share

    def _put(self, name: str, content: bytes, digest: str) -> Any:
        known = self._before.files.get(name)
        if self._place is None:
            return None
        return known.placed if known and known.sha256 == digest else self._place(name, content)

    def _page(self, name: str, found: held.Held, known: Container[str], leads: set[str]) -> Seen:
        """What is in a page: no inline script, handler or style, every id once, links that lead somewhere."""
        if found.inline:
            raise SiteError(name, expected="no inline script, handler or style", found=found.inline)
        ids = _anchors(name, found.ids)
        ids = self._alike.setdefault(ids, ids)
        links = set(found.links)
        away: list[Away] = []
        up = "../" * name.count("/")
        sound = self._sound.setdefault(up, set())
        for link in links - sound:
            target, _, fragment = (unescape(link) if "&" in link else link).partition("#")
            if target.startswith(("https://", "http://", "mailto:")):
                continue
            path = f"{target[len(up) :]}index.html" if target.startswith(up) and target.endswith("/") else ""
            if path not in known:  # nearly all links lead to the folder of a page, from the root
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
