"""The shelf on disk: facts imported once, checked, then written; loaded again with every total recomputed.

<ledgers>/external/<collection>.json     records with source, grade and recomputed total
<ledgers>/external/findings.json         every contradiction between them
<ledgers>/external/axis-analysis.json    CPU against CUDA
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.contract import Contract
from lab.errors import DuplicateRun, LedgerError, SchemaMismatch
from lab.external import axes, carry, claim, facts, findings
from lab.external.record import SCHEMA, Collection, Finding, Record, check
from lab.ledger import write_atomic

FOLDER = "external"
FINDINGS = "findings"
ANALYSIS = "axis-analysis"
FINDINGS_SCHEMA = "lab.external-findings/1"
FILE_LIMIT_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Everything that others stated, as it stands in the ledger."""

    collections: tuple[Collection, ...]
    findings: tuple[Finding, ...]
    analysis: Mapping[str, Any]

    @property
    def records(self) -> dict[str, Record]:
        """Every record by its id."""
        return {record.id: record for collection in self.collections for record in collection.records}

    def collection(self, name: str) -> Collection:
        """One collection.

        Raises:
            LedgerError: there is none of this name.
        """
        for found in self.collections:
            if found.name == name:
                return found
        raise LedgerError(
            f"external collection {name!r}", expected="one of " + ", ".join(c.name for c in self.collections)
        )


def gather(folder: Path, contract: Contract) -> Shelf:
    """What a folder of facts says, as records with findings and analysis; nothing is written.

    Raises:
        LedgerError, SchemaMismatch: a file cannot be carried.
    """
    made = []
    for path in facts.paths(folder):
        told, sha256 = facts.read(path)
        made.append(carry.collection(path.name, told, sha256, contract))
    names = [collection.name for collection in made]
    if len(set(names)) != len(names):
        raise SchemaMismatch(folder.name, expected="one file of each schema", found=", ".join(sorted(names)))
    return _shelf(sorted(made, key=lambda collection: collection.name), contract)


def store(shelf: Shelf, ledgers: Path, *, replace: bool = False) -> list[str]:
    """Write a shelf and return the names of the files that changed.

    Args:
        replace: overwrite a file that holds something else; version control keeps what it held.

    Raises:
        DuplicateRun: a file holds something else; nothing is written.
    """
    folder = ledgers / FOLDER
    files: dict[str, dict[str, Any]] = {collection.name: collection.as_dict() for collection in shelf.collections}
    files[FINDINGS] = {
        "schema": FINDINGS_SCHEMA,
        "n_findings": len(shelf.findings),
        "findings": [found.as_dict() for found in shelf.findings],
    }
    files[ANALYSIS] = dict(shelf.analysis)
    texts = {name: _text(data) for name, data in files.items()}
    changed = [name for name, text in texts.items() if _kept(folder / f"{name}.json") != text]
    standing = [name for name in changed if (folder / f"{name}.json").exists()]
    if standing and not replace:
        raise DuplicateRun(
            f"external {', '.join(standing)}", expected="nothing there, or the same facts", found="other ones",
            fix="read the difference, then import with --replace",
        )  # fmt: skip
    for name in changed:
        write_atomic(folder / f"{name}.json", texts[name].encode())
    return changed


def load(ledgers: Path, contract: Contract) -> Shelf:
    """The shelf as it stands, every total, finding and figure computed again and compared.

    Raises:
        SchemaMismatch: a file is not one of ours, or says something that its records do not give.
    """
    folder = ledgers / FOLDER
    made = []
    stored: dict[str, Any] = {}
    for path in sorted(folder.glob("*.json")):
        data = _read(path)
        if data.get("schema") == SCHEMA:
            made.append(_collection(data, path.stem, contract))
        else:
            stored[path.stem] = data
    shelf = _shelf(made, contract)
    for name, text in ((FINDINGS, [found.as_dict() for found in shelf.findings]), (ANALYSIS, dict(shelf.analysis))):
        kept = stored.get(name, {})
        kept = kept.get("findings") if name == FINDINGS else kept
        if made and _text(kept) != _text(text):
            raise SchemaMismatch(f"external/{name}.json", expected="what the records give", found="something else",
                                 fix="import the facts again with --replace")  # fmt: skip
    return shelf


def _shelf(collections: list[Collection], contract: Contract) -> Shelf:
    found = findings.find(collections, contract)
    rows = [record for collection in collections for record in collection.records]
    notes = next((collection.notes for collection in collections if collection.name == "axes"), {})
    return Shelf(
        collections=tuple(collections), findings=tuple(found), analysis=axes.analyse(rows, notes, contract)
    )  # fmt: skip


def _collection(data: Mapping[str, Any], name: str, contract: Contract) -> Collection:
    where = f"external/{name}.json"
    try:
        records = tuple(_record(item, where, contract) for item in data["records"])
        if data["name"] != name or data["n_records"] != len(records):
            raise SchemaMismatch(
                where, expected=f"{data['n_records']} records of {data['name']}", found=str(len(records))
            )
        return Collection(
            name=name,
            facts_schema=data["facts_schema"],
            facts_sha256=data["facts_sha256"],
            records=records,
            notes=data["notes"],
        )
    except (KeyError, TypeError) as error:
        raise SchemaMismatch(where, expected="a collection", found=f"{type(error).__name__} {error}") from None


def _record(item: Mapping[str, Any], where: str, contract: Contract) -> Record:
    fields = dict(item)
    grade, reasons = fields.pop("grade"), tuple(fields.pop("grade_reasons", ()))
    for name in ("claim", "as_published"):
        if name in fields:
            fields[name] = claim.read(contract, fields[name], f"{where}, {fields['id']}")
    for name in ("sources", "broken_rules"):
        fields[name] = tuple(fields.get(name, ()))
    made = Record(**fields)
    check(made, where)
    if (made.grade.value, made.grade_reasons) != (grade, reasons):
        raise SchemaMismatch(f"{where}, {made.id}", expected=f"grade {made.grade.value}", found=str(grade))
    return made


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > FILE_LIMIT_BYTES:
            raise LedgerError(path.name, expected=f"at most {FILE_LIMIT_BYTES:,} bytes", found="a larger file")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LedgerError(path.name, expected="JSON", found=str(error)[:200], fix="restore it") from None
    if not isinstance(data, dict):
        raise SchemaMismatch(path.name, expected="an object", found=type(data).__name__)
    return data


def _kept(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _text(data: Any) -> str:
    return json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
