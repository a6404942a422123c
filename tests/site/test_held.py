"""Ids, links and inline things of a page are found in one pass, and what stands around every page is checked too."""

from __future__ import annotations

import itertools
import random

import pytest

from lab import shares
from lab.errors import BrokenLink, MediaMissing, SiteError
from lab.site import check, held

# attributes as pages hold them, and what is found in each: ids, links, is it refused?
ATTRIBUTES: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {
    **dict.fromkeys(('class="c"', "hidden", 'data-id="no"', 'title="− style=x"'), ((), (), False)),
    **dict.fromkeys(('title="see href="', 'title="only one="', 'title=" style= onload="'), ((), (), False)),
    **dict.fromkeys(('style="x"', "STYLE=x", 'onclick="x()"', 'ONLOAD="x()"'), ((), (), True)),
    'id="a"': (("a",), (), False),
    'href="javascript:x"': ((), ("javascript:x",), True),
    **{
        f'{name}="{link}"': ((), (link,), False)
        for name, link in (("href", "./y/#z"), ("href", "/"), ("src", ""), ("srcset", "s 2x"), ("data-index", "i"))
    },
}
# texts, and whether they are refused
TEXTS = {
    "text": False,
    "what style=x does": False,
    "&lt;b onclick=&#34;x&#34;&gt; id=": False,
    "a\u00a0href=": False,
    '<script type="module" src="s.js"></script>': False,
    '<script type="application/ld+json">{"a": "its href=", "b": "one=", "c": " style=x"}</script>': False,
    "<script>x</script>": True,
    '<SCRIPT type="module">x</SCRIPT>': True,
    "<STYLE>x</STYLE>": True,
}
FRAME = (
    '<header class="masthead">\n  <a class="wordmark" href="../">lab</a>\n  <ul>\n    <li><a href="./">here</a></li>\n'
    '  </ul>\n</header>\n<main id="main">\n<h1 id="top">{}</h1>\n<a href="#top">up</a>\n</main>\n'
    '<footer class="colophon">\n  <p>said at the foot</p>\n  <a href="../p/">all</a>\n</footer>\n'
)


def test_one_pass_finds_what_a_page_was_made_of() -> None:
    dice = random.Random(7)
    outcomes = set()
    for _ in range(4_000):
        page, ids, links, refused = "", [], [], False
        for _ in range(dice.randint(0, 6)):
            chosen = dice.choices(list(ATTRIBUTES), k=dice.randint(0, 3))
            text = dice.choice(list(TEXTS))
            spaced = "".join(dice.choice(" \t\n") + one for one in chosen)
            page += f"<p{spaced}{dice.choice(('', ' '))}>{text}</p>\n"
            for one in chosen:
                ids += ATTRIBUTES[one][0]
                links += ATTRIBUTES[one][1]
                refused |= ATTRIBUTES[one][2]
            links += ["s.js"] if "s.js" in text else []
            refused |= TEXTS[text]
        found = held.look(page.encode())
        assert (found.ids, found.links, bool(found.inline)) == (ids, links, refused), page
        outcomes.add((bool(ids), bool(links), refused))
    assert len(outcomes) == 8


def test_what_is_refused_is_named() -> None:
    for page, named in (
        ('<p onclick="x()">', 'onclick="'),
        ("<p\nSTYLE='x'>", "STYLE="),
        ("<STYLE>", "<style"),
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
