"""`lab preflight`: what must hold before time is spent on a run."""

from __future__ import annotations

import argparse
import json
import shutil
from typing import Any

from lab.cli import terminal


def register(commands: Any) -> None:
    """Add the verb."""
    parser = terminal.verb(
        commands,
        "preflight",
        preflight_,
        help="every structural check before a run; a check that cannot run is a refusal",
        example="lab preflight conventional/quickstart --contract minidrive",
        json_output=True,
    )
    parser.add_argument("recipe", nargs="?", default="conventional/quickstart", help="family/slug, or a TOML file")
    parser.add_argument("--contract", default="minidrive")
    parser.add_argument("--axis", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--list", action="store_true", help="the checks and their claims, without making them")


def preflight_(options: argparse.Namespace) -> int:
    """Make every check; status 1 where one refuses."""
    from lab import contract, preflight, recipe

    if options.list:
        rows = [{"check": check.name, "claim": check.claim} for check in preflight.checks()]
        terminal.show(rows, ["check", "claim"], as_json=options.json)
        return 0
    from lab.evaluator.compute import calm_torch

    calm_torch()
    work = options.cache / "work"
    work.mkdir(parents=True, exist_ok=True)
    subject = preflight.Subject(
        recipe=recipe.load(options.recipe),
        contract=contract.load(options.contract, options.ledgers),
        ledgers=options.ledgers,
        cache=options.cache,
        work=work,
        root=options.root,
        axis=options.axis,
    )
    try:
        with terminal.progress() as monitor:
            results = preflight.run(subject, monitor)
    finally:
        if "trial folder" in subject.kept:
            shutil.rmtree(subject.kept["trial folder"], ignore_errors=True)
    refused = [result for result in results if not result.passed]
    if options.json:
        terminal.say(json.dumps([result.as_dict() for result in results], indent=1, ensure_ascii=False))
    else:
        rows = [{"check": item.name, "": "ok" if item.passed else "REFUSED", "seen": item.what} for item in results]
        terminal.show(rows, ["check", "", "seen"], as_json=False)
        terminal.say(f"{len(results) - len(refused)} of {len(results)} checks passed")
        for item in refused:
            terminal.say(f"refused: {item.name}: {item.what}")
    return 1 if refused else 0
