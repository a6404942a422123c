"""Every page of the site that code makes, described once: masthead, title, lead, feeds and the list of pages read here.

A page of prose (`site_src/pages`, the notebook) describes itself in its front matter; a run describes itself by its
question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: its address, its template and everything that the template prints. `modules`: scripts it may load.

    `context` may be a function that decides the values when the page is rendered, perhaps in another process.
    `nav` is the address of the page under which the masthead files it, `short` what the masthead calls it; `searched`
    pages are in the search index. Two pages of one `key` differ at most where mastheads or templates do.
    """

    url: str
    template: str
    title: str
    description: str
    context: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    nav: str = ""
    short: str = ""
    modules: tuple[str, ...] = ()
    searched: bool = True
    key: Any = None

    @property
    def values(self) -> Mapping[str, Any]:
        """What its template prints; of a page whose values are decided late, decided now."""
        return self.context() if callable(self.context) else self.context

    @property
    def path(self) -> str:
        """Its file in the tree."""
        return self.url[1:] if self.url.endswith(".html") else f"{self.url[1:]}index.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What is fixed of a page: everything but its values."""

    template: str
    title: str
    description: str
    nav: str = ""
    short: str = ""
    modules: tuple[str, ...] = ()
    searched: bool = True


FIGURES = ("chart", "table")

SHEETS: dict[str, Sheet] = {
    "/ledger/": Sheet(
        template="ledgers.html",
        title="Ledgers",
        description="A contract fixes everything that makes two scores comparable: the source video, the networks, the "
        "formula. Each has a ledger of its own, and nothing is ranked across them.",
        short="Ledger",
    ),
    "/notebook/": Sheet(
        template="notebook.html",
        title="Notebook",
        description="What the runs taught, in prose whose numbers are all cited.",
    ),
    "/compare/": Sheet(
        template="compare.html",
        title="Compare runs, frame by frame",
        description="Two to four runs beside the original, always on the same frame, with one window that enlarges the "
        "same place in all of them, and what the networks made of it drawn over the pictures.",
        short="Compare",
        modules=("compare",),
    ),
    "/others/": Sheet(
        template="others.html",
        title="What others measured",
        description="The contest that this lab grew from, as its public record states it: carried with its sources, "
        "recomputed where components are known, and never ranked beside a run of ours.",
        short="Others",
        modules=FIGURES,
    ),
    "/anatomy/": Sheet(
        template="anatomy.html",
        title="Where the bytes go",
        description="The best archive of every family cut open: every stream to scale, what it is, how it is coded, "
        "what it costs in score, and what is inside. Then the archives that others made, as far as they are known.",
        nav="/judges/",
        short="Anatomy",
        modules=("chart",),
    ),
    "/status/": Sheet(
        template="status.html",
        title="Where the lab stands",
        description="The frontier of every contract and axis, the questions that are open, the buried lanes next to "
        "the best runs, what has gone stale, and what to run next: decided from the ledger alone.",
        nav="/ledger/",
        short="Status",
        modules=("copy",),
    ),
    "/axes/": Sheet(
        template="axes.html",
        title="CPU against CUDA",
        description="One archive, two scores: ratios and gap between the contest's axes, and where the gap comes from.",
        nav="/others/",
        modules=FIGURES,
    ),
    "/entropy/": Sheet(
        template="entropy.html",
        title="Entropy",
        description="Class maps through every coder, sizes and speeds side by side, and what our bits are spent on.",
        modules=FIGURES,
    ),
    "/calibration/": Sheet(
        template="calibration.html",
        title="Calibration",
        description="A search writes down what it expects of every run before it starts it: a band of scores, or a "
        "refusal by name. Here what was measured stands beside it. A prediction is never evidence.",
        nav="/ledger/",
        modules=FIGURES,
    ),
    "/against/": Sheet(
        template="against.html",
        title="Why one run beats another",
        description="Two runs side by side, term by term: where the better one gains, where it pays, and what differs.",
        nav="/ledger/",
        modules=("against",),
    ),
    "/race/": Sheet(
        template="race.html",
        title="The race",
        description="Own best against the public best, and family against family, on a logarithmic scale: who led, and "
        "after how many entries.",
        short="Race",
        modules=FIGURES,
    ),
    "/dead-lanes/": Sheet(
        template="dead-lanes.html",
        title="Dead lanes",
        description="What was tried and buried, with the mechanism that killed it. The same ideas return in other "
        "clothes: search here before trying one.",
        modules=("table",),
    ),
    "/evidence/": Sheet(
        template="evidence.html",
        title="Evidence",
        description="From claim to run to files with their digests, and what would show each claim to be wrong.",
    ),
    "/inflate/": Sheet(
        template="inflate.html",
        title="How an archive inflates",
        description="What the decoder of each family does with its archive, stage by stage, in time and bytes.",
        nav="/judges/",
    ),
    "/growth/": Sheet(
        template="growth.html",
        title="How a build grows",
        description="Time, memory and files of a build of this site while its ledger grows, its "
        "speed beside Pelican and MkDocs on the same content, and how fast the page of a long ledger sorts.",
        nav="/data/",
        modules=("chart",),
    ),
    "/names/": Sheet(
        template="names.html",
        title="Name decoder",
        description="The name of a recipe is a list of its tricks. Each piece is explained here, with its worth.",
        nav="/ledger/",
        modules=("table",),
    ),
    "/interactive/": Sheet(
        template="interactive.html",
        title="Figures to zoom and pan",
        description="Every figure of these pages once more, from the same description, to be zoomed, panned and read "
        "point by point. The script that does it is large and is fetched when a figure is chosen.",
        nav="/contents/",
        short="Figures",
        modules=("interactive",),
        searched=False,
    ),
    "/contents/": Sheet(
        template="contents.html",
        title="Reading order",
        description="Every page once, in the order in which to read it, by what you came for.",
        short="All pages",
        searched=False,
    ),
    "/search/": Sheet(
        template="search.html",
        title="Search",
        description="Words in the notebook, the guides, the glossary and the pages of results.",
        modules=("search",),
        searched=False,
    ),
    "/changes/": Sheet(
        template="changes.html",
        title="Changes",
        description="What changed for users of the lab and of the site.",
    ),
    "/data/": Sheet(
        template="data.html",
        title="Data",
        description="The ledger as files for machines. A field leaves the ledger only if it is declared public; "
        "everything else is withheld and listed.",
        modules=("copy",),
    ),
    "/404.html": Sheet(template="404.html", title="Not here", description="No page of this name.", searched=False),
}


def sheet(url: str, /, **context: Any) -> Page:
    """The page of an address in `SHEETS`, with its values."""
    fixed = SHEETS[url]
    return Page(
        url=url,
        template=fixed.template,
        title=fixed.title,
        description=fixed.description,
        nav=fixed.nav or url,
        short=fixed.short or fixed.title,
        modules=fixed.modules,
        searched=fixed.searched,
        context=context,
    )
