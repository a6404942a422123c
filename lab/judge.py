"""Verify a packet without believing it: digests, rules, two inflations inside walls, both components measured again.

The packet is another's program and another's claims. Everything that it says of itself is compared with what is found;
what cannot be checked on this machine is named and keeps the verdict from being `confirmed`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import comply, custody, replay, runtime, walls
from lab import contract as contracts
from lab.comply import Check
from lab.contract import SHIPPED, Contract
from lab.errors import ContractError, LabError, PacketError
from lab.evidence import RECOMPUTE_TOLERANCE
from lab.ledger import Ledger
from lab.verdict import Verdict

Monitor = Callable[[str, int, int], None]
JSON_LIMIT_BYTES = 1 << 20
# Nothing of a packet is run that is not what was released, or that cannot be unpacked without harm.
_UNFIT = {"files.tree", "files.required", "files.manifest", "zip.safe", "zip.empty"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Court:
    """Where a judge finds contracts and keeps reference answers."""

    ledgers: Path
    cache: Path


@dataclass(slots=True)
class _Case:
    """A verdict in the making."""

    claims: Mapping[str, Any]
    checks: list[Check] = field(default_factory=list)
    open_ends: list[str] = field(default_factory=list)
    figures: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    walls: tuple[str, ...] = ()

    def claim(self, table: str, name: str) -> Any:
        """What evaluation.json says, None where it says nothing."""
        inside = self.claims.get(table)
        return inside.get(name) if isinstance(inside, Mapping) else None

    def compare(self, rule: str, what: str, recorded: Any, found: Any, tolerance: float = 0.0) -> None:
        """One figure, recorded and found; what nobody claimed cannot be confirmed."""
        self.figures[what] = (recorded, found)
        if recorded is None:
            self.open_ends.append(f"the packet claims no {what}")
            return
        same = recorded == found
        if tolerance and isinstance(recorded, int | float) and isinstance(found, int | float):
            same = abs(recorded - found) <= tolerance
        self.checks.append(Check(rule=rule, passed=same, what=f"{what}: recorded {recorded}, found {found}"[:300]))


def verify(
    folder: Path,
    court: Court,
    *,
    name: str | None = None,
    strength: str | None = None,
    monitor: Monitor = lambda *_: None,
) -> Verdict:
    """The verdict on one packet.

    Args:
        folder: the packet.
        name: contract to judge under (default: the one that the packet names).
        strength: walls of `walls.STRENGTHS` (default: the strongest at hand).
    """
    case = _Case(claims=_claims(folder))
    said = str(name or case.claims.get("contract", ""))[:100]
    contract = _contract(case, folder, said, court)
    for item in comply.check(folder, contract).checks:
        case.checks.append(item)
    if not (folder / custody.MANIFEST).is_file():
        # A packet of ours always has one; a submission in the contest's own layout never does.
        severity = "error" if (folder / runtime.FOLDER).is_dir() else "warning"
        what = "no manifest: nothing says what was released"
        case.checks.append(Check(rule="files.manifest", passed=False, what=what, severity=severity))
    heard = None
    if contract is None:
        case.open_ends.append("not inflated: without a contract the size of the raw output is unknown")
    elif spoiled := sorted({item.rule for item in case.checks if _unfit(item)}):
        case.open_ends.append("not inflated, because of " + ", ".join(spoiled))
    else:
        heard = _inflate_twice(case, folder, contract, court, strength, monitor)
    record = _table(folder / "record.json")
    return Verdict(
        packet=folder.name,
        run=str(record.get("id", folder.name))[:100],
        contract=said or "unknown",
        checks=tuple(case.checks),
        open_ends=tuple(case.open_ends),
        figures=case.figures,
        walls=case.walls,
        replay=heard,
    )


def _unfit(check: Check) -> bool:
    return not check.passed and check.severity == "error" and check.rule in _UNFIT


def remember(verdict: Verdict, ledgers: Path) -> Path:
    """Lay a verdict's replay beside the run that it replayed, where it may lift the grade to A++.

    Raises:
        PacketError: the verdict holds no complete replay.
        LedgerError: no such run.
    """
    if verdict.replay is None:
        raise PacketError(
            f"packet {verdict.packet}", expected="two inflations and measured components", found=verdict.status
        )
    ledger = Ledger(ledgers)
    run = ledger.get(contracts.load(verdict.contract, ledgers), verdict.run)
    return ledger.add_replay(run, verdict.replay)


def _contract(case: _Case, folder: Path, name: str, court: Court) -> Contract | None:
    """The judge's own contract of that name; failing that the packet's copy, which can be inflated but not measured."""
    try:
        return contracts.load(name, court.ledgers)
    except ContractError as error:
        case.open_ends.append(f"components not measured again: {error}")
    copy = folder / contracts.FILE_NAME
    try:
        if copy.is_file() and not copy.is_symlink() and copy.stat().st_size <= JSON_LIMIT_BYTES:
            return contracts.parse(copy.read_bytes().decode("utf-8", errors="replace"), folder, "the packet's contract")
    except ContractError as error:
        case.checks.append(Check(rule="evaluation.contract", passed=False, what=str(error)[:200]))
    return None


def _inflate_twice(
    case: _Case, folder: Path, contract: Contract, court: Court, strength: str | None, monitor: Monitor
) -> dict[str, Any] | None:
    """Two inflations and a measurement between them; what a replay.json would hold, where all of it was done."""
    digests: list[str] = []
    kind = strength or walls.strength()
    measured: dict[str, Any] | None = None
    with replay.scratch() as scratch:
        stage = _stage(folder, Path(scratch) / "packet")
        for number in range(2):
            work = Path(scratch) / f"inflation-{number}"
            monitor("inflating inside walls", number, 2)
            try:
                inflation = replay.inflate(
                    stage,
                    work,
                    raw_bytes=contract.raw_bytes,
                    hidden=(contract.root, SHIPPED, court.ledgers, court.cache),
                    time_limit_s=contract.time_limit_s,
                    strength=kind,
                )
            except LabError as error:
                case.checks.append(Check(rule="replay.inflates", passed=False, what=str(error)[:400]))
                return None
            case.walls = inflation.walls
            digests.append(inflation.raw_sha256)
            if number == 0:
                measured = _measure(case, stage, inflation.raw, contract, court, monitor)
            shutil.rmtree(work)
        monitor("inflating inside walls", 2, 2)
        shipped = runtime.of_packet(stage).sha256 if (stage / runtime.FOLDER).is_dir() else ""
    case.checks.append(Check(rule="replay.inflates", passed=True, what=f"{contract.raw_bytes:,} bytes, twice"))
    case.checks.append(
        Check(rule="replay.repeats", passed=digests[0] == digests[1], what=f"raw {digests[0][:16]} twice")
    )
    case.compare("replay.raw-digest", "raw_sha256", case.claim("custody", "raw_sha256"), digests[0])
    if measured is None:
        return None
    return {
        "recorded_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "archive_sha256": custody.sha256_file(folder / "archive.zip"),
        "runtime_sha256": shipped,
        "raw_sha256": digests,
        **measured,
        "walls": list(case.walls),
        "versions": custody.versions(),
        "machine": custody.machine(),
    }


def _measure(
    case: _Case, stage: Path, raw: Path, contract: Contract, court: Court, monitor: Monitor
) -> dict[str, Any] | None:
    """Both components of a raw file and the axis that they hold for, compared with what the packet claims."""
    axis = case.claim("evaluation", "axis") or "cpu"
    why = None
    if axis not in ("cpu", "cuda"):
        why = f"nobody measures on the axis {str(axis)[:40]!r}"
    elif not contract.source_path.is_file():
        why = "the source video is not here"
    else:
        try:
            import torch

            from lab.evaluator import measure, official
        except ImportError as error:
            why = str(error)
        else:
            if axis == "cuda" and not torch.cuda.is_available():
                why = "the packet's axis is cuda, and there is no such device here"
    if why is not None:
        case.open_ends.append(f"components not measured again: {why}")
        return None
    try:
        found = measure.Evaluator(contract, axis=axis, cache=court.cache).measure(raw, monitor)
        size = (stage / "archive.zip").stat().st_size
        total = contract.score(segnet=found.segnet, posenet=found.posenet, archive_bytes=size).total
    except (LabError, OSError, ValueError) as error:
        case.checks.append(Check(rule="replay.components", passed=False, what=str(error)[:300]))
        return None
    for name, value in (("segnet", found.segnet), ("posenet", found.posenet)):
        case.compare("replay.components", name, case.claim("evaluation", name), value, RECOMPUTE_TOLERANCE)
    case.compare("replay.total", "total", case.claim("score", "total"), total, RECOMPUTE_TOLERANCE)
    return {"segnet": found.segnet, "posenet": found.posenet, "axis": official.claimed_axis(axis)}


def _stage(folder: Path, target: Path) -> Path:
    """A copy of what inflating may use: of our packets archive, entry and runtime; of others' everything but papers."""
    tree = custody.tree(folder)
    ours = any(name.startswith(f"{runtime.FOLDER}/") for name in tree)
    for name, path in tree.items():
        if not ours or name in comply.REQUIRED or name.startswith(f"{runtime.FOLDER}/"):
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    return target


def _claims(folder: Path) -> dict[str, Any]:
    return _table(folder / "evaluation.json")


def _table(path: Path) -> dict[str, Any]:
    """A JSON table of a packet, empty where there is none that can be read."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > JSON_LIMIT_BYTES:
            return {}
        data = json.loads(path.read_bytes().decode("utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
