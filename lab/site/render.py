"""Pages through templates, into a tree of files. Nothing is written to disk here, and most pages are rendered late."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from lab import custody
from lab.errors import SiteError
from lab.site import bundle, captions, compiled, details, feeds, figures, laws, readers, sanitize
from lab.site import format as show
from lab.site.book import Board, Entry
from lab.site.charts import Figure
from lab.site.data import LINKS, Content, Seal
from lab.site.forms import Forms, marked
from lab.site.packets import FOLDER
from lab.site.plan import FigureMakers, Plan
from lab.site.sheets import Page

_IMPORT = re.compile(rb'(\b(?:from |import\()"\./)([a-z-]+\.js)("\)?;)')
_LINK_ENDS = tuple(f"{space}{name}".encode() for name in LINKS for space in " \n")


def environment(templates: Path, assets: Mapping[str, str]) -> jinja2.Environment:
    """The templates with the house formats; every text is escaped, every missing name is an error."""
    found = Forms(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=compiled.Templates(),
    )
    formats = ("score", "full", "byte_count", "size", "signed", "signed_bytes", "percent", "scientific", "seconds")
    found.filters.update({name: getattr(show, name) for name in (*formats, "plain", "short_digest", "date")})
    found.globals.update(
        asset=partial(_asset, assets),
        verdicts=tuple(figures.VERDICTS),
        digits=split_score,
        once=Once(),
        difference=difference,
    )
    return found


class Once:
    """Pieces of pages that are drawn once and stand on many, kept by a key that decides all that they print."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Hashable], Any] = {}

    def __call__(self, macro: Callable[..., Any], *arguments: Any, key: Hashable = ()) -> Any:
        """What a macro prints; `key` stands for its arguments where they are no texts."""
        name = (macro.name, key or arguments)  # type: ignore[attr-defined]
        if name not in self._kept:
            self._kept[name] = macro(*arguments)
        return self._kept[name]


def split_score(value: float) -> tuple[str, str]:
    """The digits of a score that are read, and the further ones that make it exact."""
    text = show.full(value)
    cut = text.index(".") + 5 if "." in text and "e" not in text else len(text)
    return text[:cut], text[cut:]


def difference(value: float, digits: int = 6) -> Markup:
    """A difference of scores with its sign; less is better."""
    kind = "better" if value < 0 else "worse" if value > 0 else ""
    return marked(Markup, f'<span class="delta {kind}">{show.signed(value, digits)}</span>')


def figure_makers(templates: Path, board: Board | None, keep: Callable[[Figure], None]) -> FigureMakers:
    """The figures that prose may ask for by name, as HTML; each that is drawn is kept."""
    module: Any = environment(templates, {}).get_template("macros.html").module

    def drawn(make: Callable[..., Figure | None], *arguments: Any) -> Markup:
        made = make(*arguments)
        if made is None:
            return Markup("")
        keep(made)
        return Markup(module.figure(made))

    def on_board(make: Callable[[Board], Figure | None]) -> Callable[[], Markup]:
        return lambda: drawn(make, board) if board else Markup("")

    def bars(*entries: Entry) -> Markup:
        return Markup(module.term_figure(figures.terms(entries), captions.terms(entries))) if entries else Markup("")

    return {
        "score-vs-bytes": on_board(figures.score_vs_bytes),
        "focus": on_board(partial(figures.score_vs_bytes, focus=True)),
        "trajectory": on_board(figures.trajectory),
        "terms": bars,
        "width": lambda *entries: drawn(laws.width, *entries),
        "who-reads-what": on_board(readers.who_reads_what),
        "receiver-grid": lambda: drawn(details.receiver_grid, board.contract) if board else Markup(""),
        "pairs": lambda entry: drawn(details.pairs, entry),
        "training": partial(drawn, details.training),
    }


def assets(folder: Path) -> tuple[dict[str, str], dict[str, Content]]:
    """(address by plain name, content by path) of stylesheet, scripts and pictures; addresses carry a digest.

    A script that imports another one by its plain name gets the name with the digest.
    """
    raw = {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}
    names: dict[str, str] = {}
    files: dict[str, Content] = {}

    def place(name: str, within: tuple[str, ...] = ()) -> str:
        if name not in raw or name in within:
            raise SiteError(f"asset {name!r}", expected="scripts that import each other in no circle", found="none")
        if name not in names:
            content = raw[name]
            if name.endswith(".js"):
                content = _IMPORT.sub(
                    lambda hit: hit[1] + place(hit[2].decode(), (*within, name)).encode() + hit[3], content
                )
            stem, _, end = name.rpartition(".")
            names[name] = f"{stem}.{custody.sha256_bytes(content)[:10]}.{end}"
            files[f"assets/{names[name]}"] = content
        return names[name]

    for name in raw:
        place(name)
    return {name: f"/assets/{placed}" for name, placed in names.items()}, files


def render(plan: Plan, templates: Path) -> dict[str, Content | Seal]:
    """The whole tree: pages, assets, data and media, by path. Pages that are not searched are rendered when read."""
    urls, assets_found = assets(plan.book.source / "assets")
    tree: dict[str, Content | Seal] = {**assets_found, **plan.files}
    found = environment(templates, urls)
    found.globals.update(nav=plan.nav, site=plan.book.site, book=plan.book, last_recorded=plan.book.last_recorded)
    found.globals.update(has_feed=feeds.ATOM in plan.files, has_packet=f"{FOLDER}inflate.sh" in plan.files)
    found.globals.update(there=frozenset(page.url for page in plan.pages))
    for name in sorted({page.template for page in plan.pages}):  # compiled once, before workers are forked
        found.get_template(name)
    around, stage, lates = _around(plan, templates, urls), plan.stage, {}
    stage.draw = partial(one, found=found)
    for page in plan.pages:
        made: Content
        if page.searched:
            path, made = page.path, one(page, found)
        else:
            late = lates[page.url] = stage.late(page, around)
            _, _, path, made = late
        if path in tree:
            raise SiteError(page.url, expected="every address once", found="two files")
        tree[path] = made
    stage.lates = lates
    tree[bundle.RELEASE] = bundle.release(plan.book, plan.files)
    tree[bundle.BUNDLE] = Seal(partial(bundle.bundle, plan.book, templates))
    return {name: tree[name] for name in sorted(tree)}


def _around(plan: Plan, templates: Path, urls: Mapping[str, str]) -> str:
    """Digest of what stands on every page: templates, masthead, settings of the site, addresses of assets."""
    texts = [(path.name, path.read_bytes()) for path in sorted(templates.glob("*.html"))]
    nav = [(page.url, page.short) for page in plan.nav]
    around = repr((nav, plan.book.site, sorted(urls.items()), feeds.ATOM in plan.files))
    return custody.sha256_tree([*texts, ("around", around.encode())])


def one(page: Page, found: jinja2.Environment) -> bytes:
    """One page as bytes, its links relative, so that the site works below any address."""
    html = found.get_template(page.template).render(page=page, **page.values).encode("utf-8", "surrogatepass")
    if page.url != "/404.html":
        html = relative(html, "../" * (page.url.count("/") - 1) or "./")
    if not sanitize.is_inert_page(html):
        raise SiteError(page.url, expected="plain text", found="characters that hide or reorder text")
    return html


def relative(html: bytes, up: str) -> bytes:
    """A page whose links from the root begin with `up`, the way from the page to the root."""
    pieces = html.split(b'="/')
    mark = f'="{up}'.encode()
    if not [piece for piece in pieces[:-1] if not piece.endswith(_LINK_ENDS)]:  # no text that looks like a link
        return mark.join(pieces)
    return b"".join([piece + (mark if piece.endswith(_LINK_ENDS) else b'="/') for piece in pieces[:-1]] + pieces[-1:])


def _asset(urls: Mapping[str, str], name: str) -> str:
    if name not in urls:
        raise SiteError(f"asset {name!r}", expected="one of " + ", ".join(sorted(urls)), found="none")
    return urls[name]
