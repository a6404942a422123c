"""What is found in a page does not depend on the pages before it, and what stands around every page is checked too."""

from __future__ import annotations

import itertools
import random

import pytest

from lab import shares
from lab.errors import BrokenLink, MediaMissing, SiteError
from lab.site import check, held

PIECES = (
    *('<a href="/x/">', "<a\n", 'href="./y/#z"', "\n", " ", 'id="a"', '<p id="b">', 'class="c"', '="', '"', ">", "<"),
    *('<script type="module" src="s.js"></script>', "<script", "<SCRIPT>", ' src="s.js"', " src=", "</script>"),
    *("<STYLE>", ' style="x"', 'onclick="x()"', ' ONLOAD="x()"', 'href="javascript:x"', "data-", 'index="i"', "on"),
    *('data-index="j"', 'data-id="no"', 'srcset="s 2x"', 'poster="p.png"', "\u00a0", "−", "\t", "\r", "&amp;", "text"),
    '<script type="application/ld+json">{}</script>',
)
FRAME = (
    '<header class="masthead">\n  <a class="wordmark" href="../">lab</a>\n  <ul>\n    <li><a href="./">here</a></li>\n'
    '  </ul>\n</header>\n<main id="main">\n<h1 id="top">{}</h1>\n<a href="#top">up</a>\n</main>\n'
    '<footer class="colophon">\n  <p>said at the foot</p>\n  <a href="../p/">all</a>\n</footer>\n'
)


def told(found: held.Held) -> tuple[list[str], list[str], bool]:
    """What matters of what was found."""
    return sorted(found.ids), sorted(found.links), bool(found.inline)


def test_a_memory_of_lines_finds_what_a_look_at_the_whole_page_finds() -> None:
    dice = random.Random(7)
    lines = held.Lines()
    pool = ["".join(dice.choices(PIECES, k=dice.randint(1, 6))) for _ in range(40)]
    for _ in range(3_000):
        page = "\n".join(dice.choices(pool, k=dice.randint(0, 12))).encode()
        assert told(lines.look(page)) == told(held.look(b"\n" + page)), page


def test_a_line_is_kept_only_if_nothing_leads_out_of_it() -> None:
    for first, second in (('<a href="x', 'y">'), ("<script", ' src="s.js">'), ('<p id="', '">'), ("<SCRIPT", ">")):
        lines = held.Lines()
        both = f"<p>\n{first}\n{second}\n</p>".encode()
        for page in (both, both, both, f"<p>\n{first}\n</p>".encode(), f"<p>\n{second}\n</p>".encode(), both):
            assert told(lines.look(page)) == told(held.look(b"\n" + page)), page


def test_a_memory_of_lines_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "KEPT_LIMIT", 5)
    lines = held.Lines()
    for start in range(100):
        page = "\n".join(f'<p id="{n}"></p>' for n in range(start, start + 9)).encode()
        assert told(lines.look(page)) == told(held.look(b"\n" + page))
        assert len(lines._kept) <= 5 + 9


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('<a class="wordmark" href="../">', '<a class="wordmark" href="../nowhere/">', BrokenLink),
        ('<a href="./">', '<a href="./#nowhere">', BrokenLink),
        ('<header class="masthead">', '<header class="masthead"><img src="../gone.png">', MediaMissing),
        ('<header class="masthead">', '<header class="masthead" id="main">', SiteError),
        ('<header class="masthead">', '<header class="masthead" onclick="x()">', SiteError),
        ('<header class="masthead">', '<header class="masthead"\nonclick="x()">', SiteError),
        ("  <ul>\n", "  <ul>\n    <script>1</script>\n", SiteError),
        ('<a href="../p/">', '<a href="../q/">', BrokenLink),
        ('<a href="../p/">', '<a href="../p/0.html#nowhere">', BrokenLink),
        ('<a href="../p/">', '<a href="javascript:x()">', SiteError),
        ("<p>said at the foot</p>", '<p id="top">said at the foot</p>', SiteError),
        ("<p>said at the foot</p>", '<p style="color:red">said at the foot</p>', SiteError),
        ("<p>said at the foot</p>", "<script\n>1</script>", SiteError),
    ],
)
def test_a_fault_around_one_page_alone_is_found(
    old: str, new: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"p/{n}.html" for n in range(300)]
    tree = {"index.html": b"<p></p>", "p/index.html": b"<p></p>"}
    tree |= {name: FRAME.format(name).encode() for name in names}
    for count, name in itertools.product((1, 2), (names[0], names[1], names[150], names[-1])):
        monkeypatch.setattr(shares, "processes", lambda count=count: count)
        odd = FRAME.format(name).replace(old, new)
        assert odd.count(new) == 1
        with pytest.raises(error, match=name):
            check.check(tree | {name: odd.encode()})
    assert check.check(tree).pages == 302
