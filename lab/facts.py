"""The facts of a run, gathered from disk alone: its record, its evidence folder, the archive and runtime that are kept.

Whatever decides a grade is read again here; nothing is taken from memory or from what a record says of itself. Files
of evidence may be damaged or made up, so each is bounded, and what cannot be read counts as a contradiction.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import archive, custody, recipe, relocation, report, runtime, schema
from lab.contract import Contract
from lab.errors import EvaluationError, LabError, LedgerError
from lab.evidence import Facts, Replay

EVIDENCE_LIMIT_BYTES = 16 << 20
ARCHIVE_KEEP_BYTES = 1_000_000
REPLAY_FILE = "replay.json"
ANSWERS_FILE = "answers.png"
REPLAY_SCHEMA = "lab.replay/1"
# Parts of evaluation.json that repeat the record.
_REPEATED = ("contract", "contract_sha256", "evaluation", "score", "rates", "custody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the parts of one run lie, whether or not they are there."""

    evidence: Path
    archive: Path
    runtime: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """What pairs.csv says: how many pairs, and the mean distortions."""

    count: int
    segnet: float
    posenet: float


class _Desk:
    """Remarks on one run while its evidence is read."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.wrong: list[str] = []

    def text(self, path: Path, *, needed: bool = True) -> str | None:
        """A file of evidence, or a remark on why there is none."""
        if not path.is_file() or path.is_symlink():
            if needed:
                self.missing.append(f"no {path.name}")
            return None
        if path.stat().st_size > EVIDENCE_LIMIT_BYTES:
            self.wrong.append(f"{path.name} is larger than evidence may be")
            return None
        return path.read_bytes().decode("utf-8", errors="replace")


def gather(
    record: Mapping[str, Any], contract: Contract, places: Places, *, broken_rules: tuple[str, ...] = ()
) -> Facts:
    """Everything that `evidence.grade` asks about a validated record.

    Args:
        record: one that `schema.validate` accepted.
        broken_rules: rules that the kept runtime breaks, as `lab.relocation` reads it.
    """
    desk = _Desk()
    measured, kept = record["evaluation"], record["custody"]
    evaluated = _evaluation(desk, record, places)
    figures, named = _report(desk, record, places)
    pairs = _pairs(desk, places, measured["n_pairs"])
    _anatomy(desk, record, places)
    _recipe(desk, record, places)
    _rates(desk, record)
    on_disk = _archive(desk, record, places)
    _runtime(desk, record, places)
    if named is not None and named != kept["archive_sha256"]:
        desk.wrong.append(f"report.txt names the archive {named[:16]}, the record {kept['archive_sha256'][:16]}")
    return Facts(
        verdict=record["verdict"],
        axis=measured["axis"],
        n_pairs=measured["n_pairs"],
        contract_pairs=contract.n_pairs,
        contract_digest=contract.digest,
        recorded_contract_digest=record["contract_sha256"],
        archive_sha256=kept["archive_sha256"],
        archive_bytes=measured["archive_bytes"],
        evaluated_archive_sha256=evaluated.get("archive_sha256"),
        evaluated_archive_bytes=evaluated.get("archive_bytes"),
        archive_on_disk_sha256=on_disk,
        recorded_total=record["score"]["total"],
        recomputed_total=_total(contract, record, measured["segnet"], measured["posenet"]),
        report_total=figures.get("total"),
        segnet=measured["segnet"],
        posenet=measured["posenet"],
        pairs_segnet=pairs.segnet if pairs else None,
        pairs_posenet=pairs.posenet if pairs else None,
        pairs_total=_total(contract, record, pairs.segnet, pairs.posenet) if pairs else None,
        runtime_sha256=kept["runtime_sha256"],
        evaluator_sha256=kept["evaluator_sha256"],
        networks_match=kept["networks"] == {name: item.sha256 for name, item in contract.networks.items()},
        source_match=kept["source_sha256"] == contract.source.sha256,
        raw_sha256=kept["raw_sha256"] if kept["raw_bytes"] == contract.raw_bytes else None,
        exact_arithmetic=kept["exact_arithmetic"],
        clean_process="own process" in kept["walls"],
        commit=kept["commit"],
        dirty=kept["dirty"],
        replays=_replays(desk, places),
        missing=tuple(desk.missing),
        contradictions=tuple(desk.wrong),
        broken_rules=broken_rules,
    )


def broken_rules(record: Mapping[str, Any], places: Places, known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Rules of the contest that the kept runtime breaks; of a runtime that is not kept, those on record.

    Args:
        known: what was read of runtimes so far, by their digest; many runs share one.
    """
    if not places.runtime.is_file():
        on_record = record["custody"].get("charge", {}).get("findings", [])
        return tuple(sorted({str(finding).partition(" ")[0] for finding in on_record}))
    digest = record["custody"]["runtime_sha256"]
    try:
        tree = runtime.unpack(places.runtime, digest, record["recipe"]["family"])
        files = {**tree.files, runtime.ENTRY: tree.entry}
        if digest not in known:
            known[digest] = relocation.read(files).broken_rules
        if not known[digest]:
            return ()
        kept = archive.read(places.archive) if places.archive.is_file() else []
    except LabError:
        return ()  # a damaged runtime or archive is a contradiction, which `gather` states
    members = {member.name: member.content for member in kept}
    return relocation.read(files, members).broken_rules


def replays(path: Path) -> tuple[Replay, ...]:
    """The replays that lie beside a run; none where there is no file.

    Raises:
        LedgerError: the file is not one of ours.
    """
    if not path.is_file():
        return ()
    where = f"{path.parent.name}/{path.name}"
    if path.stat().st_size > schema.RECORD_LIMIT_BYTES:
        raise LedgerError(where, expected=f"at most {schema.RECORD_LIMIT_BYTES:,} bytes", found="more")
    data = schema.parse(path.read_bytes().decode("utf-8", errors="replace"), where)
    try:
        if data["schema"] != REPLAY_SCHEMA:
            raise KeyError("schema")
        return tuple(
            Replay(
                archive_sha256=str(item["archive_sha256"]),
                runtime_sha256=str(item["runtime_sha256"]),
                raw_sha256=tuple(map(str, item["raw_sha256"])),
                segnet=float(item["segnet"]),
                posenet=float(item["posenet"]),
                axis=str(item["axis"]),
                walls=tuple(map(str, item["walls"])),
            )
            for item in data["replays"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(where, expected=f"replays as {REPLAY_SCHEMA}", found=f"trouble with {error}") from None


def read_pairs(text: str) -> Pairs:
    """The count and the means of a pairs.csv.

    Raises:
        EvaluationError: other columns, a gap in the numbering, or a value that is no distortion.
    """
    try:
        rows = list(csv.reader(io.StringIO(text)))
        if rows[0] != ["pair", "segnet", "posenet"] or len(rows) < 2:
            raise ValueError("other columns, or no row")
        if [int(row[0]) for row in rows[1:]] != list(range(len(rows) - 1)):
            raise ValueError("pairs out of order")
        columns = [[float(row[place]) for row in rows[1:]] for place in (1, 2)]
        if not all(math.isfinite(value) and value >= 0.0 for column in columns for value in column):
            raise ValueError("a value that is no distortion")
    except (ValueError, IndexError, csv.Error) as error:
        raise EvaluationError(
            "pairs.csv", expected="pair,segnet,posenet and one row per pair", found=str(error)
        ) from None
    count = len(rows) - 1
    return Pairs(count=count, segnet=math.fsum(columns[0]) / count, posenet=math.fsum(columns[1]) / count)


def _total(contract: Contract, record: Mapping[str, Any], segnet: float, posenet: float) -> float | None:
    measured = record["evaluation"]
    try:
        return contract.formula.score(
            segnet=segnet,
            posenet=posenet,
            archive_bytes=measured["archive_bytes"],
            source_bytes=measured["source_bytes"],
        ).total
    except (ValueError, OverflowError):
        return None


def _evaluation(desk: _Desk, record: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """The archive that evaluation.json names; every part that it shares with the record must be the same."""
    text = desk.text(places.evidence / "evaluation.json")
    if text is None:
        return {}
    try:
        data = schema.parse(text, "evaluation.json")
        differs = [key for key in _REPEATED if data.get(key) != record[key]]
        found = {
            "archive_sha256": str(data["custody"]["archive_sha256"]),
            "archive_bytes": int(data["evaluation"]["archive_bytes"]),
        }
    except (LabError, AttributeError, KeyError, TypeError, ValueError) as error:
        desk.wrong.append(f"evaluation.json is not one: {str(error)[:100]}")
        return {}
    if differs:
        desk.wrong.append("evaluation.json and the record differ in " + ", ".join(differs))
    return found


def _report(desk: _Desk, record: Mapping[str, Any], places: Places) -> tuple[dict[str, float], str | None]:
    """The figures of report.txt and the archive digest that it names."""
    text = desk.text(places.evidence / "report.txt")
    if text is None:
        return {}, None
    try:
        figures = report.read(text)
    except EvaluationError as error:
        desk.wrong.append(f"report.txt is not one: {error}")
        return {}, None
    measured = record["evaluation"]
    for name in ("archive_bytes", "source_bytes", "n_pairs"):
        if figures[name] != measured[name]:
            desk.wrong.append(f"report.txt says {name} {figures[name]:.0f}, the record {measured[name]}")
    return figures, report.digest(text)


def _pairs(desk: _Desk, places: Places, n_pairs: int) -> Pairs | None:
    text = desk.text(places.evidence / "pairs.csv")
    if text is None:
        return None
    try:
        pairs = read_pairs(text)
    except EvaluationError as error:
        desk.wrong.append(str(error))
        return None
    if pairs.count != n_pairs:
        desk.wrong.append(f"pairs.csv has {pairs.count} pairs, the record {n_pairs}")
    return pairs


def _anatomy(desk: _Desk, record: Mapping[str, Any], places: Places) -> None:
    text = desk.text(places.evidence / "anatomy.json")
    if text is None:
        return
    try:
        data = json.loads(text)
        same = data["archive"]["sha256"] == record["custody"]["archive_sha256"]
        tiled = sum(int(section["n_bytes"]) for section in data["sections"]) == record["evaluation"]["archive_bytes"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        desk.wrong.append(f"anatomy.json is not one: {str(error)[:100]}")
        return
    if not (same and tiled):
        desk.wrong.append(
            "anatomy.json is of another archive" if not same else "anatomy.json does not account for every byte"
        )


def _recipe(desk: _Desk, record: Mapping[str, Any], places: Places) -> None:
    text = desk.text(places.evidence / "recipe.toml")
    if text is None:
        return
    try:
        found = recipe.parse(text, record["recipe"]["name"]).digest
    except LabError as error:
        desk.wrong.append(f"recipe.toml is not one: {error}")
        return
    if found != record["recipe"]["sha256"]:
        desk.wrong.append(f"recipe.toml has digest {found[:16]}, the record {record['recipe']['sha256'][:16]}")


def _rates(desk: _Desk, record: Mapping[str, Any]) -> None:
    measured, rates = record["evaluation"], record["rates"]
    if rates["as_scored_bytes"] != measured["archive_bytes"]:
        desk.wrong.append("the rate as scored is not that of the archive")
    if rates["rule_faithful_bytes"] != measured["archive_bytes"] + record["custody"]["runtime_bytes"]:
        desk.wrong.append("the rule-faithful rate is not that of archive and runtime")


def _archive(desk: _Desk, record: Mapping[str, Any], places: Places) -> str | None:
    """Digest of the archive that is kept; promoted runs of moderate size must keep theirs."""
    if places.archive.is_file():
        if places.archive.stat().st_size != record["evaluation"]["archive_bytes"]:
            desk.wrong.append("the kept archive has another size")
        return custody.sha256_file(places.archive)
    if record["verdict"] == "promoted" and record["evaluation"]["archive_bytes"] <= ARCHIVE_KEEP_BYTES:
        desk.missing.append("promoted, but its archive is not kept")
    return None


def _runtime(desk: _Desk, record: Mapping[str, Any], places: Places) -> None:
    if not places.runtime.is_file():
        if record["verdict"] == "promoted":
            desk.missing.append("promoted, but its runtime tree is not kept")
        return
    kept = record["custody"]
    try:
        tree = runtime.unpack(places.runtime, kept["runtime_sha256"], record["recipe"]["family"])
    except LabError as error:
        desk.wrong.append(f"the kept runtime is not the recorded one: {error}")
        return
    if tree.n_bytes != kept["runtime_bytes"]:
        desk.wrong.append(f"the kept runtime has {tree.n_bytes:,} bytes, the record says {kept['runtime_bytes']:,}")


def _replays(desk: _Desk, places: Places) -> tuple[Replay, ...]:
    try:
        return replays(places.evidence / REPLAY_FILE)
    except LedgerError as error:
        desk.wrong.append(str(error))
        return ()
