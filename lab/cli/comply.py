"""`lab comply DIR`: does a packet keep the rules?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lab.cli import terminal


def register(commands: Any) -> None:
    """Add the verb."""
    parser = terminal.verb(
        commands,
        "comply",
        comply_,
        help="every rule of the contest on one packet, by name; nothing is run",
        example="lab comply packet --contest-final --strict",
        json_output=True,
    )
    parser.add_argument("packet", type=Path)
    parser.add_argument("--contract", help="whose formula and sample count to check (default: the packet's)")
    parser.add_argument("--contest-final", action="store_true", help="also demand what a final submission must have")
    parser.add_argument("--strict", action="store_true", help="let warnings fail")
    parser.add_argument("--sha256", help="digest that the archive must have (default: as in this ledger)")
    parser.add_argument("--bytes", type=int, help="size that the archive must have (default: as in this ledger)")


def comply_(options: argparse.Namespace) -> int:
    """Print every rule that fails; status 1 where one does."""
    from lab import comply
    from lab.errors import ContractError, PacketError

    if not options.packet.is_dir():
        raise PacketError(f"packet {options.packet.name}", expected="a folder", found="none")
    try:
        under = _contract(options)
    except ContractError:
        if options.contract:
            raise
        under = None
    known = _on_record(options, under)
    found = comply.check(
        options.packet,
        under,
        sha256=options.sha256 or known.get("sha256"),
        n_bytes=options.bytes or known.get("n_bytes"),
        contest_final=options.contest_final,
    )
    failed = found.failed(strict=options.strict)
    if options.json:
        terminal.say(json.dumps(found.as_dict(strict=options.strict), indent=1, sort_keys=True))
        return 1 if failed else 0
    for check in found.checks:
        if not check.passed:
            terminal.say(f"{check.severity}  {check.rule}: {check.what}")
    verdict = f"refused: {', '.join(sorted({check.rule for check in failed}))}" if failed else "complies"
    passed = sum(check.passed for check in found.checks)
    terminal.say(f"{passed} of {len(found.checks)} checks passed, mode {found.mode}; {verdict}")
    return 1 if failed else 0


def _on_record(options: argparse.Namespace, under: Any) -> dict[str, Any]:
    """Digest and size of the archive as this ledger has them, for a packet that names one of its runs."""
    from lab.errors import LedgerError
    from lab.ledger import Ledger

    if under is None:
        return {}
    try:
        name = json.loads((options.packet / "record.json").read_text(encoding="utf-8"))["id"]
        run = Ledger(options.ledgers).get(under, str(name))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, LedgerError):
        return {}
    return {"sha256": run.data["custody"]["archive_sha256"], "n_bytes": run.archive_bytes}


def _contract(options: argparse.Namespace) -> Any:
    from lab import contract
    from lab.errors import ContractError

    name = options.contract
    path = options.packet / "evaluation.json"
    if name is None and path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20:
        try:
            name = str(json.loads(path.read_text(encoding="utf-8", errors="replace"))["contract"])
        except (ValueError, KeyError, TypeError, RecursionError):
            name = None
    if name is None:
        raise ContractError("packet", expected="a contract in evaluation.json", found="none")
    return contract.load(name, options.ledgers)
