"""The ledger: one record per run, appended once, never edited.

A record stores components and bytes; totals are recomputed on load and compared, and the grade is decided from what
lies on disk beside it. Layout on disk and the meaning of every field: `ledgers/README.md`. A correction is a new record
that `supersedes` the old one; a later replay lies beside the record and may lift its grade to A++. The text of every
contract that records were measured under is kept, so that a record can be checked after its contract has changed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lab import custody, evidence, facts, schema, states
from lab.contract import Contract
from lab.errors import DuplicateRun, LedgerError, SchemaMismatch
from lab.evidence import Facts, Replay
from lab.fields import ID, VERDICTS
from lab.run import Run, current, frontier, outdated, superseded
from lab.runtime import Runtime, pack
from lab.schema import SCHEMA, validate
from lab.store import replace_folder, write_atomic, write_once

__all__ = [
    "SCHEMA",
    "VERDICTS",
    "Ledger",
    "Run",
    "current",
    "frontier",
    "identity_of",
    "outdated",
    "plain",
    "run_id",
    "superseded",
    "validate",
    "write_atomic",
]


def run_id(slug: str, identity: str) -> str:
    """The id of a run: what was asked, and which result came out.

    Args:
        identity: digest that names the result, see `identity_of`; an archive's digest alone is not one.
    """
    return f"{slug.lower().replace('_', '-')}-{identity[:8]}"


def identity_of(record: Mapping[str, Any]) -> str:
    """The digest of what makes a result: archive, runtime, axis, evaluator, contract, and what the record replaces."""
    kept = record["custody"]
    return custody.identity(
        kept["archive_sha256"],
        kept["runtime_sha256"],
        record["evaluation"]["axis"],
        kept["evaluator_sha256"],
        record["contract_sha256"],
        record["supersedes"] or "",
    )


class Ledger:
    """The records under one folder; see `ledgers/README.md` for the layout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._readings: dict[str, tuple[str, ...]] = {}
        self._states: dict[tuple[str, str], Contract | None] = {}
        self._beside: dict[str, str] = {}

    def folder(self, contract: str) -> Path:
        """Everything recorded under a contract."""
        return self.root / contract

    def record_path(self, contract: str, identifier: str) -> Path:
        """Where the record of a run stands.

        Raises:
            LedgerError: the id is not one, so that no path can be smuggled in.
        """
        if not ID.match(identifier) or not ID.match(contract):
            raise LedgerError(f"run {identifier[:100]!r}", expected="an id of a-z, 0-9, dot and dash")
        return self.folder(contract) / "runs" / f"{identifier}.json"

    def evidence(self, contract: str, identifier: str) -> Path:
        """The folder of a run's evidence."""
        return self.record_path(contract, identifier).parent.parent / "evidence" / identifier

    def archive(self, contract: str, sha256: str) -> Path:
        """Where the archive of a promoted run is kept."""
        return self.folder(contract) / "archives" / f"{sha256}.zip"

    def runtime(self, contract: str, sha256: str) -> Path:
        """Where the runtime tree of a promoted run is kept."""
        return self.folder(contract) / "runtimes" / f"{sha256}.zip"

    def state_path(self, contract: str, sha256: str) -> Path:
        """Where the text of a contract is kept as it was when runs were measured under it."""
        return self.folder(contract) / "states" / f"{sha256}.toml"

    def state(self, contract: Contract, sha256: str) -> Contract | None:
        """A contract in the state of this digest: the present one, or an earlier one that was kept.

        Raises:
            LedgerError: what is kept under the digest is not that state.
        """
        if sha256 == contract.digest:
            return contract
        key = (contract.name, sha256)
        if key not in self._states:
            self._states[key] = states.read(self.state_path(*key), contract, sha256)
        return self._states[key]

    def places(self, record: Mapping[str, Any]) -> facts.Places:
        """Where the parts of a recorded run lie, whether or not they are there."""
        kept, contract = record["custody"], record["contract"]
        return facts.Places(
            evidence=self.evidence(contract, record["id"]),
            archive=self.archive(contract, kept["archive_sha256"]),
            runtime=self.runtime(contract, kept["runtime_sha256"]),
        )

    def contracts(self) -> list[str]:
        """Every contract with at least one record."""
        return sorted(path.parent.name for path in self.root.glob("*/runs") if next(_records(path), None))

    def runs(self, contract: Contract) -> list[Run]:
        """Every record of a contract, oldest first; ties in order of their ids.

        Raises:
            LedgerError: a record is not readable or does not hold together.
        """
        return sorted((self.read(path, contract) for path in self.record_paths(contract)), key=Run.order)

    def record_paths(self, contract: Contract) -> list[Path]:
        """The files of every record of a contract, in order of their ids."""
        folder = self.folder(contract.name) / "runs"
        return [folder / name for name in sorted(self.record_names(contract.name))]

    def record_names(self, contract: str) -> list[str]:
        """The names of these files, in no order."""
        return list(_records(self.folder(contract) / "runs"))

    def get(self, contract: Contract, identifier: str) -> Run:
        """One record; a unique prefix of its id is enough.

        Raises:
            LedgerError: none, or several.
        """
        path = self.record_path(contract.name, identifier)
        if path.is_file():
            return self.read(path, contract)
        near = sorted(item.stem for item in path.parent.glob("*.json") if item.stem.startswith(identifier))
        if len(near) == 1:
            return self.read(path.with_name(near[0] + ".json"), contract)
        raise LedgerError(
            f"run {identifier!r} of {contract.name}",
            expected="one record",
            found=", ".join(near[:5]) if near else "none",
            fix="see `lab ledger list`",
        )

    def find(self, contract: Contract, *, recipe_sha256: str, runtime_sha256: str | None, axis: str) -> Run | None:
        """The newest current run of exactly this recipe on this axis (and runtime, where given), if there is one."""
        for run in reversed(list(current(self.runs(contract)))):
            same = run.data["recipe"]["sha256"] == recipe_sha256 and run.axis == axis
            same = same and run.data["contract_sha256"] == contract.digest
            if same and runtime_sha256 in (None, run.data["custody"]["runtime_sha256"]):
                return run
        return None

    def append(self, record: Mapping[str, Any], contract: Contract) -> Path:
        """Write one new record: checked, complete on disk, and only if its id is free.

        Raises:
            SchemaMismatch, ScoreMismatch: the record does not hold together; nothing is written.
            LedgerError: it names a parent or a superseded record that does not stand.
            DuplicateRun: a record of this id stands already; it is left as it is.
        """
        self._check_entry(record, contract)
        path = self.record_path(contract.name, str(record["id"]))
        write_once(path, plain(record).encode())
        return path

    def enter(
        self,
        draft: Mapping[str, Any],
        contract: Contract,
        texts: Mapping[str, bytes],
        *,
        archive_data: bytes,
        tree: Runtime,
        clip: bytes | None = None,
    ) -> Run:
        """Keep the evidence of a measured run, grade it by what then lies on disk, and append its record.

        One process at a time enters a run; the record comes last, so that it never lacks what it names.

        Args:
            draft: a record; its grade is decided here, whatever it says.
            texts: files of evidence by name.
            archive_data, tree: the archive and the runtime tree, kept where the run was promoted.
            clip: the web clip of a promoted run.

        Raises:
            LedgerError: see `append`; nothing is left behind.
        """
        record = {**draft, "grade": "invalid", "grade_reasons": ["not graded yet"]}
        self._check_entry(record, contract)
        with self.locked(contract.name):
            if self.record_path(contract.name, record["id"]).exists():
                return self._refuse_duplicate(record["id"])
            self._refuse_second(record, contract)
            states.keep(self.state_path(contract.name, contract.digest), contract)
            places = self.places(record)
            replace_folder(places.evidence, texts)
            if record["verdict"] == "promoted":
                if len(archive_data) <= facts.ARCHIVE_KEEP_BYTES and not places.archive.exists():
                    write_atomic(places.archive, archive_data)
                if not places.runtime.exists():
                    write_atomic(places.runtime, pack(tree))
                if clip is not None:
                    write_atomic(self.folder(contract.name) / "clips" / f"{record['id']}.mp4", clip)
            decided, reasons = evidence.grade(self.facts_of(record, contract))
            record["grade"], record["grade_reasons"] = decided.value, list(reasons)
            self.append(record, contract)
        return self.get(contract, record["id"])

    def facts_of(self, record: Mapping[str, Any], contract: Contract) -> Facts:
        """Everything that decides a record's grade, read from disk."""
        places = self.places(record)
        return facts.gather(record, contract, places, broken_rules=facts.broken_rules(record, places, self._readings))

    def add_replay(self, run: Run, replay: Mapping[str, Any]) -> Path:
        """Add what a replay showed to the evidence of a run; earlier ones stay, the record stays as it is."""
        path = self.evidence(run.contract, run.id) / facts.REPLAY_FILE
        with self.locked(run.contract):
            facts.replays(path)
            known = json.loads(path.read_text(encoding="utf-8"))["replays"] if path.is_file() else []
            table = {"schema": facts.REPLAY_SCHEMA, "run": run.id, "replays": [*known, dict(replay)]}
            write_atomic(path, plain(table).encode())
        return path

    @contextmanager
    def locked(self, contract: str) -> Iterator[None]:
        """Hold the ledger of a contract for writing; the kernel lets go of it when the process ends, however."""
        self.folder(contract).mkdir(parents=True, exist_ok=True)
        with (self.folder(contract) / ".lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _check_entry(self, record: Mapping[str, Any], contract: Contract) -> None:
        validate(record, contract, str(record.get("id"))[:100], entering=True)
        for what, identifier in (
            ("supersedes", record["supersedes"]),
            *(("parent", item) for item in record["parents"]),
        ):
            if identifier is not None and not self.record_path(contract.name, identifier).is_file():
                raise LedgerError(
                    f"run {record['id']}, {what}", expected="a run on record", found=repr(identifier)[:100],
                    fix="see `lab ledger list`",
                )  # fmt: skip
        if record["id"] in (record["supersedes"], *record["parents"]):
            raise LedgerError(f"run {record['id']}", expected="other runs as parents", found="itself")

    def _refuse_second(self, record: Mapping[str, Any], contract: Contract) -> None:
        """A record is replaced once, and by a result of its own axis."""
        replaced = record["supersedes"]
        if replaced is None:
            return
        where = f"run {record['id']}, supersedes"
        for run in self.runs(contract):
            if run.data["supersedes"] == replaced:
                raise LedgerError(where, expected="a record that stands", found=f"{replaced}, replaced by {run.id}")
            if run.id == replaced and run.axis != record["evaluation"]["axis"]:
                raise LedgerError(where, expected=f"a record of axis {record['evaluation']['axis']}", found=run.axis)

    def _refuse_duplicate(self, identifier: str) -> Run:
        raise DuplicateRun(
            f"record {identifier}", expected="a free id", found="a record", fix="records are never edited; supersede it"
        )

    def read(self, path: Path, contract: Contract) -> Run:
        """One record from its file, with the errors of `runs`."""
        return self.parse(schema.text(os.fspath(path), f"{contract.name}/runs/{path.name}"), path.name, contract)

    def parse(self, text: str, name: str, contract: Contract) -> Run:
        """The same, from the text of the file of this name."""
        where = f"{contract.name}/runs/{name}"
        data = schema.parse(text, where)
        state = str(data.get("contract_sha256")) if isinstance(data, dict) else ""
        then = self.state(contract, state) if schema.is_digest(state) else None
        score = validate(data, then or contract, where)
        identifier = name.removesuffix(".json")
        if data["id"] != identifier:
            raise SchemaMismatch(where, expected=f"id {identifier!r}", found=repr(data["id"]))
        grade, reasons = evidence.with_replays(data, self._replays(contract.name, identifier))
        grade_then = grade.value
        if state != contract.digest:
            grade, reasons = evidence.of_another_state(grade, reasons, state)
        data = {**data, "grade": grade.value, "grade_reasons": list(reasons)}
        return Run(data=data, score=score, grade_then=grade_then)

    def _replays(self, contract: str, identifier: str) -> tuple[Replay, ...]:
        """Later replays of a run: of most there are none, which is found out at least cost."""
        if contract not in self._beside:
            self._beside[contract] = os.fspath(self.evidence(contract, identifier).parent)
        try:
            os.lstat(path := f"{self._beside[contract]}/{identifier}/{facts.REPLAY_FILE}")
        except FileNotFoundError:
            return ()
        return facts.replays(Path(path))


def _records(folder: Path) -> Iterator[str]:
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
        for item in found:
            if (name := item.name).endswith(".json"):
                yield name


def plain(data: Mapping[str, Any]) -> str:
    """Sorted, indented JSON with a final newline: the one form in which records are written."""
    return json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
