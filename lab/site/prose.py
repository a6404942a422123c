"""Markdown by people: front matter, cited numbers, then HTML that went through a sanitizer.

What the lab itself puts into a text (numbers with links, figures) never passes through Markdown: it leaves a slot, and
the slot is filled after sanitizing. So a record can neither write Markdown nor widen the allowlist.
"""

from __future__ import annotations

import re
import tomllib
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import count, pairwise
from pathlib import Path
from types import CodeType
from typing import Any, overload

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin

from lab.errors import LabError, SiteError
from lab.site import cite, compiled, maths, sanitize, throughput
from lab.site.book import Board, Book, Entry
from lab.site.cite import Citation, Cited, NoRunYet
from lab.site.coding import Coding
from lab.site.quoted import PublicRecord

_SLOT = re.compile("\ue000(\\d+)\ue001")
_ALONE = re.compile("<p>\\s*\ue000(\\d+)\ue001\\s*</p>")
_HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>')
_FRONT = re.compile(r"\A\+\+\+\n(.*?)\n\+\+\+\n", re.DOTALL)
_TABLES = re.compile("<table>")
_DESK = "\ue000desk"  # no text can name it
Figures = Mapping[str, Callable[..., Markup]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One text of `site_src`, not yet rendered. `short` is what the masthead calls it;
    `falsifier` is what would show a claim to be wrong.
    """

    where: str
    slug: str
    title: str
    summary: str
    short: str = ""
    falsifier: str = ""
    order: int
    body: str
    first_line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A document as HTML, the runs it cites, and the recipes it still waits for (then `html` is empty)."""

    document: Document
    html: Markup
    cited: tuple[Entry, ...] = ()
    waits_for: tuple[str, ...] = ()

    @property
    def headings(self) -> list[tuple[str, str]]:
        """(anchor, words) of the second level, for a table of contents."""
        return [(anchor, Markup(words).striptags()) for anchor, words in _HEADING.findall(self.html)]

    @property
    def date(self) -> str:
        """Day of the newest cited record; empty without citations."""
        return max((str(entry.data["recorded_at"])[:10] for entry in self.cited), default="")


class Ranked(Sequence[Citation]):
    """Runs in an order, each of which is noted when it is taken."""

    def __init__(self, runs: Sequence[Entry], note: Callable[[Citation], Citation]) -> None:
        self._runs, self._note = runs, note

    def __len__(self) -> int:
        return len(self._runs)

    @overload
    def __getitem__(self, at: int) -> Citation: ...
    @overload
    def __getitem__(self, at: slice) -> Ranked: ...
    def __getitem__(self, at: int | slice) -> Citation | Ranked:
        return Ranked(self._runs[at], self._note) if isinstance(at, slice) else self._note(Citation(self._runs[at]))


@dataclass(slots=True)
class Desk:
    """What a text may ask for while it is written: runs of one board, constants of its contract, figures."""

    book: Book
    board: Board | None
    figures: Figures
    terms: Mapping[str, str]
    slots: list[Markup] = field(default_factory=list)
    cited: dict[str, Entry] = field(default_factory=dict)

    def cite(self, identifier: str) -> Citation:
        """A run by its id."""
        return self._note(cite.by_id(self.board, identifier))

    def recipe(self, name: str) -> Citation:
        """The newest run of a recipe."""
        return self._note(cite.by_recipe(self.board, name))

    def frontier(self) -> Citation:
        """The best ranked run."""
        if self.board is None or self.board.frontier is None:
            raise NoRunYet("any recipe")
        return self._note(Citation(self.board.frontier))

    def family(self, name: str) -> Sequence[Citation]:
        """Every run of a codec family, best first; those that a text takes out of it are cited."""
        entries = self.board.by_family.get(name, []) if self.board else []
        return Ranked(entries, self._note)

    def tried(self, run: Citation) -> list[Citation]:
        """Every run whose parent is this one, best first."""
        entries = self.board.children.get(run.entry.id, []) if self.board else []
        return [self._note(Citation(entry)) for entry in sorted(entries, key=lambda e: (e.total, e.id))]

    def figure(self, name: str, *runs: Citation) -> Markup:
        """A figure of this name, drawn from these runs or from the whole board."""
        if name not in self.figures:
            raise SiteError(f"figure({name!r})", expected="one of " + ", ".join(sorted(self.figures)), found="none")
        return self.figures[name](*(run.entry for run in runs))

    def term(self, word: str, shown: str = "") -> Markup:
        """A link to the glossary."""
        anchor = self.terms.get(word.lower())
        if anchor is None:
            raise SiteError(f"term({word!r})", expected="a word of the glossary", found="none", fix="define it there")
        return Markup('<a class="term" href="/glossary/#{}">{}</a>').format(anchor, shown or word)

    def slot(self, value: Any) -> str:
        """Keep what an expression gave, escaped unless it is ours, and leave a mark in its place."""
        if isinstance(value, str) and _SLOT.search(value):
            return value  # what a macro of the text gave; records cannot hold these marks
        if isinstance(value, (Markup, Cited, Citation)):
            self.slots.append(escape(value))
        elif isinstance(value, jinja2.Undefined):
            str(value)  # a strict undefined raises here, with the name that is missing
        else:
            self.slots.append(escape(sanitize.inert(str(value))))
        return f"\ue000{len(self.slots) - 1}\ue001"

    def fill(self, html: str) -> Markup:
        """HTML with every mark replaced by what it stands for."""
        return Markup(_SLOT.sub(lambda found: self.slots[int(found[1])], _ALONE.sub("\ue000\\1\ue001", html)))

    def _note(self, citation: Citation) -> Citation:
        self.cited[citation.entry.id] = citation.entry
        return citation


def read(path: Path, source: Path) -> Document:
    """A document from a Markdown file with TOML front matter between `+++` lines.

    Raises:
        SiteError: no front matter, or one without a title.
        UncitedNumber: a measured number was typed by hand.
    """
    where = path.relative_to(source.parent).as_posix()
    text = path.read_text(encoding="utf-8")
    found = _FRONT.match(text)
    try:
        front = tomllib.loads(found[1]) if found else {}
        title, summary = front["title"], front.get("summary", "")
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise SiteError(where, expected="front matter with a title between +++ lines", found=str(error)) from None
    if not sanitize.is_inert(text.replace("\u200d", "")):
        raise SiteError(where, expected="plain text", found="characters that hide or reorder text")
    cite.uncited(text, where)
    body = text[found.end() :] if found else text
    return Document(
        where=where,
        slug=path.stem,
        title=title,
        summary=summary,
        short=str(front.get("short", title)),
        falsifier=str(front.get("falsifier", "")),
        order=int(front.get("order", 0)),
        body=body,
        first_line=text[: found.end()].count("\n") + 1 if found else 1,
    )


def read_folder(folder: Path, source: Path) -> list[Document]:
    """Every document of a folder, by `order`, then by name."""
    documents = [read(path, source) for path in sorted(folder.glob("*.md"))]
    return sorted(documents, key=lambda document: (document.order, document.slug))


def render(document: Document, desk: Desk) -> Rendered:
    """A document as HTML; it waits where it cites a recipe that has no run yet.

    Raises:
        SiteError: a name or field that does not exist, with path and line.
    """
    board = desk.board
    names = {
        _DESK: desk,
        "cite": desk.cite,
        "recipe": desk.recipe,
        "family": desk.family,
        "tried": desk.tried,
        "frontier": desk.frontier,
        "figure": desk.figure,
        "term": desk.term,
        "external": cite.external,
        "public": PublicRecord(desk.book.ledgers),
        "coding": Coding(desk.book.ledgers),
        "throughput": throughput.load(desk.book.ledgers),
        "contract": board.contract if board else (desk.book.main.contract if desk.book.main else None),
        "site": desk.book.site,
    }
    try:
        text = jinja2.Template.from_code(_environment(), _code(document), names).render()
    except NoRunYet as missing:
        return Rendered(document=document, html=Markup(), waits_for=(missing.recipe,))
    except (jinja2.TemplateError, TypeError, ValueError, ZeroDivisionError, AttributeError, LabError) as error:
        raise _placed(error, document) from None
    return Rendered(document=document, html=desk.fill(_html(text)), cited=tuple(desk.cited.values()))


@lru_cache(maxsize=1 << 9)
def _html(text: str) -> str:
    """What Markdown makes of a text whose slots are empty still, sanitized: the same text gives the same."""
    html = sanitize.clean_html(_markdown().render(text).replace('style="text-align:right"', 'class="number"'))
    html = _TABLES.sub(_numbered(), html).replace("</table>", "</table></div>")
    return html.replace("<pre>", '<pre tabindex="0">')


def _code(document: Document) -> CodeType:
    body, where = document.body, document.where
    return compiled.code(lambda: _environment().compile(body, where, where), "prose", where, body)


@cache
def _environment() -> jinja2.Environment:
    """What texts are written in; each value that they print goes to the desk of the text."""

    @jinja2.pass_context  # so that it is called when a text is written, not when it is compiled
    def slot(context: jinja2.runtime.Context, value: Any) -> str:
        shown: str = context[_DESK].slot(value)
        return shown

    found = jinja2.Environment(undefined=jinja2.StrictUndefined, finalize=slot, autoescape=False)
    found.filters.update(cite.FILTERS)
    return found


def glossary_terms(document: Document) -> dict[str, str]:
    """Anchor of every word that the glossary defines.

    Raises:
        SiteError: a word is defined twice.
    """
    words: dict[str, str] = {}
    lines = document.body.split("\n")
    for number, (word, meaning) in enumerate(pairwise(lines), document.first_line):
        if meaning.startswith(": ") and word.strip():
            key = word.strip().lower()
            if key in words:
                raise SiteError(f"{document.where}:{number}", expected="each word defined once", found=repr(word))
            words[key] = slugify(key)
    return words


def with_anchors(html: Markup) -> Markup:
    """A definition list whose words carry the anchors that `glossary_terms` gives."""
    return Markup(re.sub(r"<dt>(.*?)</dt>", lambda found: f'<dt id="{slugify(found[1])}">{found[1]}</dt>', html))


def slugify(text: str) -> str:
    """An anchor: lower case, words joined by dashes."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"<[^>]*>", "", text).lower()).strip("-") or "section"


def _numbered() -> Callable[[re.Match[str]], str]:
    """Each table in a frame that scrolls by itself, told apart by number for screen readers."""
    numbers = count(1)
    return lambda _: f'<div class="scroll" tabindex="0" role="region" aria-label="Table {next(numbers)}"><table>'


def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.use(footnote_plugin).use(deflist_plugin).use(maths.formulas)
    return parser.use(anchors_plugin, min_level=2, max_level=3, slug_func=slugify)


def _placed(error: Exception, document: Document) -> LabError:
    """The error with the path and line of the expression that raised it."""
    line = getattr(error, "lineno", None)
    if line is None:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == document.where]
        line = frames[-1].lineno if frames else 1
    where = f"{document.where}:{(line or 1) + document.first_line - 1}"
    if isinstance(error, LabError):
        return type(error)(f"{where}, {error.where}", expected=error.expected, found=error.found, fix=error.fix)
    return SiteError(where, expected="an expression that can be cited", found=str(error)[:200])
