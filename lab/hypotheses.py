"""Hypotheses: a question with its gates written down first, a ladder of rungs, and a verdict with its mechanism.

`hypotheses/<id>/` holds `opening.json`, one `<rung>.json` for each rung that was climbed, and `verdict.json`; each is
written once. The ladder is smoke, subsets of growing size, and the full metric. A rung that fails its gate ends the
climb; only a full run on record decides between kept and dead, and what a subset stopped is parked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import negative
from lab.contract import Contract
from lab.errors import LedgerError, SchemaMismatch
from lab.fields import ID, TEXT_LIMIT
from lab.ledger import Ledger, plain
from lab.schema import parse
from lab.store import write_once

SCHEMA = "lab.hypothesis/1"
LIMIT_BYTES = 1 << 18
METRICS = ("rel_err", "total")
VERDICTS = ("kept", "dead", "parked")
_TEXTS = ("id", "family", "contract", "question", "changed", "control", "smallest_test", "recipe", "recipe_text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a rung must not exceed: relative error in percent, or a total. The full rung measures all pairs."""

    rung: str
    metric: str
    at_most: float
    pairs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One hypothesis with all that was written down of it. `steps` maps rungs to what was measured there."""

    id: str
    family: str
    contract: str
    question: str
    changed: str
    control: str
    smallest_test: str
    recipe: str
    recipe_text: str
    scope: str
    config: Mapping[str, Any]
    gates: tuple[Gate, ...]
    novelty: str = ""
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    verdict: Mapping[str, Any] | None = None

    @property
    def next_gate(self) -> Gate | None:
        """The rung to climb next, or None where the climb has ended."""
        if self.verdict is not None:
            return None
        for gate in self.gates:
            if gate.rung not in self.steps:
                return gate
            if not passed(gate, self.steps[gate.rung]):
                return None
        return None

    @property
    def state(self) -> str:
        """open, stopped (a rung failed, a verdict is due), measured (all rungs passed), or the verdict."""
        if self.verdict is not None:
            return str(self.verdict["verdict"])
        if self.next_gate is not None:
            return "open"
        return "measured" if len(self.steps) == len(self.gates) and self._all_passed() else "stopped"

    def _all_passed(self) -> bool:
        return all(passed(gate, self.steps[gate.rung]) for gate in self.gates if gate.rung in self.steps)


def passed(gate: Gate, step: Mapping[str, Any]) -> bool:
    """Whether what a rung measured lies within its gate; NaN does not."""
    return bool(float(step[gate.metric]) <= gate.at_most)


def open_(table: Mapping[str, Any], contract: Contract, ledger: Ledger) -> Hypothesis:
    """Write a hypothesis down, gates and all, before anything of it is measured.

    Args:
        table: the fields of `Hypothesis`; a full gate without `at_most` asks to beat the control.

    Raises:
        LedgerError: the control is not on record, the lane is dead, or the recipe was measured already.
        SchemaMismatch: the gates are no ladder.
    """
    control = ledger.get(contract, str(table["control"]))
    gates = [dict(gate) for gate in table["gates"]]
    for gate in gates:
        if gate.get("rung") == "full":
            gate.setdefault("metric", "total")
            gate.setdefault("at_most", control.total)
    whole = {**table, "schema": SCHEMA, "contract": contract.name, "control": control.id, "gates": gates}
    found = _hypothesis(whole, f"hypothesis {table.get('id')!r}"[:100])
    known = [run.id for run in ledger.runs(contract) if run.data["recipe"]["sha256"] == whole.get("recipe_sha256")]
    if known:
        raise LedgerError(
            f"hypothesis {found.id}", expected="a recipe that was not measured yet", found=f"run {known[0]}"
        )
    params = dict(whole.get("params", {}))
    answer = negative.check(negative.load(ledger.root), contract.name, found.family, params, found.novelty or None)
    if answer.code == negative.REFUSED:
        raise LedgerError(
            f"hypothesis {found.id}", expected="a lane that is not dead", found=answer.says,
            fix="give a `novelty` of 40 characters or more, where the lane is a configuration",
        )  # fmt: skip
    if answer.code == negative.OVERRIDDEN:
        negative.keep_override(ledger.root, found.recipe, answer)
    write_once(_folder(ledger.root, found.id) / "opening.json", plain(whole).encode())
    return found


def climb(found: Hypothesis, measured: Mapping[str, Any], ledgers: Path) -> Hypothesis:
    """Write down what the next rung measured.

    Args:
        measured: `rung`, the gate's metric, and whatever else belongs to it; plain data.

    Raises:
        LedgerError: it is not the next rung, or the climb has ended.
    """
    gate = found.next_gate
    if gate is None or measured.get("rung") != gate.rung:
        asked = f"rung {gate.rung!r}" if gate else f"nothing more: it is {found.state}"
        raise LedgerError(f"hypothesis {found.id}", expected=asked, found=repr(measured.get("rung")))
    if gate.rung == "full" and not measured.get("run"):
        raise LedgerError(f"hypothesis {found.id}", expected="a run on record for the full metric", found="none")
    passed(gate, measured)
    write_once(_folder(ledgers, found.id) / f"{gate.rung}.json", plain(measured).encode())
    return read(ledgers, found.id)


def decide(
    found: Hypothesis, verdict: str, contract: Contract, ledger: Ledger, *, mechanism: str, revive_if: str = ""
) -> Hypothesis:
    """Write the verdict down; dead and parked lanes enter the negative cache.

    Raises:
        LedgerError: the rungs do not bear the verdict, or a text is too short.
    """
    where = f"verdict of {found.id}"
    full = next(gate for gate in found.gates if gate.rung == "full")
    step = found.steps.get("full")
    if verdict not in VERDICTS or found.verdict is not None:
        raise LedgerError(where, expected="one verdict of " + ", ".join(VERDICTS), found=verdict[:50])
    if len(" ".join(mechanism.split())) < negative.SHORTEST_REASON:
        raise LedgerError(where, expected=f"a mechanism of at least {negative.SHORTEST_REASON} characters")
    if verdict == "kept" and not (step and passed(full, step)):
        raise LedgerError(where, expected="a full run that passed its gate", found="none")
    if verdict == "dead" and not (step and not passed(full, step)):
        raise LedgerError(
            where, expected="a full run that failed its gate", found=found.state,
            fix="what a subset stopped is parked: it may rank, and never kills",
        )  # fmt: skip
    if verdict != "kept" and not revive_if.strip():
        raise LedgerError(where, expected="--revive-if: what would bring the lane back", found="nothing")
    if verdict == "parked" and found.state not in ("stopped", "open"):
        raise LedgerError(where, expected="a climb that a rung stopped", found=found.state)
    path = _folder(ledger.root, found.id) / "verdict.json"
    if verdict == "dead":
        assert step is not None
        record = _record(found, "dead", mechanism, revive_if)
        negative.bury({**record, "runs": [str(step["run"])]}, contract, ledger)
    told = {"verdict": verdict, "mechanism": mechanism, "revive_if": revive_if, "hypothesis": found.id}
    write_once(path, plain(told).encode())
    if verdict == "parked":
        negative.bury({**_record(found, "parked", mechanism, revive_if), "runs": []}, contract, ledger)
    return read(ledger.root, found.id)


def _record(found: Hypothesis, state: str, mechanism: str, revive_if: str) -> dict[str, Any]:
    return {
        "id": found.id,
        "title": found.question,
        "tried": found.changed,
        "family": found.family,
        "scope": found.scope,
        "state": state,
        "config": dict(found.config),
        "mechanism": mechanism,
        "revive": revive_if,
        "hypothesis": found.id,
    }


def load(ledgers: Path) -> list[Hypothesis]:
    """Every hypothesis, in order of ids."""
    return [read(ledgers, path.parent.name) for path in sorted((ledgers / "hypotheses").glob("*/opening.json"))]


def read(ledgers: Path, identifier: str) -> Hypothesis:
    """One hypothesis with its steps and verdict.

    Raises:
        LedgerError: there is none of this id, or a file of it cannot be read.
    """
    folder = _folder(ledgers, identifier)
    opening = _table(folder / "opening.json")
    found = _hypothesis(opening, f"hypothesis {identifier}")
    steps = {gate.rung: path for gate in found.gates if (path := folder / f"{gate.rung}.json").is_file()}
    kept = {rung: _step(path, gate) for gate in found.gates for rung, path in steps.items() if rung == gate.rung}
    last = folder / "verdict.json"
    return _hypothesis(opening, found.id, steps=kept, verdict=_table(last) if last.is_file() else None)


def _step(path: Path, gate: Gate) -> dict[str, Any]:
    table = _table(path)
    if not isinstance(table.get(gate.metric), float | int):
        raise SchemaMismatch(f"{path.parent.name}/{path.name}", expected=f"a figure under {gate.metric!r}")
    return table


def _folder(ledgers: Path, identifier: str) -> Path:
    if not ID.match(identifier):
        raise LedgerError(f"hypothesis {identifier[:100]!r}", expected="an id of a-z, 0-9, dot and dash")
    return ledgers / "hypotheses" / identifier


def _table(path: Path) -> dict[str, Any]:
    where = f"hypothesis {path.parent.name}, {path.name}"
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise SchemaMismatch(where, expected=f"at most {LIMIT_BYTES:,} bytes", found=f"{path.stat().st_size:,}")
        table = parse(path.read_text(encoding="utf-8"), where)
    except (OSError, ValueError) as error:
        raise LedgerError(where, expected="a JSON record", found=str(error)[:200]) from None
    if not isinstance(table, dict):
        raise SchemaMismatch(where, expected="a table")
    return table


def _hypothesis(table: Mapping[str, Any], where: str, **more: Any) -> Hypothesis:
    for name in _TEXTS:
        text = table.get(name)
        if not isinstance(text, str) or not text.strip() or len(text) > TEXT_LIMIT:
            raise SchemaMismatch(where, expected=f"a text under {name!r}", found=repr(text)[:100])
    try:
        gates = tuple(Gate(**gate) for gate in table["gates"])
    except (TypeError, KeyError) as error:
        raise SchemaMismatch(where, expected="gates: rung, metric, at_most, pairs", found=str(error)[:100]) from None
    pairs = [gate.pairs for gate in gates[1:-1]]
    names = [gate.rung for gate in gates]
    numeric = all(isinstance(gate.at_most, int | float) and isinstance(gate.pairs, int) for gate in gates)
    if not numeric or any(gate.metric not in METRICS or not ID.match(gate.rung) for gate in gates):
        raise SchemaMismatch(where, expected="gates of rel_err or total with a bound and a number of pairs")
    if len(gates) < 2 or names[0] != "smoke" or names[-1] != "full" or len(set(names)) < len(names):
        raise SchemaMismatch(where, expected="a ladder from smoke to full", found=", ".join(names))
    if gates[-1].metric != "total" or pairs != sorted(set(pairs)) or any(gate.pairs < 1 for gate in gates[:-1]):
        raise SchemaMismatch(where, expected="subsets of growing size before the total of all pairs")
    scope, config = table.get("scope", "configuration"), table.get("config", {})
    if scope not in negative.SCOPES or not isinstance(config, dict) or (scope == "configuration") != bool(config):
        raise SchemaMismatch(where, expected="a scope, and a `config` where it is a configuration")
    return Hypothesis(
        **{name: table[name] for name in _TEXTS},
        scope=scope,
        config=config,
        gates=gates,
        novelty=str(table.get("novelty", "")),
        **more,
    )
