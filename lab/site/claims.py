"""The *Evidence* page: what is claimed, the runs that it rests on, their files with digests, and what would refute it.

Claims in words lie in `site_src/claims`, their numbers cited; the claim that a run is the best of its family is made
for each family by the ledger itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lab.errors import SiteError
from lab.site import charts, data
from lab.site import format as show
from lab.site.book import Board, Entry
from lab.site.captions import link
from lab.site.data import Content
from lab.site.prose import Rendered

REPLAYED = "A++"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file that a claim rests on. `url` is empty where the file is named by its digest only."""

    run: Entry
    name: str
    what: str
    n_bytes: int
    sha256: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement with its runs, their files and its falsifier; `waits_for` are recipes without a run."""

    key: str
    title: str
    html: Markup
    runs: tuple[Entry, ...]
    items: tuple[Item, ...]
    falsifier: str
    waits_for: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """How well it stands, from the grades of its runs."""
        if self.waits_for or not self.runs:
            return "waits for a run"
        if not all(entry.current and entry.ranked for entry in self.runs):
            return "weakened: it rests on a run that does not rank"
        if all(entry.run.grade == REPLAYED for entry in self.runs):
            return "stands, every run replayed"
        return "stands"


def written(texts: Sequence[Rendered], files: Mapping[str, Content]) -> list[Claim]:
    """The claims of people.

    Raises:
        SiteError: a claim names no falsifier.
    """
    claims = []
    for text in texts:
        if not text.document.falsifier:
            raise SiteError(text.document.where, expected="a falsifier in the front matter", found="none")
        runs = tuple(entry for entry in text.cited if f'href="{entry.url}"' in text.html)  # not all that it looked at
        claims.append(
            Claim(
                key=text.document.slug,
                title=text.document.title,
                html=text.html,
                runs=runs,
                items=tuple(item for entry in runs for item in _items(entry, files)),
                falsifier=text.document.falsifier,
                waits_for=text.waits_for,
            )
        )
    return claims


def of_families(board: Board | None, files: Mapping[str, Content]) -> list[Claim]:
    """That the best run of each family measured what its record says."""
    claims = []
    for place, entry in enumerate(board.families if board else ()):
        html = Markup("<p>{} scores {} at {} bytes on {}, {}: {} term {}, {} term {}, rate term {}.</p>").format(
            link(entry),
            show.full(entry.total),
            show.byte_count(entry.n_bytes),
            entry.contract.name,
            entry.run.axis,
            "SegNet",
            show.score(entry.run.score.segnet_term),
            "PoseNet",
            show.score(entry.run.score.posenet_term),
            show.score(entry.run.score.rate_term),
        )
        claims.append(
            Claim(
                key=f"best-of-{charts.anchor(entry.run.family)}",
                title=f"The best of {entry.run.family}" + (", and the frontier" if place == 0 else ""),
                html=html,
                runs=(entry,),
                items=tuple(_items(entry, files)),
                falsifier=f"A ranked run of the family with a lower total on the same contract and axis; or "
                f"lab rerun {entry.id} giving other bytes, or components that differ by more than 1e-6.",
            )
        )
    return claims


def _items(entry: Entry, files: Mapping[str, Content]) -> list[Item]:
    kept = entry.data["custody"]
    url = data.archive_url(entry)
    there = url[1:] in files
    found = [
        Item(
            run=entry,
            name="archive.zip",
            what="the bytes that were charged" if there else "the bytes that were charged, kept as digest and recipe",
            n_bytes=entry.n_bytes,
            sha256=str(kept["archive_sha256"]),
            url=url if there else "",
        )
    ]
    for item in entry.evidence:
        address = data.evidence_url(entry, item.name)
        if address[1:] in files:
            found.append(
                Item(run=entry, name=item.name, what=item.what, n_bytes=item.n_bytes, sha256=item.sha256, url=address)
            )
    return found
