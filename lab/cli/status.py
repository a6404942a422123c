"""`lab status`: where the lab stands, from the ledger alone."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from lab.cli import terminal


def register(commands: Any) -> None:
    """Add the verb."""
    terminal.verb(
        commands,
        "status",
        status_,
        help="frontiers, open hypotheses, lanes near by, stale evidence, and what to run next",
        example="lab status",
        json_output=True,
    )


def status_(options: argparse.Namespace) -> None:
    """Show the projection."""
    from lab import projection

    seen = projection.project(projection.gather(options.ledgers))
    if options.json:
        terminal.say(json.dumps(asdict(seen), indent=1, sort_keys=True, ensure_ascii=False))
        return
    columns = ["contract", "axis", "family", "run", "total", "archive_bytes", "grade"]
    _part("frontier", [asdict(row) for row in seen.best], columns)
    _part("best of each family", [asdict(row) for row in seen.families], columns)
    questions = [
        {
            "id": found.id,
            "state": found.state,
            "rungs": f"{len(found.steps)} of {len(found.gates)}",
            "asks": found.question,
        }
        for found in seen.hypotheses
    ]
    _part("open hypotheses", questions, ["id", "state", "rungs", "asks"])
    lanes = [asdict(row) for row in seen.near]
    _part("lanes near the best runs", lanes, ["lane", "state", "run", "parameters_away", "revive_if"])
    _part("stale evidence", [asdict(row) for row in seen.stale], ["what", "why", "command"])
    _part("next", [asdict(row) for row in seen.next], ["command", "why"])


def _part(title: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    if rows:
        terminal.show(rows, columns, as_json=False, title=title)
    else:
        terminal.say(f"{title}: none")
    terminal.say("")
