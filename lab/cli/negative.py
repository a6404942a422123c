"""`lab negative`: lanes that refuse what falls into them, and hypotheses whose gates are written before they run."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli import options as shared
from lab.cli import terminal

if TYPE_CHECKING:
    from lab.hypotheses import Hypothesis


def register(commands: Any) -> None:
    """Add the verbs of this group."""
    verbs = terminal.group(
        commands, "negative", help="dead lanes and hypotheses: list, check, bury, open, step, verdict"
    )
    terminal.verb(
        verbs, "list", list_, help="every lane, and every hypothesis", example="lab negative list", json_output=True
    )
    asked = terminal.verb(
        verbs,
        "check",
        check_,
        help="whether a recipe falls into a dead lane: 0 clear, 64 refused, 65 overridden by a novelty",
        example="lab negative check conventional encoder=svt-av1 film_grain=8",
    )
    asked.add_argument("what", metavar="FAMILY|RECIPE", help="a family, or family/slug, or a TOML file")
    asked.add_argument("config", nargs="*", metavar="KEY=VALUE", help="parameters, as in a recipe")
    shared.contract(asked)
    shared.novelty(asked)
    buried = terminal.verb(
        verbs,
        "bury",
        bury_,
        help="record a lane on the evidence of runs; their figures come from the ledger",
        example="lab negative bury lane.toml",
    )
    buried.add_argument("lane", type=Path, metavar="FILE", help="TOML: id, title, tried, family, scope, state, ...")
    shared.contract(buried)
    opened = terminal.verb(
        verbs,
        "open",
        open_,
        help="write a hypothesis down with its gates, before anything of it is measured",
        example="lab negative open hypothesis.toml",
    )
    opened.add_argument("hypothesis", type=Path, metavar="FILE", help="TOML: id, recipe, question, control, [[gates]]")
    shared.contract(opened)
    step = terminal.verb(
        verbs, "step", step_, help="measure the next rung of a hypothesis", example="lab negative step HYPOTHESIS"
    )
    step.add_argument("hypothesis", metavar="ID")
    decided = terminal.verb(
        verbs,
        "verdict",
        verdict_,
        help="kept, dead, or parked; only a full metric kills",
        example="lab negative verdict HYPOTHESIS parked --mechanism TEXT --revive-if TEXT",
    )
    decided.add_argument("hypothesis", metavar="ID")
    decided.add_argument("verdict", choices=["kept", "dead", "parked"])
    decided.add_argument("--mechanism", required=True, help="why, in 40 characters or more")
    decided.add_argument("--revive-if", default="", help="what would bring the lane back")


def list_(options: argparse.Namespace) -> None:
    """Show both."""
    from lab import hypotheses, negative

    rows = [
        {
            "id": lane.id,
            "family": lane.family,
            "state": lane.state or "described",
            "scope": lane.scope,
            "config": json.dumps(lane.config, sort_keys=True) if lane.config else "",
            "runs": len(lane.runs),
            "revive if": lane.revive,
        }
        for lane in negative.load(options.ledgers)
    ]
    rows += [
        {
            "id": found.id,
            "family": found.family,
            "state": f"hypothesis, {found.state}",
            "scope": found.scope,
            "config": json.dumps(found.config, sort_keys=True) if found.config else "",
            "runs": len(found.steps),
            "revive if": str((found.verdict or {}).get("revive_if", "")),
        }
        for found in hypotheses.load(options.ledgers)
        if found.verdict is None or options.json
    ]
    columns = ["id", "family", "state", "scope", "config", "runs", "revive if"]
    terminal.show(rows, columns, as_json=options.json)


def check_(options: argparse.Namespace) -> int:
    """Ask the cache."""
    from lab import negative, recipe

    name = str(options.what)
    if "/" in name or name.endswith(".toml"):
        found = recipe.load(name)
        family, params = found.family, dict(found.params)
    else:
        family, params = name, {}
    for pair in options.config:
        key, _, value = pair.partition("=")
        params[key] = _value(value)
    answer = negative.check(negative.load(options.ledgers), options.contract, family, params, options.novelty)
    for lane in answer.lanes:
        terminal.say(f"{lane.state} {lane.scope} {lane.id}: {lane.mechanism}")
        terminal.say(f"  revive if: {lane.revive}")
    if answer.code == negative.OVERRIDDEN:
        negative.keep_override(options.ledgers, f"{family} {' '.join(options.config)}".strip(), answer)
    told = {negative.CLEAR: "clear", negative.REFUSED: "refused", negative.OVERRIDDEN: "overridden, and kept"}
    terminal.say(told[answer.code])
    return answer.code


def bury_(options: argparse.Namespace) -> None:
    """Record a lane."""
    from lab import contract, negative
    from lab.ledger import Ledger

    under = contract.load(options.contract, options.ledgers)
    path = negative.bury(_toml(options.lane), under, Ledger(options.ledgers))
    terminal.say(f"recorded negative/{path.name}")


def open_(options: argparse.Namespace) -> None:
    """Write a hypothesis down."""
    from lab import contract, hypotheses, recipe
    from lab.ledger import Ledger

    table = _toml(options.hypothesis)
    under = contract.load(options.contract, options.ledgers)
    named = str(table.get("recipe", ""))
    beside = options.hypothesis.parent / named
    asked = recipe.load(str(beside) if named.endswith(".toml") and beside.is_file() else named)
    table |= {
        "recipe": asked.name,
        "recipe_text": asked.text,
        "recipe_sha256": asked.digest,
        "params": asked.params,
        "family": asked.family,
    }
    _told(hypotheses.open_({"contract": under.name, **table}, under, Ledger(options.ledgers)))


def step_(options: argparse.Namespace) -> int:
    """Measure a rung; status 1 where its gate stopped the climb."""
    from lab import contract, hypotheses
    from lab.cli.run import bench
    from lab.search import ladder

    found = hypotheses.read(options.ledgers, options.hypothesis)
    under = contract.load(found.contract, options.ledgers)
    after = hypotheses.climb(found, ladder.measure(found, under, bench(options)), options.ledgers)
    _told(after)
    return int(after.state == "stopped")


def verdict_(options: argparse.Namespace) -> None:
    """Write a verdict down."""
    from lab import contract, hypotheses
    from lab.ledger import Ledger

    found = hypotheses.read(options.ledgers, options.hypothesis)
    under = contract.load(found.contract, options.ledgers)
    said = {"mechanism": options.mechanism, "revive_if": options.revive_if}
    _told(hypotheses.decide(found, options.verdict, under, Ledger(options.ledgers), **said))


def _told(found: Hypothesis) -> None:
    terminal.say(f"{found.id}: {found.state}")
    for gate in found.gates:
        step = found.steps.get(gate.rung)
        where = f"{gate.pairs} pairs" if gate.pairs else "all pairs"
        told = f"measured {step[gate.metric]:.6f}" if step else "not climbed"
        terminal.say(f"  {gate.rung} ({where}): {gate.metric} at most {gate.at_most:.6f}, {told}")


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
