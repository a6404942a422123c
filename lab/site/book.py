"""Everything that the site is made from: contracts, runs with their evidence, settings. Types only; see `intake`.

A `Shelf` holds the runs of one contract; a `Board` holds those of them that may be compared: one axis, one state of
the contract, not superseded. Nothing is ranked across boards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from lab.contract import Contract
from lab.ledger import Run
from lab.site import sanitize
from lab.site.anatomy import Anatomy
from lab.site.sanitize import Withheld
from lab.site.training import Curve

RANKED = ("A++", "A", "A-negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What `site_src/site.toml` says of the publication. An empty `url` is a placeholder and stays one.

    `declared`: addresses and handles of the author that pass the leak gate, because he made them public on purpose.
    """

    title: str
    tagline: str
    url: str
    repository: str
    author: str
    licence: str
    default_contract: str
    baseline: str
    declared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """One published file of evidence."""

    name: str
    path: Path
    n_bytes: int
    sha256: str

    @property
    def what(self) -> str:
        """What the file holds, in words."""
        return sanitize.PUBLIC_EVIDENCE[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run as it may be published: the public part of its record and what lies beside it.

    `former`: it was measured under a former state of its contract; `contract` is then that state, where it is kept.
    `plain`: its ledger is long, and its evidence stays there; the page has the record alone. `row`: address of its
    line in the list of its ledger, if it has no page at all. `made`: what was made of it once.

    By name: `slug`, the recipe's name without the family; `url`, the address of its page or of its line in a list;
    `data`, the public record; `n_bytes`, the size of its archive; `parent`, id of the run that deltas are taken
    against; `ranked`: may it stand in a ranked table? `order`: total and id, the lowest first.
    """

    run: Run
    contract: Contract
    evidence: tuple[EvidenceFile, ...]
    anatomy: Anatomy | None
    pairs: tuple[tuple[float, float], ...]
    curve: Curve | None
    clip: Path | None
    archive: Path | None
    superseded_by: str | None = None
    former: bool = False
    plain: bool = False
    row: str = ""
    flags: tuple[str, ...] = ()
    made: dict[str, Any] = field(init=False, default_factory=dict, repr=False, compare=False)

    id: str = field(init=False, compare=False)
    slug: str = field(init=False, compare=False)
    url: str = field(init=False, compare=False)
    data: Mapping[str, Any] = field(init=False, compare=False, repr=False)
    total: float = field(init=False, compare=False)
    n_bytes: int = field(init=False, compare=False)
    parent: str | None = field(init=False, compare=False)
    ranked: bool = field(init=False, compare=False)
    order: tuple[float, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Name what is asked for hundreds of thousands of times where there are thousands of runs."""
        run, put = self.run, partial(object.__setattr__, self)
        put("id", run.id)
        put("slug", run.recipe.rpartition("/")[2])
        put("url", self.row or f"/runs/{self.contract.name}/{run.id}/")
        put("data", run.data)
        put("total", run.total)
        put("n_bytes", run.archive_bytes)
        put("parent", run.parents[0] if run.parents else None)
        put("ranked", run.grade in RANKED)
        put("order", (run.total, run.id))

    @property
    def rule_faithful_bytes(self) -> int:
        """Size of archive, decoder scripts and any weights that they load."""
        return int(self.run.data["rates"]["rule_faithful_bytes"])

    @property
    def rule_faithful_total(self) -> float:
        """Its score where the decoder is charged too."""
        price = self.contract.formula.byte_price(self.contract.source.bytes)
        return self.total + (self.rule_faithful_bytes - self.n_bytes) * price

    @property
    def current(self) -> bool:
        """Does it stand: replaced by none, and measured under the contract as it is now?"""
        return self.superseded_by is None and not self.former


@dataclass(frozen=True, kw_only=True)
class Board:
    """Runs that may be compared with each other, oldest first."""

    contract: Contract
    axis: str
    entries: tuple[Entry, ...]
    baseline: str = ""

    @cached_property
    def by_id(self) -> dict[str, Entry]:
        """Every run by its id."""
        return {entry.id: entry for entry in self.entries}

    @cached_property
    def frontier(self) -> Entry | None:
        """The lowest total among ranked runs."""
        return next(iter(self.ranked_first), None)

    @cached_property
    def ranked(self) -> tuple[Entry, ...]:
        """Runs that may stand in a ranked table, oldest first."""
        return tuple(entry for entry in self.entries if entry.ranked)

    @cached_property
    def ranked_first(self) -> tuple[Entry, ...]:
        """The same, the lowest total first."""
        return tuple(entry for entry in self.best_first if entry.ranked)

    @cached_property
    def drawn(self) -> dict[str, Any]:
        """Figures of the whole board that were drawn already, by key."""
        return {}

    @cached_property
    def best_first(self) -> tuple[Entry, ...]:
        """Every run, the lowest total first."""
        return tuple(sorted(self.entries, key=attrgetter("order")))

    @cached_property
    def pareto(self) -> tuple[Entry, ...]:
        """Ranked runs that no other ranked run beats in both bytes and score, smallest first."""
        line: list[Entry] = []
        for entry in sorted(self.ranked_first, key=attrgetter("n_bytes")):
            if not line or entry.total < line[-1].total:
                line.append(entry)
        return tuple(line)

    @cached_property
    def start(self) -> Entry | None:
        """What results are quoted against: the newest run of the baseline recipe, else the first run on record."""
        if known := self.of_recipe(self.baseline):
            return known
        return next((entry for entry in self.ranked if not entry.run.parents), None)

    @cached_property
    def children(self) -> dict[str, list[Entry]]:
        """Runs by the id of the parent that they depart from, oldest first."""
        out: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.parent:
                out.setdefault(entry.parent, []).append(entry)
        return out

    @cached_property
    def by_score(self) -> dict[str, tuple[list[float], list[Entry]]]:
        """The same with their totals, the lowest first."""
        ordered = {key: sorted(group, key=attrgetter("order")) for key, group in self.children.items()}
        return {key: ([entry.total for entry in group], group) for key, group in ordered.items()}

    @cached_property
    def families(self) -> list[Entry]:
        """The best ranked run of each codec family, best first."""
        best = [next((entry for entry in group if entry.ranked), None) for group in self.by_family.values()]
        return sorted((entry for entry in best if entry), key=attrgetter("order"))

    @cached_property
    def by_family(self) -> dict[str, list[Entry]]:
        """Every run by its codec family, best first."""
        out: dict[str, list[Entry]] = {}
        for entry in self.best_first:
            out.setdefault(entry.run.family, []).append(entry)
        return out

    def of_recipe(self, name: str) -> Entry | None:
        """The newest run of a recipe."""
        return self._newest.get(name)

    @cached_property
    def _newest(self) -> dict[str, Entry]:
        return {entry.run.recipe: entry for entry in self.entries}


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Every run of one contract, oldest first, and its boards, the main axis first."""

    contract: Contract
    entries: tuple[Entry, ...]
    boards: tuple[Board, ...]

    @cached_property
    def digest(self) -> str:
        """State of the contract."""
        return self.contract.digest

    @cached_property
    def by_id(self) -> dict[str, Entry]:
        """Every run by its id, superseded ones included."""
        return {entry.id: entry for entry in self.entries}

    @cached_property
    def current(self) -> tuple[Entry, ...]:
        """The runs that stand today, oldest first."""
        return tuple(entry for entry in self.entries if entry.current)

    @cached_property
    def history(self) -> tuple[Entry, ...]:
        """The runs that a later one replaced, or that a former state of the contract left behind."""
        return tuple(entry for entry in self.entries if not entry.current)

    @cached_property
    def pageless(self) -> int:
        """How many of its runs have no page of their own."""
        return sum(bool(entry.row) for entry in self.entries)

    def count(self, verdict: str) -> int:
        """How many standing runs carry this verdict."""
        return self._verdicts[verdict]

    @cached_property
    def _verdicts(self) -> Counter[str]:
        return Counter(entry.run.verdict for entry in self.current)

    @property
    def url(self) -> str:
        """Address of its ledger page."""
        return f"/ledger/{self.contract.name}/"


@dataclass(frozen=True, kw_only=True)
class Book:
    """All of it. `main` is the contract that the landing page shows, None where nothing at all can be loaded."""

    site: Site
    source: Path
    ledgers: Path
    shelves: tuple[Shelf, ...]
    main: Shelf | None
    withheld: tuple[Withheld, ...]

    @cached_property
    def last_recorded(self) -> str:
        """Time of the newest record, the only date that a build may show; empty without records."""
        return max((str(entry.data["recorded_at"]) for shelf in self.shelves for entry in shelf.entries), default="")
