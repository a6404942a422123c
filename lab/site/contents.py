"""The *Reading order*: every page once, by what a reader came for, each with the description that it gives itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.site.sheets import Page

# who reads, why, and the addresses in order; a page that does not exist in this build is left out
ORDER: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "In ten minutes",
        "What is measured, what came out, and what it looks like.",
        ("/reading/", "/", "/compare/", "/race/", "/glossary/"),
    ),
    (
        "For judges",
        "From a claim to its bytes, and back.",
        ("/judges/", "/evidence/", "/status/", "/anatomy/", "/inflate/", "/data/", "/growth/"),
    ),
    (
        "For researchers",
        "What was tried, what it gave, what to leave alone, and what to try.",
        (
            *("/ledger/", "/status/", "/against/", "/dead-lanes/", "/next-time/", "/calibration/", "/entropy/"),
            *("/names/", "/notebook/"),
        ),
    ),
    (
        "Beside this lab",
        "What others measured under other contracts; never ranked with runs of ours.",
        ("/others/", "/axes/"),
    ),
)
REST = "The rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Pages for one kind of reader."""

    title: str
    says: str
    pages: tuple[Page, ...]


def alone(pages: Sequence[Page]) -> tuple[Page, ...]:
    """The pages that stand at the root; runs, ledgers of contracts and texts hang below one of them."""
    return tuple(page for page in pages if page.url.count("/") == 2 and page.title)


def groups(pages: Sequence[Page]) -> list[Group]:
    """The pages that stand alone, in reading order, and those that nobody placed."""
    known: Mapping[str, Page] = {page.url: page for page in pages}
    placed = {url for _, _, urls in ORDER for url in urls}
    rest = tuple(page for page in alone(pages) if page.url not in placed)
    found = [
        Group(title=title, says=says, pages=tuple(known[url] for url in urls if url in known))
        for title, says, urls in ORDER
    ]
    return [group for group in (*found, Group(title=REST, says="", pages=rest)) if group.pages]
