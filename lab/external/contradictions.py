"""Rules about stated figures: totals, components, rates, digests and sizes that contradict each other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.contract import Contract
from lab.external import claim as claims
from lab.external.record import Finding, Record, finding

ROUNDED_PLACES = 3
_SAME = 1e-9


def totals_that_do_not_follow(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """A stated total outside of what its components can give; with the columns exchanged, where that mends it."""
    for record in records:
        printed = record.as_published or record.claim
        if printed is None or printed.verdict != claims.DIFFERS:
            continue
        turned = claims.exchanged(contract, printed)
        figures = {"stated": printed.stated, "recomputed": printed.recomputed, "low": printed.low, "high": printed.high}
        if turned.verdict == claims.AGREES:
            yield finding(
                "swapped-columns", [record],
                f"{record.title}: the published SegNet and PoseNet columns give {printed.recomputed:.6f} and not the "
                f"stated {printed.stated}; exchanged they give it",
                {**figures, "exchanged": turned.recomputed},
            )  # fmt: skip
        else:
            yield finding(
                "total-does-not-follow", [record],
                f"{record.title}, axis {record.axis}: the stated total {printed.stated} does not follow from its own "
                f"components, which give {printed.recomputed:.6f}",
                figures,
            )  # fmt: skip


def rounded_totals(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """Totals printed with few decimals: how far off they are, and which ties the components resolve."""
    for source, rows in _by_kind(records).items():
        known = [row for row in rows if row.claim and row.claim.recomputed is not None and _rounded(row)]
        if not known:
            continue
        gaps = [abs(_stated(row) - _total(row)) for row in known]
        ties: dict[float, list[Record]] = defaultdict(list)
        for row in known:
            ties[_stated(row)].append(row)
        resolved = {
            f"{stated:g}": [row.id for row in sorted(tied, key=_total)]
            for stated, tied in sorted(ties.items())
            if len({round(_total(row), 9) for row in tied}) > 1
        }
        yield finding(
            "rounded-score", known,
            f"{len(known)} totals of kind {source!r} are printed with {ROUNDED_PLACES} decimals or fewer, up to "
            f"{max(gaps):.6f} off; {len(resolved)} printed ties are no ties",
            {"n": len(known), "largest_gap": max(gaps), "ties_resolved_best_first": resolved}, name=source,
        )  # fmt: skip


def without_components(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """Totals that nobody can recompute, because no components were published with them."""
    for source, rows in _by_kind(records).items():
        bare = [row for row in rows if row.claim and row.claim.verdict == claims.NO_COMPONENTS]
        if bare:
            yield finding(
                "cannot-be-recomputed", bare,
                f"{len(bare)} of {len(rows)} totals of kind {source!r} come without all components and stay as printed",
                {"n": len(bare), "of": len(rows)}, name=source,
            )  # fmt: skip


def other_denominators(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """A rate, or a figure in a remark, that divides by another size than the source's."""
    source = contract.source.bytes
    for record in records:
        rate, size = record.facts.get("rate"), record.archive_bytes
        if isinstance(rate, float) and size and rate > 0:
            half = 0.5 * 10.0 ** -claims.places(rate)
            if not rate - half <= size / source <= rate + half:
                yield _denominator(record, contract, round(size / rate), f"the stated rate {rate}")
        for text in _texts(record.facts):
            for digits in re.findall(r"\b\d{1,3}(?:,\d{3})+\b|\b\d{7,9}\b", text):
                value = int(digits.replace(",", ""))
                if value != source and abs(value - source) < source / 1000:
                    yield _denominator(record, contract, value, "its report")


def _denominator(record: Record, contract: Contract, found: int, where: str) -> Finding:
    source, size = contract.source.bytes, record.archive_bytes or 0
    shift = contract.formula.rate * (size / found - size / source)
    return finding(
        "wrong-denominator", [record],
        f"{record.title}: {where} divides by {found:,} bytes and not by {source:,}, {found - source:+,}: the sum over "
        "the videos folder took in a file that is no video",
        {"denominator": found, "source_bytes": source, "difference_bytes": found - source, "score_shift": shift},
    )  # fmt: skip


def one_archive_two_totals(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """One digest with several totals on one axis: an archive alone does not identify a result."""
    digests = {record.pr: record.archive_sha256 for record in records if record.pr and record.archive_sha256}
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        digest = record.archive_sha256 or (digests.get(record.pr) if record.pr else None)
        measured = record.kind != "table row" and record.total is not None and _usable(record)
        if digest and record.axis and measured:
            groups[digest, record.axis].append(record)
    for (digest, axis), rows in sorted(groups.items()):
        apart = [row for row in rows if not _overlap(row, rows[0])]
        if apart:
            totals = {row.id: _total(row) for row in rows}
            yield finding(
                "one-archive-two-totals", rows,
                f"archive {digest[:12]} has {len({round(total, 6) for total in totals.values()})} totals on {axis}: "
                "the runtime or the hardware belongs to the identity of a result",
                {"archive_sha256": digest, "axis": axis, "totals": totals}, name=f"{digest[:12]}-{axis}",
            )  # fmt: skip


def one_size_two_entries(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """Board rows that claim one archive size but stand with different totals."""
    sizes: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        if record.kind == "board row" and record.archive_bytes:
            sizes[record.archive_bytes].append(record)
    for size, rows in sorted(sizes.items()):
        stated = {_stated(row) for row in rows}
        if len(stated) > 1:
            yield finding(
                "one-size-two-totals", rows,
                " and ".join(row.title for row in rows)
                + f" state one archive size, {size:,} bytes, and stand at {', '.join(map(str, sorted(stated)))}",
                {"archive_bytes": size, "stated": {row.id: _stated(row) for row in rows}}, name=str(size),
            )  # fmt: skip


def sources_that_disagree(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """A table whose components for an entry and axis are not those of the run that it reports."""
    measured = {(row.pr, row.axis): row for row in records if row.kind == "axis row" and row.total is not None}
    for record in records:
        told, known = record.claim, measured.get((record.pr, record.axis))
        if record.kind != "table row" or told is None or known is None or known.claim is None:
            continue
        half = 0.5 * 10.0 ** -(told.places or 0)
        pairs = {
            name: (getattr(told, name), getattr(known.claim, name))
            for name in ("segnet", "posenet")
            if abs(getattr(told, name) - getattr(known.claim, name)) > half + _SAME
        }
        if pairs:
            words = " and ".join(f"{name} {table} and not {run}" for name, (table, run) in pairs.items())
            yield finding(
                "table-against-source", [record, known],
                f"{record.title}, axis {record.axis}: it prints {words}, as the run itself reported",
                {name: {"table": table, "run": run} for name, (table, run) in pairs.items()},
            )  # fmt: skip


def _by_kind(records: Sequence[Record]) -> dict[str, list[Record]]:
    kinds: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.claim and record.claim.stated is not None:
            kinds[record.kind].append(record)
    return kinds


def _rounded(record: Record) -> bool:
    places = record.claim.stated_places if record.claim else None
    return places is not None and places <= ROUNDED_PLACES and _usable(record)


def _usable(record: Record) -> bool:
    return record.claim is not None and record.claim.verdict != claims.DIFFERS


def _stated(record: Record) -> float:
    return float(record.claim.stated) if record.claim and record.claim.stated is not None else float("nan")


def _total(record: Record) -> float:
    total = record.total
    return float("nan") if total is None else total


def _overlap(one: Record, other: Record) -> bool:
    if one.claim is None or other.claim is None:
        return True
    low, high = max(one.claim.low or 0.0, other.claim.low or 0.0), min(one.claim.high or 0.0, other.claim.high or 0.0)
    return low <= high + _SAME


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
