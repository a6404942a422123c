"""`lab terms`: the terminology guard."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from lab.cli import terminal


def register(commands: Any) -> None:
    """Add the verb."""
    parser = terminal.verb(
        commands,
        "terms",
        terms_,
        help="words, expansions and boundaries over README, site_src, templates and docstrings",
        example="lab terms --strict",
        json_output=True,
    )
    parser.add_argument("--strict", action="store_true", help="let warnings fail")


def terms_(options: argparse.Namespace) -> int:
    """Print every hit as path:line; status 1 where one counts."""
    from lab import terms

    hits = terms.check(options.root)
    counted = [hit for hit in hits if options.strict or hit.severity == "error"]
    if options.json:
        terminal.show([asdict(hit) for hit in hits], [], as_json=True)
        return 1 if counted else 0
    for hit in hits:
        terminal.say(str(hit))
    terminal.say(f"{len(counted)} to change" if counted else "every word is in its place")
    return 1 if counted else 0
