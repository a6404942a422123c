"""Where the public record contradicts itself, or would mislead a reader: computed from the records, rule by rule.

Every rule is a pure function from all records to findings. A finding names the records, gives the figures and says in
one sentence what is wrong; the records stay as they were stated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from lab.contract import Contract
from lab.external import contradictions, relations
from lab.external.record import Collection, Finding, Record

Rule = Callable[[Sequence[Record], Contract], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    contradictions.totals_that_do_not_follow,
    contradictions.sources_that_disagree,
    contradictions.other_denominators,
    contradictions.one_archive_two_totals,
    contradictions.one_size_two_entries,
    relations.mixed_axes,
    relations.not_independent,
    relations.deltas_against_another_row,
    relations.promotions_that_did_not_improve,
    relations.missing_parents,
    relations.streams_that_do_not_close,
    contradictions.rounded_totals,
    contradictions.without_components,
)


def find(collections: Iterable[Collection], contract: Contract) -> list[Finding]:
    """Every finding of every rule, in the order of the rules."""
    records = [record for collection in collections for record in collection.records]
    return [found for rule in RULES for found in rule(records, contract)]
