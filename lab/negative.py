"""The negative cache: lanes that were measured and lost, each with its mechanism and what would revive it.

A lane is `family` wide or one `configuration`: a table of parameters that a recipe must have to be in it. A dead family
refuses whatever falls into it; a dead configuration refuses unless a reason of novelty is given, which is kept. Only a
full metric kills: what a subset or a budget that did not converge says is `parked`, which orders candidates and never
refuses one. Records that name no scope describe a trial in words; they inform, and refuse nothing.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.contract import Contract
from lab.errors import LedgerError, SchemaMismatch
from lab.fields import ID, TEXT_LIMIT
from lab.ledger import Ledger, Run, plain
from lab.schema import parse
from lab.store import write_once

SCHEMA = "lab.negative/1"
LIMIT_BYTES = 1 << 18
LIMIT_RECORDS = 10_000
SHORTEST_REASON = 40
SCOPES = ("family", "configuration")
STATES = ("dead", "parked")
CLEAR, REFUSED, OVERRIDDEN = 0, 64, 65
"""Exit codes of a check."""
_TEXTS = ("id", "title", "tried", "mechanism", "revive", "family", "contract", "grade", "basis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One record. `scope` is empty where the record only describes; `config` maps parameters to what they must be:

    a value, a list of values, or bounds (`at_least`, `at_most`, and the `default` of a recipe that does not name it).
    """

    id: str
    family: str
    contract: str
    title: str
    tried: str
    mechanism: str
    revive: str
    grade: str
    basis: str
    scope: str = ""
    state: str = ""
    config: Mapping[str, Any]
    runs: tuple[str, ...] = ()
    control: tuple[str, ...] = ()
    hypothesis: str = ""
    numbers: Mapping[str, Any]

    def covers(self, family: str, params: Mapping[str, Any]) -> bool:
        """Whether a recipe falls into this lane."""
        if not self.scope or family != self.family:
            return False
        return self.scope == "family" or all(fits(params.get(key), what) for key, what in self.config.items())

    def distance(self, family: str, params: Mapping[str, Any]) -> int | None:
        """How many parameters keep a recipe of the family out of this lane, or None where they have none in common."""
        if not self.scope or family != self.family:
            return None
        off = sum(not fits(params.get(key), what) for key, what in self.config.items())
        return off if off < max(1, len(self.config)) or not self.config else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the cache says of a recipe: an exit code, and the lanes that it falls into."""

    code: int
    lanes: tuple[Lane, ...] = ()
    reason: str = ""

    @property
    def says(self) -> str:
        """One line for a table."""
        return "; ".join(f"{lane.state} lane {lane.id}: {lane.mechanism}" for lane in self.lanes)


def fits(value: Any, what: Any) -> bool:
    """Whether a parameter is what a lane asks for."""
    if isinstance(what, list | tuple):
        return value in what
    if isinstance(what, Mapping):
        value = what.get("default") if value is None else value
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return bool(what.get("at_least", -math.inf) <= value <= what.get("at_most", math.inf))
    return type(value) is type(what) and value == what if isinstance(what, bool) else bool(value == what)


def load(ledgers: Path) -> list[Lane]:
    """Every record, in order of ids.

    Raises:
        LedgerError: one cannot be read or does not hold together; a cache that cannot be read clears nothing.
    """
    paths = sorted((ledgers / "negative").glob("*.json"))
    if len(paths) > LIMIT_RECORDS:
        raise LedgerError("negative", expected=f"at most {LIMIT_RECORDS:,} records", found=f"{len(paths):,}")
    return [_read(path) for path in paths]


def check(
    lanes: Sequence[Lane], contract: str, family: str, params: Mapping[str, Any], novelty: str | None = None
) -> Answer:
    """Whether a recipe may be run.

    Args:
        novelty: what is new about it, at least 40 characters; it overrides dead configurations, never dead families.

    Raises:
        LedgerError: a reason that is too short.
    """
    hit = tuple(lane for lane in lanes if lane.contract == contract and lane.covers(family, params))
    dead = [lane for lane in hit if lane.state == "dead"]
    if not dead:
        return Answer(code=CLEAR, lanes=hit)
    reason = " ".join((novelty or "").split())
    if novelty is not None and len(reason) < SHORTEST_REASON:
        raise LedgerError(
            "reason of novelty", expected=f"at least {SHORTEST_REASON} characters", found=f"{len(reason)}"
        )
    if any(lane.scope == "family" for lane in dead) or not reason:
        return Answer(code=REFUSED, lanes=hit)
    return Answer(code=OVERRIDDEN, lanes=hit, reason=reason)


def keep_override(ledgers: Path, name: str, answer: Answer) -> Path:
    """Append an override to `negative/overrides.jsonl`: which recipe, over which lanes, why."""
    path = ledgers / "negative" / "overrides.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"candidate": name, "lanes": [lane.id for lane in answer.lanes], "reason": answer.reason}
    with path.open("ab") as stream:
        stream.write(json.dumps(row, sort_keys=True).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    return path


def bury(record: Mapping[str, Any], contract: Contract, ledger: Ledger) -> Path:
    """Append a record of a lane, with the figures of every run that it cites, taken from the ledger.

    A lane is dead only where each cited run is a full run of a ranked grade that lies in the lane and is worse than the
    run that it departs from; anything less is parked.

    Args:
        record: texts, `scope`, `state`, `config` and `runs`; `control`, `numbers`, `grade` and `basis` are made here.

    Raises:
        LedgerError: a run is not on record, has no parent there, or does not bear the claim.
        DuplicateRun: a record of this id stands; it is left as it is.
    """
    numbers: dict[str, Any] = {}
    controls = []
    for identifier in record["runs"]:
        run = ledger.get(contract, identifier)
        where = f"lane {record['id']}, run {run.id}"
        if not run.parents:
            raise LedgerError(where, expected="a run with a parent, its control", found="none")
        control = ledger.get(contract, run.parents[0])
        controls.append(control.id)
        numbers[run.id] = _figures(run, control)
        if record["state"] == "dead":
            _bears(run, control, record, contract, where)
    whole = {
        **record,
        "schema": SCHEMA,
        "contract": contract.name,
        "control": sorted(set(controls)),
        "numbers": numbers,
        "grade": "A-negative" if record["state"] == "dead" else "empirical",
        "basis": f"{len(numbers)} recorded runs, each against the run that it departs from",
    }
    path = ledger.root / "negative" / f"{record['id']}.json"
    _lane(whole, path.name)
    write_once(path, plain(whole).encode())
    return path


def _figures(run: Run, control: Run) -> dict[str, Any]:
    return {
        "control": control.id,
        "total": run.total,
        "above_control": run.total - control.total,
        "segnet_term_above": run.score.segnet_term - control.score.segnet_term,
        "posenet_term_above": run.score.posenet_term - control.score.posenet_term,
        "rate_term_above": run.score.rate_term - control.score.rate_term,
        "archive_bytes": run.archive_bytes,
        "n_pairs": run.data["evaluation"]["n_pairs"],
    }


def _bears(run: Run, control: Run, record: Mapping[str, Any], contract: Contract, where: str) -> None:
    """Return only if a run may kill a lane."""
    ranked = ("A++", "A", "A-negative")
    if run.grade not in ranked or control.grade not in ranked:
        raise LedgerError(
            where, expected="ranked grades of a run and its control", found=f"{run.grade}, {control.grade}"
        )
    if run.data["evaluation"]["n_pairs"] != contract.n_pairs:
        raise LedgerError(where, expected=f"all {contract.n_pairs} pairs: a subset never kills")
    if run.total <= control.total:
        raise LedgerError(where, expected=f"a total above {control.total:.6f} of its control", found=f"{run.total:.6f}")
    inside = all(fits(run.data["recipe"]["params"].get(key), what) for key, what in record["config"].items())
    if run.family != record["family"] or (record["scope"] == "configuration" and not inside):
        raise LedgerError(where, expected="a run that lies in the lane", found="one outside of it")


def _read(path: Path) -> Lane:
    where = f"negative/{path.name}"
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise SchemaMismatch(where, expected=f"at most {LIMIT_BYTES:,} bytes", found=f"{path.stat().st_size:,}")
        table = parse(path.read_text(encoding="utf-8"), where)
    except (OSError, ValueError) as error:
        raise LedgerError(where, expected="a JSON record", found=str(error)[:200]) from None
    lane = _lane(table, where)
    if lane.id != path.stem:
        raise SchemaMismatch(where, expected=f"id {path.stem!r}", found=repr(lane.id)[:100])
    return lane


def _lane(table: Any, where: str) -> Lane:
    if not isinstance(table, dict) or table.get("schema") != SCHEMA:
        raise SchemaMismatch(where, expected=f"a record of {SCHEMA}")
    for name in _TEXTS:
        text = table.get(name)
        if not isinstance(text, str) or not text.strip() or len(text) > TEXT_LIMIT:
            raise SchemaMismatch(where, expected=f"a text under {name!r}", found=repr(text)[:100])
    lists = {name: table.get(name, []) for name in ("runs", "control")}
    for name, items in lists.items():
        if not isinstance(items, list) or not all(isinstance(item, str) and ID.match(item) for item in items):
            raise SchemaMismatch(where, expected=f"ids under {name!r}", found=repr(items)[:100])
    scope, state, config = table.get("scope", ""), table.get("state", ""), table.get("config", {})
    if not ID.match(table["id"]) or not isinstance(config, dict) or not isinstance(table.get("numbers", {}), dict):
        raise SchemaMismatch(where, expected="an id, and tables under `config` and `numbers`")
    if bool(scope) != bool(state) or (scope and (scope not in SCOPES or state not in STATES)):
        raise SchemaMismatch(where, expected="scope and state, or neither", found=f"{scope!r}, {state!r}"[:100])
    if (scope == "configuration") != bool(config):
        raise SchemaMismatch(where, expected="a `config` for a configuration, and for nothing else")
    if scope and len(table["mechanism"]) < SHORTEST_REASON:
        raise SchemaMismatch(where, expected=f"a mechanism of at least {SHORTEST_REASON} characters")
    return Lane(
        **{name: str(table[name]) for name in _TEXTS},
        scope=scope,
        state=state,
        config=config,
        numbers=table.get("numbers", {}),
        hypothesis=str(table.get("hypothesis", "")),
        runs=tuple(lists["runs"]),
        control=tuple(lists["control"]),
    )
