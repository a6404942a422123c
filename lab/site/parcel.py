"""Runs on their way from one process to another, packed small and unpacked fast.

Public records are tables of plain values, which `marshal` writes at a fraction of the cost of a pickle; both ends are
forks of one interpreter. What is found beside few records goes as it is.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from lab.contract import Score
from lab.ledger import Run
from lab.site.book import Entry
from lab.site.kept import Known


class Parcel:
    """Runs that were read by one process."""

    def __init__(self, runs: list[Known]) -> None:
        self.runs = runs

    def __reduce__(self) -> tuple[Callable[..., Parcel], tuple[Any, ...]]:
        """What is pickled: the records, and of every run what is around its record."""
        entries = [known.entry for known in self.runs]
        scores = [(e.run.score.segnet_term, e.run.score.posenet_term, e.run.score.rate_term) for e in entries]
        data = marshal.dumps([entry.run.data for entry in entries])
        return _unpacked, (data, scores, [_around(known) for known in self.runs])


_ENTRY = tuple(item.name for item in fields(Entry) if item.init and item.name != "run")


def _around(known: Known) -> tuple[Any, ...]:
    entry = known.entry
    return known.withheld, known.order, known.replaces, known.seen, *[getattr(entry, name) for name in _ENTRY]


def _unpacked(data: bytes, scores: list[tuple[float, float, float]], around: list[tuple[Any, ...]]) -> Parcel:
    runs = []
    for record, terms, (withheld, order, replaces, seen, *rest) in zip(
        marshal.loads(data), scores, around, strict=True
    ):
        score = Score(segnet_term=terms[0], posenet_term=terms[1], rate_term=terms[2])
        entry = Entry(run=Run(data=record, score=score), **dict(zip(_ENTRY, rest, strict=True)))
        runs.append(Known(entry=entry, withheld=withheld, order=order, replaces=replaces, seen=seen))
    return Parcel(runs)
