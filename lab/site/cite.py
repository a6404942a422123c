"""Numbers in prose: every one is cited from a run, or the build stops.

A citation gives values that know the runs they come from. They add, subtract, divide and compare, and the result still
knows its runs; printed, each is a link to the run with its id and grade. Values of two boards do not mix.

The rule for hand-typed text (`uncited`): in `site_src`, outside of Jinja tags, link targets and fenced code, a text
may hold plain integers below 10,000 (sizes, counts of things that the text itself shows). Anything that looks measured
is refused: a decimal, a grouped or longer integer, an exponent, a number with a unit or a percent sign. A number that
somebody else measured is written `{{ external(0.193, "where it stands") }}`, a constant `{{ contract.n_pairs }}`.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import total_ordering
from typing import Any

from markupsafe import Markup, escape

from lab.errors import SiteError, UncitedNumber
from lab.site import format as show
from lab.site.book import Board, Entry

_MEASURED = re.compile(
    r"(?<![\w.])(?:\d+\.\d+(?![\w.]*\.\d)"  # 0.8731, but not 2.13.0
    r"|\d{1,3}(?:,\d{3})+"  # 178,981
    r"|\d{5,}(?!\w)"  # 178981
    r"|\d+(?:\.\d+)?[eE][+-]?\d+"  # 4e-5
    r"|\d+\s?(?:%|percent\b|bytes?\b|[KMG]i?B\b|bits?\b|bpp\b|dB\b|ms\b|s\b|seconds?\b|minutes?\b))"
)
_BLANKED = re.compile(
    r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|^```.*?^```[ \t]*$|\]\([^)\n]*\)|https?://\S+", re.DOTALL | re.MULTILINE
)


class NoRunYet(Exception):
    """A recipe that prose cites has no run on the board; the text waits for it."""

    def __init__(self, recipe: str) -> None:
        super().__init__(recipe)
        self.recipe = recipe


def uncited(text: str, where: str, first_line: int = 1) -> None:
    """Return only if a text holds no hand-typed measured number.

    Raises:
        UncitedNumber: with path and line.
    """
    blanked = _BLANKED.sub(lambda found: "\n" * found.group().count("\n"), text)
    for number, line in enumerate(blanked.split("\n"), first_line):
        if found := _MEASURED.search(line):
            raise UncitedNumber(
                f"{where}:{number}",
                expected="a cited number",
                found=repr(found.group()),
                fix='write {{ cite("run-id").score.total }}, {{ recipe("family/slug").bytes }} '
                'or {{ external(value, "source") }}',
            )


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Cited:
    """A number with the runs that it comes from. `text` is how it is printed, once a filter has decided."""

    value: float
    sources: tuple[Entry, ...]
    text: str = ""

    def __html__(self) -> Markup:
        first = self.sources[0]
        origin = ", ".join(f"{entry.id} (grade {entry.run.grade}, {entry.run.axis})" for entry in self.sources)
        return Markup('<a class="cite" href="{}" title="{}">{}</a>').format(
            first.url, origin, self.text or self._plain()
        )

    def __str__(self) -> str:
        return self.text or self._plain()

    def _plain(self) -> str:
        return show.byte_count(self.value) if isinstance(self.value, int) else show.scientific(self.value, 4)

    def __float__(self) -> float:
        return float(self.value)

    def _with(self, other: object, how: Callable[[float, float], float]) -> Cited:
        if isinstance(other, Cited):
            here, there = self.sources[0], other.sources[0]
            if here.contract.name != there.contract.name or here.run.axis != there.run.axis:
                raise SiteError(f"{here.id} and {there.id}", expected="runs of one contract and axis", found="two")
            sources = self.sources + tuple(e for e in other.sources if e.id not in {s.id for s in self.sources})
            return Cited(how(self.value, other.value), sources)
        if isinstance(other, (int, float)):
            return Cited(how(self.value, other), self.sources)
        raise TypeError(f"a cited number does not combine with {type(other).__name__}")

    def __add__(self, other: object) -> Cited:
        return self._with(other, lambda a, b: a + b)

    def __sub__(self, other: object) -> Cited:
        return self._with(other, lambda a, b: a - b)

    def __rsub__(self, other: object) -> Cited:
        return self._with(other, lambda a, b: b - a)

    def __mul__(self, other: object) -> Cited:
        return self._with(other, lambda a, b: a * b)

    def __truediv__(self, other: object) -> Cited:
        return self._with(other, lambda a, b: a / b)

    def __neg__(self) -> Cited:
        return replace(self, value=-self.value)

    def __abs__(self) -> Cited:
        return replace(self, value=abs(self.value))

    def __eq__(self, other: object) -> bool:
        return float(self) == float(other) if isinstance(other, (Cited, int, float)) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return float(self) < float(other) if isinstance(other, (Cited, int, float)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


class Branch:
    """A table of a record: its numbers are cited, its texts are texts."""

    def __init__(self, table: Mapping[str, Any], entry: Entry, path: str) -> None:
        self._table, self._entry, self._path = table, entry, path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._table:
            raise AttributeError(f"{self._entry.id} has no field {self._path}{name}")
        value = self._table[name]
        if isinstance(value, Mapping):
            return Branch(value, self._entry, f"{self._path}{name}.")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return Cited(value, (self._entry,))
        return value


class Citation(Branch):
    """One run, as prose names it: any field of its record, and `bytes`, `link`, `name`, `id` for short."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.data, entry, "")

    @property
    def entry(self) -> Entry:
        """The run itself."""
        return self._entry

    @property
    def bytes(self) -> Cited:
        """Size of the archive."""
        return Cited(self._entry.n_bytes, (self._entry,))

    @property
    def name(self) -> str:
        """Recipe name without the family."""
        return self._entry.slug

    @property
    def changed(self) -> str:
        """The one axis that differs from the parent."""
        return str(self._entry.data["recipe"]["changed"])

    @property
    def link(self) -> Markup:
        """A link to the run."""
        return Markup('<a class="run-link" href="{}">{}</a>').format(self._entry.url, self._entry.slug)

    @property
    def stages(self) -> list[Branch]:
        """What its payload was worth after every stage of training, as its evidence has it; empty without `stages.csv`.

        Each has the text `stage` and the numbers `steps`, `segnet`, `posenet`, `n_bytes` and `score`.
        """
        kept = next((item.path for item in self._entry.evidence if item.name == "stages.csv"), None)
        if kept is None:
            return []
        rows = csv.DictReader(io.StringIO(kept.read_text(encoding="utf-8", errors="replace")))
        try:
            return [Branch(_stage(row), self._entry, f"stages.{number}.") for number, row in enumerate(rows)]
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise SiteError(f"{self._entry.id}, stages.csv", expected="a score per stage", found=str(error)) from None

    def __html__(self) -> Markup:
        return self.link


def _stage(row: Mapping[str, str]) -> dict[str, Any]:
    """One row of `stages.csv`."""
    numbers = {name: float(row[name]) for name in ("segnet", "posenet", "score")}
    if not all(math.isfinite(value) for value in numbers.values()):
        raise ValueError(f"a number that is not finite after {row['stage'][:40]!r}")
    return {"stage": row["stage"][:80], "steps": int(row["steps"]), "n_bytes": int(row["n_bytes"]), **numbers}


def by_id(board: Board | None, identifier: str) -> Citation:
    """The run of this id.

    Raises:
        UncitedNumber: there is none on the board.
    """
    if board and identifier in board.by_id:
        return Citation(board.by_id[identifier])
    raise UncitedNumber(
        f"cite({identifier!r})", expected="the id of a current run", found="none", fix="see `lab ledger list`"
    )


def by_recipe(board: Board | None, name: str) -> Citation:
    """The newest run of a recipe.

    Raises:
        NoRunYet: it has not been run.
    """
    entry = board.of_recipe(name) if board else None
    if entry is None:
        raise NoRunYet(name)
    return Citation(entry)


def external(value: object, source: str) -> Markup:
    """A number that was not measured here, marked as such."""
    if not source.strip():
        raise UncitedNumber("external()", expected="a source", found="nothing")
    shown = f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
    return Markup('<abbr class="external" title="external: {}">{}</abbr>').format(source, shown)


def _filter(how: Callable[..., str]) -> Callable[..., Cited | str]:
    def apply(value: Any, *arguments: Any) -> Cited | str:
        if isinstance(value, Cited):
            return replace(value, text=how(value.value, *arguments))
        return str(escape(how(value, *arguments)))

    return apply


FILTERS: dict[str, Callable[..., Any]] = {
    "score": _filter(show.score),
    "full": _filter(show.full),
    "bytes": _filter(show.byte_count),
    "signed": _filter(show.signed),
    "signed_bytes": _filter(show.signed_bytes),
    "percent": _filter(show.percent),
    "small": _filter(show.scientific),
    "seconds": _filter(show.seconds),
    "times": _filter(lambda value, digits=1: f"{value:.{digits}f}×"),
}
