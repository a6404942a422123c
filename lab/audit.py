"""The whole ledger, checked again from disk: every total, digest and grade, every link between records.

A damaged record does not hide the next one: each finding names its record, and an audit goes to the end.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import contract as contracts
from lab import custody, evidence, facts, runtime, schema, traces
from lab.contract import Contract
from lab.errors import LabError
from lab.ledger import Ledger, Run, identity_of

Monitor = Callable[[str, int, int], None]
_HOUSEKEEPING = (".lock",)
_EVIDENCE = {"report.txt", "evaluation.json", "anatomy.json", "recipe.toml", "pairs.csv"}
_EVIDENCE |= {facts.REPLAY_FILE, facts.ANSWERS_FILE, *traces.PLACES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not hold: where, which rule, and what was seen."""

    where: str
    rule: str
    what: str

    def __str__(self) -> str:
        """`where: rule: what`."""
        return f"{self.where}: {self.rule}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit looked at and what it found."""

    records: int
    graded: dict[str, int]
    findings: tuple[Finding, ...]


def verify(ledgers: Path, monitor: Monitor = lambda *_: None) -> Audit:
    """Recompute everything that can be recomputed under a ledger root."""
    ledger = Ledger(ledgers)
    findings: list[Finding] = []
    graded: dict[str, int] = {}
    records = 0
    for name in ledger.contracts():
        try:
            contract = contracts.load(name, ledgers)
        except LabError as error:
            findings.append(Finding(where=name, rule="contract", what=str(error)))
            continue
        runs: list[Run] = []
        paths = sorted((ledger.folder(name) / "runs").glob("*.json"))
        for number, path in enumerate(paths, 1):
            records += 1
            try:
                run = ledger.get(contract, path.stem)
            except LabError as error:
                findings.append(Finding(where=f"{name}/{path.stem}", rule="record", what=str(error)))
                continue
            runs.append(run)
            graded[run.grade] = graded.get(run.grade, 0) + 1
            findings += _record(run, contract, ledger)
            monitor(f"records of {name}", number, len(paths))
        findings += _links(name, runs)
        findings += _strays(name, ledger, {path.stem for path in paths}, runs)
    return Audit(records=records, graded=graded, findings=tuple(findings))


def sweep(ledgers: Path, *, remove: bool) -> list[str]:
    """What killed writers left behind: evidence, clips, archives, runtimes and states that no record names.

    Each contract's lock is held meanwhile, so nothing of a run that is being entered is taken for a stray. Other
    strays are left where they are: somebody put them there.

    Args:
        ledgers: root of the ledgers.
        remove: delete them; otherwise they are only named.

    Returns:
        where each lies, below the root.

    Raises:
        LedgerError: a record does not load, so that nobody knows what it names; nothing is deleted.
    """
    ledger, left = Ledger(ledgers), []
    for name in ledger.contracts():
        contract = contracts.load(name, ledgers)
        with ledger.locked(name):
            runs = ledger.runs(contract)
            stems = {path.stem for path in (ledger.folder(name) / "runs").glob("*.json")}
            for finding in _strays(name, ledger, stems, runs):
                parts = Path(finding.where).parts
                if finding.rule == "stray" and len(parts) == 3 and parts[1] != "runs":
                    left.append(finding.where)
                    if remove:
                        path = ledgers / finding.where
                        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return left


def _record(run: Run, contract: Contract, ledger: Ledger) -> Iterator[Finding]:
    """What does not hold in one record, whose total has been recomputed while loading."""
    where = f"{contract.name}/{run.id}"
    try:
        then = ledger.state(contract, run.data["contract_sha256"])
        schema.validate(run.data, then or contract, where, entering=True)
        decided, reasons = evidence.grade(ledger.facts_of(run.data, then or contract))
    except LabError as error:
        yield Finding(where=where, rule="record", what=str(error))
        return
    if then is None:
        what = f"the text of the contract {run.data['contract_sha256'][:12]} that it was measured under is not kept"
        yield Finding(where=where, rule="state", what=what)
    elif decided.value != run.grade_then:
        why = "; ".join(reasons)[:400]
        yield Finding(where=where, rule="grade", what=f"recorded {run.grade_then}, disk gives {decided.value}: {why}")
    if not run.id.endswith("-" + identity_of(run.data)[:8]):
        yield Finding(where=where, rule="id", what=f"does not name its result {identity_of(run.data)[:8]}")


def _links(name: str, runs: list[Run]) -> Iterator[Finding]:
    """Parents and superseded records that do not stand, and circles among them."""
    known = {run.id: run for run in runs}
    for run in runs:
        replaced = run.data["supersedes"]
        for what, identifier in (("supersedes", replaced), *(("parents", item) for item in run.parents)):
            if identifier is not None and identifier not in known:
                yield Finding(where=f"{name}/{run.id}", rule=what, what=f"{identifier} does not stand")
        for parent in (known[item] for item in run.parents if item in known):
            for what, mine, theirs in (
                ("axis", run.axis, parent.axis),
                ("state of the contract", run.data["contract_sha256"], parent.data["contract_sha256"]),
            ):
                if mine != theirs:
                    where = f"{name}/{run.id}"
                    yield Finding(where=where, rule="parents", what=f"{parent.id} is of another {what}: {theirs[:12]}")
    for rule in ("supersedes", "parents"):
        for run in runs:
            circle = _circle(run.id, known, rule)
            if circle and min(circle) == run.id:
                yield Finding(where=f"{name}/{run.id}", rule=rule, what="a circle: " + " -> ".join(circle))
    taken: dict[str, str] = {}
    for run in runs:
        replaced = run.data["supersedes"]
        if replaced in taken:
            yield Finding(where=f"{name}/{run.id}", rule="supersedes", what=f"{taken[replaced]} replaces it too")
        if replaced:
            taken[replaced] = run.id


def _circle(start: str, known: dict[str, Run], rule: str) -> list[str]:
    """The way from a record back to itself, empty where there is none."""
    seen: set[str] = set()
    waiting = [[start]]
    while waiting:
        way = waiting.pop()
        run = known.get(way[-1])
        if run is None:
            continue
        following = run.parents if rule == "parents" else (run.data["supersedes"],)
        for other in following:
            if other == start:
                return [*way, other]
            if other is not None and other not in seen:
                seen.add(other)
                waiting.append([*way, other])
    return []


def _strays(name: str, ledger: Ledger, stems: set[str], runs: list[Run]) -> Iterator[Finding]:
    """Files that no record names, and kept archives that are not what their name says."""
    folder = ledger.folder(name)
    for path in sorted((folder / "evidence").glob("*")):
        if path.name not in stems and not path.name.startswith(".write-"):
            yield Finding(where=f"{name}/evidence/{path.name}", rule="stray", what="evidence without a record")
        for item in sorted(path.glob("*")) if path.name in stems else ():
            if item.name not in _EVIDENCE and not item.name.startswith(".write-"):
                yield Finding(where=f"{name}/evidence/{path.name}/{item.name}", rule="stray", what="no evidence")
    for path in sorted((folder / "clips").glob("*")):
        if path.stem not in stems and not path.name.startswith(".write-"):
            yield Finding(where=f"{name}/clips/{path.name}", rule="stray", what="a clip without a record")
    states = {run.data["contract_sha256"] for run in runs}
    for path in sorted((folder / "states").glob("*")):
        if path.stem not in states and not path.name.startswith(".write-"):
            yield Finding(where=f"{name}/states/{path.name}", rule="stray", what="no record was measured under it")
    for kind, field in (("archives", "archive_sha256"), ("runtimes", "runtime_sha256")):
        named = {run.data["custody"][field] for run in runs}
        for path in sorted((folder / kind).glob("*.zip")):
            where = f"{name}/{kind}/{path.name}"
            if path.stem not in named:
                yield Finding(where=where, rule="stray", what="no record names it")
            elif kind == "archives" and custody.sha256_file(path) != path.stem:
                yield Finding(where=where, rule="digest", what="not the bytes that its name says")
            elif kind == "runtimes":
                try:
                    runtime.unpack(path, path.stem, "")
                except LabError as error:
                    yield Finding(where=where, rule="digest", what=str(error)[:200])
    for path in sorted((folder / "runs").iterdir()):
        if (
            path.suffix != ".json"
            and path.name not in _HOUSEKEEPING
            and not path.name.startswith((".append-", ".write-"))
        ):
            yield Finding(where=f"{name}/runs/{path.name}", rule="stray", what="no record")
