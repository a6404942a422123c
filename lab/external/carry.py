"""From files of facts to records, one function per schema. What has no field of its own stays in `facts`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lab.contract import Contract
from lab.errors import SchemaMismatch
from lab.external.claim import DIFFERS, Claim, claim, exchanged
from lab.external.record import Collection, Record, check, slug

Row = Mapping[str, Any]
Carrier = Callable[[dict[str, Any], Contract], list[Record]]
_OWN_FIELDS = {
    "source", "sources", "archive_bytes", "archive_sha256", "segnet", "posenet", "score", "score_text", "score_printed",
    "pr", "axis", "id", "run_id",
}  # fmt: skip


def collection(name: str, facts: dict[str, Any], sha256: str, contract: Contract) -> Collection:
    """Every record of a file of facts, checked.

    Raises:
        SchemaMismatch: an unknown schema, a row without what it must have, or an id that stands twice.
    """
    schema = facts.pop("schema")
    if schema not in CARRIERS:
        raise SchemaMismatch(name, expected="one of " + ", ".join(CARRIERS), found=repr(schema)[:80])
    carry, title = CARRIERS[schema]
    try:
        records = carry(facts, contract)
    except (KeyError, TypeError, AttributeError) as error:
        raise SchemaMismatch(
            name, expected=f"rows of {schema}", found=f"{type(error).__name__} {error}", fix="mend the facts"
        ) from None
    seen: set[str] = set()
    for record in records:
        check(record, name)
        if record.id in seen:
            raise SchemaMismatch(name, expected="every id once", found=f"{record.id!r} twice")
        seen.add(record.id)
    return Collection(name=title, facts_schema=schema, facts_sha256=sha256, records=tuple(records), notes=facts)


def _sources(row: Row) -> tuple[str, ...]:
    named = [row[key] for key in row if key == "source" or key.endswith("_source")]
    return tuple(dict.fromkeys([*named, *row.get("sources", ())]))


def _claimed(row: Row, contract: Contract) -> Claim:
    return claim(
        contract,
        segnet=row.get("segnet"),
        posenet=row.get("posenet"),
        archive_bytes=row.get("archive_bytes"),
        stated=row.get("score", row.get("score_printed")),
        stated_text=row.get("score_text"),
    )


def _rest(row: Row, *more: str) -> dict[str, Any]:
    gone = _OWN_FIELDS | set(more)
    return {key: value for key, value in row.items() if key not in gone and not key.endswith("_source")}


def _axis(text: str | None) -> tuple[str | None, tuple[str, ...]]:
    """(axis, broken rules) of an axis as the sources write it."""
    if text is None:
        return None, ()
    low = text.lower()
    if "macos" in low or "arm64" in low or "mps" in low:
        return "advisory", (f"measured on {text}, which is no axis of the contest",)
    if "pyav" in low and "cuda" in low:
        return "pyav decode, cuda networks", ()
    return ("cuda" if "cuda" in low else "cpu" if low.startswith("cpu") else text), ()


def _record(kind: str, identifier: str, title: str, row: Row, contract: Contract, **fields: Any) -> Record:
    axis, broken = _axis(row.get("axis"))
    rules = (*broken, *fields.pop("broken_rules", ()))
    made = fields.pop("claim", None) or _claimed(row, contract)
    if made.verdict == DIFFERS and not fields.get("as_published"):
        rules = (*rules, "the stated total does not follow from the stated components")
    facts = _rest(row, *fields.pop("drop", ()))
    if row.get("axis") not in (None, axis):
        facts["axis_as_stated"] = row["axis"]
    defaults: dict[str, Any] = {
        "axis": axis,
        "pr": row.get("pr"),
        "archive_bytes": row.get("archive_bytes"),
        "archive_sha256": row.get("archive_sha256"),
        "sources": _sources(row),
    }
    known = made if made.stated is not None or made.recomputed is not None else None
    return Record(
        id=identifier, kind=kind, title=title, claim=known, broken_rules=rules, facts=facts, **{**defaults, **fields}
    )


def _leaderboard(facts: dict[str, Any], contract: Contract) -> list[Record]:
    rows = [(row, "board row", "board") for row in facts.pop("rows")]
    rows += [(row, "later board row", "board-later") for row in facts.pop("later_official_rows", ())]
    return [_record(kind, f"{head}-pr{row['pr']}", row["name"], row, contract) for row, kind, head in rows]


def _runs(facts: dict[str, Any], contract: Contract) -> list[Record]:
    made: list[Record] = []
    for row in [*facts.pop("track_b_runs"), *facts.pop("other_runs")]:
        broken = ("inflating reads data of the repository",) if row.get("group") == "track_a" else ()
        kind = f"run, {row['group'].replace('_', ' ')}" if "group" in row else "run"
        made.append(_record(kind, "run-" + slug(row["run_id"]), row["run_id"], row, contract, broken_rules=broken))
    for row in facts.pop("exact_t4_rows"):
        printed = None
        if row.get("published_columns_swapped"):
            printed = exchanged(contract, _claimed(row, contract))
        made.append(_record("exact replay", "exact-" + slug(row["name"]), row["name"], row, contract,
                            as_published=printed, drop=("name", "recomputes")))  # fmt: skip
    for row in facts.pop("stated_local_neighbourhood_table"):
        title = row["variant_label"]
        told = {**row, "run": "run-" + slug(row["run_id"])}
        made.append(_record("printed delta", f"delta-{row['n']:02d}-{slug(title)}", title, told, contract))
    for row in facts.pop("historical_arc"):
        made.append(_record("milestone", f"arc-{row['n']}-{slug(row['label'])}", row["label"], row, contract))
    return made


def _archives(facts: dict[str, Any], contract: Contract) -> list[Record]:
    made = [
        _record("anatomy", "archive-" + slug(row["id"]), row["name"], row, contract, sources=_streams_sources(row),
                drop=("name",))
        for row in facts.pop("archives")
    ]  # fmt: skip
    for row in facts.pop("stream_ladders"):
        made.append(_record("ladder", "ladder-" + slug(row["id"]), row["what"], row, contract, drop=("what",)))
    for key, title in (("mask_tensor", "the contest's class maps"), ("hnerv_decoder_schema", "the HNeRV decoder")):
        row = facts.pop(key)
        made.append(_record("shape", "shape-" + slug(key), title, row, contract))
    return made


def _streams_sources(row: Row) -> tuple[str, ...]:
    inner = [stream["source"] for stream in row["streams"] if "source" in stream]
    return tuple(dict.fromkeys([*_sources(row), *inner]))


# What the sources compute from both axes of an entry, kept beside ours; and what one of them remarks on its own table.
_STATED_GAPS = ("r_pose", "r_seg", "delta_score", "delta_from_seg", "delta_from_pose")
_STATED_OF_TABLE = ("r_seg", "r_pose", "delta_printed", "agrees_with_ci_comments_to_3_digits")


def _axes(facts: dict[str, Any], contract: Contract) -> list[Record]:
    made: list[Record] = []
    for row in facts.pop("rows"):
        entry = f"pr{row['pr']}" if row["pr"] is not None else slug(row["name"])
        for axis in ("cpu", "cuda"):
            told: dict[str, Any] = {"axis": axis, "pr": row["pr"], "archive_bytes": row["archive_bytes"]}
            told.update(row.get(axis, {}))
            if f"{axis}_score_printed" in row:
                told["score_printed"] = row[f"{axis}_score_printed"]
            if "segnet" not in told and "score_printed" not in told:
                continue
            told["source"] = row.get(f"{axis}_source", row["source"])
            told.update(entry=entry, group=row["group"], **({"note": row["note"]} if "note" in row else {}))
            stated = {name: row[name] for name in _STATED_GAPS if name in row}
            if axis == "cuda" and stated:
                told["stated_against_cpu"] = stated
            made.append(_record("axis row", f"axis-{entry}-{axis}", row["name"], told, contract))
        made += _elsewhere(row, entry, contract)
    for row in facts.pop("decode_axis_rows"):
        told = {**row, "entry": f"pr{row['pr']}", "group": "decoder and device apart"}
        made.append(_record("axis row", f"axis-pr{row['pr']}-pyav-cuda", f"PR {row['pr']}", told, contract))
    table = facts.pop("published_findings_table")
    for row, axis in ((row, axis) for row in table["rows"] for axis in ("cpu", "cuda")):
        told = {"axis": axis, "pr": row["pr"], "segnet": row[f"segnet_{axis}"], "posenet": row[f"posenet_{axis}"]}
        told.update(score=row[f"score_{axis}"], archive_bytes=_bytes_of(made, row["pr"]), entry=f"pr{row['pr']}")
        told.update(
            group="published table", source=table["source"], score_recomputed=row.get(f"score_{axis}_if_recomputed")
        )
        told.update({"warning": table["warning"]} if "warning" in table else {})
        told.update({name: row[name] for name in _STATED_OF_TABLE if name in row})
        made.append(
            _record("table row", f"table-pr{row['pr']}-{axis}", f"PR {row['pr']} in a published table", told, contract)
        )
    drift = facts.pop("mps_drift", None)
    if drift:
        told = {"source": drift["source"], "axis": "mps", "score": drift["mps_score"], **_rest(drift)}
        made.append(_record("axis row", "axis-mps-drift", drift["artifact"], told, contract))
    return made


def _elsewhere(row: Row, entry: str, contract: Contract) -> list[Record]:
    """Rows of an entry on other machines: components on another card, or a bare total of a desk machine."""
    made = []
    extra = row.get("extra", {})
    shared = {"pr": row["pr"], "archive_bytes": row["archive_bytes"], "entry": entry, "group": "other hardware"}
    for name, told in extra.items():
        if isinstance(told, Mapping):
            more = {**told, **shared, "axis": name.replace("_", " "), "source": row["source"]}
            made.append(_record("axis row", f"axis-{entry}-{slug(name)}", row["name"], more, contract))
    if "macos_cpu_score" in extra:
        more = {**shared, "axis": "macos cpu", "score": extra["macos_cpu_score"], "source": extra["source"]}
        more["minus_linux"] = extra["macos_minus_linux"]
        made.append(_record("axis row", f"axis-{entry}-macos-cpu", row["name"], more, contract))
    return made


def _bytes_of(made: Iterable[Record], pr: int) -> int | None:
    return next((record.archive_bytes for record in made if record.pr == pr), None)


def _lanes(facts: dict[str, Any], contract: Contract) -> list[Record]:
    made = []
    for row in facts.pop("rows"):
        broken = (f"stated as {row['status']}",) if str(row["status"]).startswith("invalid") else ()
        made.append(_record("dead lane", "lane-" + slug(row["id"]), row["tried"], row, contract,
                            broken_rules=broken, drop=("tried",)))  # fmt: skip
    return made


# schema of a file of facts -> (how it is carried, name of the collection)
CARRIERS: dict[str, tuple[Carrier, str]] = {
    "facts.leaderboard.v1": (_leaderboard, "leaderboard"),
    "facts.comma_lab_runs.v1": (_runs, "comma-lab-runs"),
    "facts.archives.v1": (_archives, "archives"),
    "facts.cpu_cuda_pairs.v1": (_axes, "axes"),
    "facts.negative_results.v1": (_lanes, "dead-lanes"),
}
