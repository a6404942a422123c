"""Rules about how entries stand to each other: axes on one board, repeated samples, parents, deltas, sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.contract import Contract
from lab.external.record import Finding, Record, finding, slug

SCORE_PLACES = 2  # the decimals with which the runs' ledger prints scores and deltas
_SAME = 1e-9


def mixed_axes(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """Board rows that were scored on different axes, told by which axis their printed total agrees with."""
    totals: dict[int, dict[str, float]] = defaultdict(dict)
    for row in axis_rows(records):
        if row.pr and row.axis in ("cpu", "cuda") and row.total is not None:
            totals[row.pr][row.axis] = row.total
    board = [record for record in records if record.kind == "board row" and record.pr in totals]
    placed: dict[str, list[Record]] = defaultdict(list)
    for record in board:
        told = record.claim
        if told is None or told.stated is None or told.stated_places is None or record.pr is None:
            continue
        reach = 0.5 * 10.0**-told.stated_places + _SAME
        fits = [axis for axis, total in sorted(totals[record.pr].items()) if abs(total - told.stated) <= reach]
        if len(fits) == 1:
            placed[fits[0]].append(record)
    if len(placed) > 1:
        rows = [record for axis in sorted(placed) for record in placed[axis]]
        words = ", ".join(f"{len(placed[axis])} on {axis}" for axis in sorted(placed))
        yield finding(
            "mixed-axes-on-one-board", rows,
            f"one board ranks totals of several axes together: of the rows whose components are known, {words}",
            {
                "rows": {axis: [record.id for record in placed[axis]] for axis in sorted(placed)},
                "on_each_axis": {record.id: totals[record.pr] for record in rows if record.pr},
            }, name="board",
        )  # fmt: skip


def not_independent(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """Entries with equal components on both axes: one sample that is listed several times."""
    for repeats in repeated(records):
        words = " and ".join(row.title for row in repeats)
        claim = repeats[0].claim
        yield finding(
            "not-independent", repeats,
            f"{words} have equal components on every axis: they decode to the same frames and count once",
            {"segnet": claim.segnet if claim else None, "posenet": claim.posenet if claim else None},
            name=repeats[0].id,
        )  # fmt: skip


def axis_rows(records: Sequence[Record]) -> list[Record]:
    """Rows of one entry on one axis, as the runs themselves reported them, with components."""
    return [
        row for row in records
        if row.kind == "axis row" and row.total is not None and row.facts.get("group") != "other hardware"
    ]  # fmt: skip


def repeated(records: Sequence[Record]) -> list[list[Record]]:
    """Groups of CPU rows whose entries have equal components on both axes."""
    by_entry: dict[str, dict[str, Record]] = defaultdict(dict)
    for row in axis_rows(records):
        by_entry[str(row.facts["entry"])][str(row.axis)] = row
    same: dict[tuple[float | None, ...], list[Record]] = defaultdict(list)
    for rows in by_entry.values():
        if {"cpu", "cuda"} <= set(rows):
            key = tuple(
                getattr(rows[axis].claim, name) for axis in ("cpu", "cuda") for name in ("segnet", "posenet")
            )  # fmt: skip
            same[key].append(rows["cpu"])
    return [rows for rows in same.values() if len(rows) > 1]


def deltas_against_another_row(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """Printed deltas that are not the distance to the run's own parent."""
    runs = {record.id: record for record in records}
    wrong: dict[str, Any] = {}
    rows = []
    n_printed = 0
    for record in records:
        printed, size = record.facts.get("printed_delta_score"), record.facts.get("printed_delta_bytes")
        run = runs.get(str(record.facts.get("run")))
        parent = runs.get(_parent_id(record.facts.get("true_parent_run_id")))
        if record.kind != "printed delta" or printed is None or run is None or parent is None:
            continue
        n_printed += 1
        score_gap = _two(run) - _two(parent)
        byte_gap = (run.archive_bytes or 0) - (parent.archive_bytes or 0)
        if abs(score_gap - printed) > 0.5 * 10.0**-SCORE_PLACES or (size is not None and size != byte_gap):
            rows.append(record)
            wrong[record.id] = {
                "printed": [printed, size],
                "to_parent": [round(score_gap, SCORE_PLACES), byte_gap],
                "parent": parent.id,
            }
    if rows:
        yield finding(
            "delta-to-another-row", rows,
            f"{len(rows)} of {n_printed} printed deltas are not the distance to the run's own parent",
            wrong, name="neighbourhood",
        )  # fmt: skip


def promotions_that_did_not_improve(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """Runs that were promoted although their total, recomputed, is not below their parent's."""
    runs = {record.id: record for record in records}
    for record in records:
        parent = runs.get(_parent_id(record.facts.get("parent_run_id")))
        if not record.kind.startswith("run") or record.facts.get("verdict") != "promoted" or parent is None:
            continue
        if record.total is not None and parent.total is not None and record.total >= parent.total:
            yield finding(
                "promoted-without-gain", [record, parent],
                f"{record.title} was promoted over {parent.title}, but its total is "
                f"{record.total - parent.total:.6f} higher",
                {"total": record.total, "parent_total": parent.total},
            )  # fmt: skip


def missing_parents(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """Runs whose parent is named but not on record."""
    known = {record.id for record in records}
    for record in records:
        named = record.facts.get("parent_run_id")
        if named and _parent_id(named) not in known:
            yield finding(
                "parent-not-on-record", [record], f"{record.title} names the parent {named}, which is not on record",
                {"parent": named},
            )  # fmt: skip


def streams_that_do_not_close(records: Sequence[Record], contract: Contract) -> Iterator[Finding]:
    """Anatomies whose published streams do not add up to the archive, with the bytes that stay unexplained."""
    for record in records:
        streams = record.facts.get("streams")
        if record.kind != "anatomy" or not streams or not record.archive_bytes:
            continue
        known = [stream["bytes"] for stream in streams if stream.get("bytes") is not None]
        gap = record.archive_bytes - sum(known)
        unknown = [stream["name"] for stream in streams if stream.get("bytes") is None]
        if gap:
            tail = f"; no size is published for {', '.join(unknown)}" if unknown else ""
            yield finding(
                "streams-do-not-close", [record],
                f"{record.title}: the published streams leave {gap:,} of {record.archive_bytes:,} bytes "
                f"unexplained{tail}",
                {"archive_bytes": record.archive_bytes, "explained": sum(known), "unexplained": gap},
            )  # fmt: skip
        yield from _inner_streams(record, streams)


def _inner_streams(record: Record, streams: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for stream in streams:
        inner = stream.get("sub_streams")
        total = sum(item["bytes"] for item in inner) if inner else stream.get("bytes")
        if inner and stream.get("bytes") is not None and total != stream["bytes"]:
            yield finding(
                "streams-do-not-close", [record],
                f"{record.title}, {stream['name']}: the parts add up to {total:,} of {stream['bytes']:,} bytes",
                {"stream": stream["name"], "bytes": stream["bytes"], "explained": total},
                name=f"{record.id}-{str(stream['name']).split()[0]}",
            )  # fmt: skip


def _parent_id(run_id: object) -> str:
    return "run-" + slug(str(run_id)) if run_id else ""


def _two(record: Record) -> float:
    return float(record.claim.stated) if record.claim and record.claim.stated is not None else float("nan")
