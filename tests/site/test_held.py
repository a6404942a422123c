"""Ids, links and inline things of a page are found in one pass, and what stands around every page is checked too."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from lab import shares
from lab.errors import BrokenLink, MediaMissing, SiteError
from lab.site import check, data, held

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


VALUE = r'[ \t\n\r\f\v](?:{})="([^"]*)"'
WITHIN = re.compile(r'[ \t\n\r\f\v][a-z-]+="[^"]*[ \t\n\r\f\v][a-z-]+="')  # a name that ends a value
REFUSED = re.compile(r'[ \t\n\r\f\v](?:style=|on[a-z]+=")|<style|href="javascript:', re.IGNORECASE)
SCRIPT = re.compile(r"<script(?=([^>]*))", re.IGNORECASE)


def plainly(page: str) -> tuple[list[str], list[str], bool]:
    """Ids, links and whether anything is inline, each sought by itself."""
    scripts = [rest for rest in SCRIPT.findall(page) if not re.search(r"[ \t\n\r\f\v]src=", rest, re.IGNORECASE)]
    inline = [rest for rest in scripts if not rest.startswith(' type="application/ld+json"')]
    links = [link for name in data.LINKS for link in re.findall(VALUE.format(name), page)]
    return sorted(re.findall(VALUE.format("id"), page)), sorted(links), bool(inline or REFUSED.search(page))


def test_one_pass_finds_what_is_found_one_by_one() -> None:
    dice = random.Random(7)
    outcomes = set()
    for _ in range(6_000):
        page = "\n".join("".join(dice.choices(PIECES, k=dice.randint(1, 6))) for _ in range(dice.randint(0, 12)))
        page += '\n"'  # what a value that nothing ends holds is asked below
        found = held.look(page.encode())
        ids, links, inline = plainly(page)
        assert bool(found.inline) == inline, page
        if not WITHIN.search(page):
            assert (sorted(found.ids), sorted(found.links)) == (ids, links), page
            outcomes.add((bool(ids), bool(links), inline))
    assert len(outcomes) == 8


def test_what_is_refused_is_named() -> None:
    for page, named in (
        ('<p onclick="x()">', 'onclick="'),
        ("<p\nSTYLE='x'>", "STYLE="),
        ("<STYLE>", "<STYLE"),
        ("<script\n>1</script>", "<script"),
        ('<a href="javascript:x()">', 'href="javascript:'),
    ):
        assert held.look(f"<b>−</b> {page}".encode()).inline == named


def test_a_value_that_nothing_ends_goes_to_the_end() -> None:
    assert held.look(b'<a href="x').links == ["x"]
    assert held.look(b'<a id="').ids == [""]


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
