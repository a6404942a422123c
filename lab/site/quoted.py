"""What others published, for prose: every figure prints as external, with the places that it was stated in.

A text says `{{ public.mean("hnerv", "gap", 4) }}`; nothing here is ever ranked or mixed with a run of this lab.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lab import contract as contracts
from lab.errors import SiteError
from lab.external import shelf
from lab.external.record import Finding, Record
from lab.site import cite
from lab.site import format as show
from lab.site.cite import NoRunYet

CONTRACT = "comma-2026"
_IMPORT = "the public record (lab ledger import)"
_SOURCES_SHOWN = 3


@dataclass(frozen=True)
class PublicRecord:
    """The external shelf of a ledger; a text that asks for it waits where nothing was imported."""

    ledgers: Path

    @cached_property
    def shelf(self) -> shelf.Shelf:
        """Everything that was imported, recomputed.

        Raises:
            NoRunYet: nothing was.
            LedgerError: it does not hold together.
        """
        found = shelf.load(self.ledgers, contracts.load(CONTRACT, self.ledgers))
        if not found.collections:
            raise NoRunYet(_IMPORT)
        return found

    @property
    def n_records(self) -> int:
        """How many records there are."""
        return len(self.shelf.records)

    @property
    def n_findings(self) -> int:
        """How many contradictions they contain."""
        return len(self.shelf.findings)

    @property
    def traps(self) -> list[str]:
        """Every kind of contradiction that was found, in the order of the rules."""
        return list(dict.fromkeys(finding.trap for finding in self.shelf.findings))

    def findings(self, trap: str) -> list[Markup]:
        """What was found of one kind, each with its sources."""
        return [self._told(finding) for finding in self.shelf.findings if finding.trap == trap]

    def count(self, kind: str) -> int:
        """How many records of a kind there are."""
        return sum(record.kind == kind for record in self.shelf.records.values())

    @property
    def pairs(self) -> list[dict[str, Markup]]:
        """Entries measured on both axes, one row each, worst gap first."""
        rows = sorted(self.shelf.analysis["pairs"], key=lambda pair: (pair["family"], -pair["gap"]))
        return [self._pair(pair) for pair in rows]

    def mean(self, family: str, figure: str, digits: int) -> Markup:
        """The mean of a figure over the entries of a family that count."""
        return self._number(self._spread(family, figure)["mean"], digits, self._of_family(family))

    def interval(self, family: str, figure: str, digits: int) -> Markup:
        """The 95 % interval of that mean."""
        low, high = self._spread(family, figure)["mean_95"]
        text = f"{_signed(low, digits)} to {_signed(high, digits)}"
        return cite.external(text, self._of_family(family))

    def n(self, family: str) -> int:
        """How many entries of a family count."""
        return int(self._spread(family, "gap")["n"])

    @property
    def causes(self) -> list[dict[str, Any]]:
        """The runs that took the middle way between the axes, with the share of the gap that the decoder explains."""
        told = []
        for cause in self.shelf.analysis["causes"]:
            rows = [self.shelf.records[cause[axis]] for axis in ("cpu", "mixed", "cuda")]
            source = _sources(rows)
            told.append(
                {
                    "entry": rows[1].title,
                    **{axis: self._number(cause["totals"][axis], 6, source) for axis in ("cpu", "mixed", "cuda")},
                    "share": cite.external(f"{100 * cause['decoder_share']['total']:.1f} %", source),
                    "stand_in": cause["stand_in"],
                }
            )
        return told

    def stated(self, figure: str) -> dict[str, Markup]:
        """A published mean beside ours, over its own rows and over those of them that count."""
        told = self.shelf.analysis["stated_summary"][figure]
        digits = len(str(told["stated"]).split()[0].partition(".")[2])
        source = "adpena/comma-lab:README.md"
        ours = self._of_family("hnerv")
        return {
            "stated": cite.external(told["stated"], source),
            "all_rows": cite.external(_plus_minus(told["all_rows"], digits), ours),
            "rows_that_count": cite.external(_plus_minus(told["rows_that_count"], digits), ours),
        }

    def _spread(self, family: str, figure: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self.shelf.analysis["families"][family][figure]
        except KeyError:
            known = ", ".join(sorted(self.shelf.analysis["families"]))
            raise SiteError(f"public, {family} {figure}", expected=f"a family of {known}", found="none") from None
        return found

    def _of_family(self, family: str) -> str:
        pairs = [pair for pair in self.shelf.analysis["pairs"] if pair["family"] == family and pair["counts"]]
        rows = [self.shelf.records[name] for pair in pairs for name in pair["records"]]
        return f"computed from {len(pairs)} entries of {_sources(rows)}"

    def _pair(self, pair: dict[str, Any]) -> dict[str, Markup]:
        source = _sources([self.shelf.records[name] for name in pair["records"]])
        row = {"title": Markup("{}").format(pair["title"]), "family": Markup("{}").format(pair["family"])}
        row["pose_ratio"] = self._number(pair["pose_ratio"], 3, source)
        row["seg_ratio"] = self._number(pair["seg_ratio"], 4, source)
        row["gap"] = self._number(pair["gap"], 5, source, signed=True)
        row["from_pose"] = self._number(pair["gap_from_pose"], 5, source, signed=True)
        row["counts"] = Markup("yes" if pair["counts"] else "no, a repeat")
        return row

    def _told(self, finding: Finding) -> Markup:
        return cite.external(finding.says, "; ".join(finding.sources[:_SOURCES_SHOWN]))

    def _number(self, value: float, digits: int, source: str, *, signed: bool = False) -> Markup:
        return cite.external(show.signed(value, digits) if signed else show.score(value, digits), source)


def _sources(records: Sequence[Record]) -> str:
    named = dict.fromkeys(source for record in records for source in record.sources)
    shown = list(named)[:_SOURCES_SHOWN]
    return "; ".join(shown) + (f" and {len(named) - len(shown)} more" if len(named) > len(shown) else "")


def _signed(value: float, digits: int) -> str:
    return show.score(value, digits) if value >= 0 else show.signed(value, digits)


def _plus_minus(spread: dict[str, Any], digits: int) -> str:
    return f"{spread['mean']:.{digits}f} ± {spread['standard_deviation']:.{digits}f}"
