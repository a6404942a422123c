"""The ledger: one record per run, appended once, never edited.

A record stores components and bytes; totals are recomputed on load and compared. Layout on disk and the meaning of
every field: `ledgers/README.md`. A correction is a new record that `supersedes` the old one.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.contract import Contract, Score
from lab.errors import DuplicateRun, LedgerError, SchemaMismatch, ScoreMismatch

SCHEMA = "lab.run/1"
VERDICTS = ("promoted", "rejected", "open")
TOTAL_TOLERANCE = 1e-9
RECORD_LIMIT_BYTES = 1 << 20
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{2,95}\Z")
_HEX = re.compile(r"[0-9a-f]{64}\Z")

# field -> type; the nested tables are listed after it. Everything here is public; see the site's allowlist.
_TOP: dict[str, type | tuple[type, ...]] = {
    "schema": str,
    "id": str,
    "contract": str,
    "contract_sha256": str,
    "recorded_at": str,
    "recipe": dict,
    "parents": list,
    "verdict": str,
    "verdict_reason": str,
    "evaluation": dict,
    "score": dict,
    "rates": dict,
    "custody": dict,
    "grade": str,
    "grade_reasons": list,
    "supersedes": (str, type(None)),
    "notes": list,
}
_RECIPE: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "family": str,
    "sha256": str,
    "question": str,
    "changed": str,
    "seed": int,
    "params": dict,
}
_EVALUATION: dict[str, type | tuple[type, ...]] = {
    "axis": str,
    "n_pairs": int,
    "segnet": float,
    "posenet": float,
    "archive_bytes": int,
    "source_bytes": int,
    "encode_s": (float, type(None)),
    "inflate_s": float,
    "evaluate_s": float,
}
_SCORE: dict[str, type | tuple[type, ...]] = {
    "segnet_term": float,
    "posenet_term": float,
    "rate_term": float,
    "total": float,
}
_RATES: dict[str, type | tuple[type, ...]] = {"as_scored_bytes": int, "rule_faithful_bytes": int}
_CUSTODY: dict[str, type | tuple[type, ...]] = {
    "archive_sha256": str,
    "runtime_sha256": str,
    "runtime_bytes": int,
    "raw_sha256": str,
    "raw_bytes": int,
    "evaluator_sha256": str,
    "networks": dict,
    "source_sha256": str,
    "commit": str,
    "dirty": bool,
    "device": str,
    "decoder": str,
    "versions": dict,
    "machine": dict,
    "walls": list,
    "exact_arithmetic": bool,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One record. `data` is the JSON as stored; the properties name what is asked for most."""

    data: Mapping[str, Any]
    score: Score = field(repr=False)

    @property
    def id(self) -> str:
        """Recipe slug and the first digits of the archive's digest."""
        return str(self.data["id"])

    @property
    def contract(self) -> str:
        """Name of the contract under which it was measured."""
        return str(self.data["contract"])

    @property
    def axis(self) -> str:
        """cpu, cuda, or an advisory axis."""
        return str(self.data["evaluation"]["axis"])

    @property
    def recipe(self) -> str:
        """family/slug."""
        return str(self.data["recipe"]["name"])

    @property
    def family(self) -> str:
        """Codec family."""
        return str(self.data["recipe"]["family"])

    @property
    def verdict(self) -> str:
        """promoted, rejected or open."""
        return str(self.data["verdict"])

    @property
    def grade(self) -> str:
        """Grade on record."""
        return str(self.data["grade"])

    @property
    def archive_bytes(self) -> int:
        """Size of the archive as charged."""
        return int(self.data["evaluation"]["archive_bytes"])

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the runs that this one departs from."""
        return tuple(self.data["parents"])

    @property
    def total(self) -> float:
        """The score, recomputed from the components."""
        return self.score.total


def run_id(slug: str, archive_sha256: str) -> str:
    """The id of a run: what was asked, and which bytes came out."""
    return f"{slug.lower().replace('_', '-')}-{archive_sha256[:8]}"


class Ledger:
    """The records under one folder; see `ledgers/README.md` for the layout."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, contract: str) -> Path:
        """Everything recorded under a contract."""
        return self.root / contract

    def record_path(self, contract: str, identifier: str) -> Path:
        """Where the record of a run stands.

        Raises:
            LedgerError: the id is not one, so that no path can be smuggled in.
        """
        if not _ID.match(identifier) or not _ID.match(contract):
            raise LedgerError(f"run {identifier[:100]!r}", expected="an id of a-z, 0-9, dot and dash")
        return self.folder(contract) / "runs" / f"{identifier}.json"

    def evidence(self, contract: str, identifier: str) -> Path:
        """The folder of a run's evidence."""
        return self.record_path(contract, identifier).parent.parent / "evidence" / identifier

    def archive(self, contract: str, sha256: str) -> Path:
        """Where the archive of a promoted run is kept."""
        return self.folder(contract) / "archives" / f"{sha256}.zip"

    def contracts(self) -> list[str]:
        """Every contract with at least one record."""
        return sorted(path.parent.name for path in self.root.glob("*/runs") if any(path.glob("*.json")))

    def runs(self, contract: Contract) -> list[Run]:
        """Every record of a contract, oldest first; ties in order of their ids.

        Raises:
            LedgerError: a record is not readable or does not hold together.
        """
        found = [self._read(path, contract) for path in sorted((self.folder(contract.name) / "runs").glob("*.json"))]
        return sorted(found, key=lambda run: (str(run.data["recorded_at"]), run.id))

    def get(self, contract: Contract, identifier: str) -> Run:
        """One record; a unique prefix of its id is enough.

        Raises:
            LedgerError: none, or several.
        """
        path = self.record_path(contract.name, identifier)
        if path.is_file():
            return self._read(path, contract)
        near = sorted(item.stem for item in path.parent.glob("*.json") if item.stem.startswith(identifier))
        if len(near) == 1:
            return self._read(path.with_name(near[0] + ".json"), contract)
        raise LedgerError(
            f"run {identifier!r} of {contract.name}",
            expected="one record",
            found=", ".join(near[:5]) if near else "none",
            fix="see `lab ledger list`",
        )

    def find(self, contract: Contract, *, recipe_sha256: str, runtime_sha256: str | None, axis: str) -> Run | None:
        """The newest run of exactly this recipe on this axis (and runtime, where given), if there is one."""
        for run in reversed(self.runs(contract)):
            same = run.data["recipe"]["sha256"] == recipe_sha256 and run.axis == axis
            same = same and run.data["contract_sha256"] == contract.digest
            if same and runtime_sha256 in (None, run.data["custody"]["runtime_sha256"]):
                return run
        return None

    def append(self, record: Mapping[str, Any], contract: Contract) -> Path:
        """Write one new record: checked, complete on disk, and only if its id is free.

        Raises:
            SchemaMismatch, ScoreMismatch: the record does not hold together; nothing is written.
            DuplicateRun: a record of this id stands already; it is left as it is.
        """
        validate(record, contract, str(record.get("id")))
        path = self.record_path(contract.name, str(record["id"]))
        text = json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_once(path, text.encode())
        return path

    def _read(self, path: Path, contract: Contract) -> Run:
        where = f"{contract.name}/runs/{path.name}"
        try:
            if path.stat().st_size > RECORD_LIMIT_BYTES:
                raise SchemaMismatch(
                    where, expected=f"at most {RECORD_LIMIT_BYTES:,} bytes", found=f"{path.stat().st_size:,}"
                )
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LedgerError(
                where, expected="a JSON record", found=str(error), fix="restore it from version control"
            ) from None
        score = validate(data, contract, where)
        if data["id"] != path.stem:
            raise SchemaMismatch(where, expected=f"id {path.stem!r}", found=repr(data["id"]))
        return Run(data=data, score=score)


def validate(record: Any, contract: Contract, where: str) -> Score:
    """The recomputed score of a record that holds together.

    Raises:
        SchemaMismatch: a field is missing, unknown, of the wrong type or out of range.
        ScoreMismatch: a stored term differs from what the components give.
    """
    if not isinstance(record, Mapping):
        raise SchemaMismatch(where, expected="a JSON object", found=type(record).__name__)
    _fields(record, _TOP, where)
    for key, table in (
        ("recipe", _RECIPE),
        ("evaluation", _EVALUATION),
        ("score", _SCORE),
        ("rates", _RATES),
        ("custody", _CUSTODY),
    ):
        _fields(record[key], table, f"{where}, {key}")
    if record["schema"] != SCHEMA:
        raise SchemaMismatch(where, expected=f"schema {SCHEMA}", found=repr(record["schema"]))
    if not _ID.match(record["id"]):
        raise SchemaMismatch(where, expected="an id of a-z, 0-9, dot and dash", found=repr(record["id"])[:100])
    if record["verdict"] not in VERDICTS:
        raise SchemaMismatch(where, expected="a verdict of " + ", ".join(VERDICTS), found=repr(record["verdict"])[:60])
    if record["contract"] != contract.name:
        raise SchemaMismatch(where, expected=f"contract {contract.name!r}", found=repr(record["contract"])[:60])
    for name in ("archive_sha256", "runtime_sha256", "raw_sha256", "evaluator_sha256", "source_sha256"):
        if not _HEX.match(record["custody"][name]):
            raise SchemaMismatch(f"{where}, custody.{name}", expected="64 hexadecimal digits")
    return _score(record, contract, where)


def _score(record: Mapping[str, Any], contract: Contract, where: str) -> Score:
    measured = record["evaluation"]
    if record["contract_sha256"] == contract.digest and measured["source_bytes"] != contract.source.bytes:
        raise SchemaMismatch(
            f"{where}, source_bytes", expected=str(contract.source.bytes), found=str(measured["source_bytes"])
        )
    try:
        score = contract.formula.score(
            segnet=measured["segnet"],
            posenet=measured["posenet"],
            archive_bytes=measured["archive_bytes"],
            source_bytes=measured["source_bytes"],
        )
    except ValueError as error:
        raise SchemaMismatch(f"{where}, evaluation", found=str(error)) from None
    for name in _SCORE:
        stored, computed = record["score"][name], getattr(score, name)
        if not math.isclose(stored, computed, rel_tol=0.0, abs_tol=TOTAL_TOLERANCE):
            raise ScoreMismatch(
                f"{where}, score.{name}",
                expected=f"{computed!r} from its components",
                found=repr(stored),
                fix="a record is never edited: restore it, or supersede it by a new run",
            )
    return score


def _fields(table: Mapping[str, Any], known: Mapping[str, type | tuple[type, ...]], where: str) -> None:
    missing, extra = sorted(set(known) - set(table)), sorted(set(table) - set(known))
    if missing or extra:
        raise SchemaMismatch(
            where,
            expected="fields " + ", ".join(missing) if missing else "no other fields",
            found="unknown " + ", ".join(extra)[:200] if extra else "nothing there",
        )
    for name, kind in known.items():
        value = table[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            wanted = getattr(kind, "__name__", str(kind))
            raise SchemaMismatch(f"{where}, {name}", expected=wanted, found=type(value).__name__)


def write_once(path: Path, data: bytes) -> None:
    """Create a file complete or not at all, never over another: temporary file, fsync, link, fsync of the folder.

    Raises:
        DuplicateRun: the name is taken.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".append-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise DuplicateRun(
                f"record {path.stem}",
                expected="a free id",
                found="a record",
                fix="records are never edited; supersede it",
            ) from None
    finally:
        Path(temporary).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that a reader sees the old bytes or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".write-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def superseded(runs: list[Run]) -> set[str]:
    """Ids that a later record replaces."""
    return {str(run.data["supersedes"]) for run in runs if run.data["supersedes"]}


def current(runs: list[Run]) -> Iterator[Run]:
    """The runs that no later record replaces."""
    gone = superseded(runs)
    return (run for run in runs if run.id not in gone)


def frontier(runs: list[Run], axis: str) -> Run | None:
    """The best ranked run of one axis: lowest total among current runs of an A grade."""
    ranked = [run for run in current(runs) if run.axis == axis and run.grade in ("A++", "A", "A-negative")]
    return min(ranked, key=lambda run: (run.total, run.id), default=None)
