"""`lab ledger list | show | verify | answers | sweep | export | schema | import`: our records, and others'."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli import terminal
from lab.errors import LedgerError

if TYPE_CHECKING:
    from lab.ledger import Run


def register(commands: Any) -> None:
    """Add the verbs of this group."""
    verbs = terminal.group(commands, "ledger", help="what is on record: list, verify, sweep, export, import...")
    listed = terminal.verb(
        verbs, "list", list_, help="every run, best first", example="lab ledger list", json_output=True
    )
    listed.add_argument("--contract", help="only this contract")
    show = terminal.verb(verbs, "show", show_, help="one record as stored", example="lab ledger show RUN_ID")
    show.add_argument("run", metavar="RUN_ID")
    show.add_argument("--contract")
    terminal.verb(
        verbs,
        "verify",
        verify_,
        help="recompute every total, digest and grade from what lies on disk",
        example="lab ledger verify",
        json_output=True,
    )
    sweep = terminal.verb(
        verbs, "sweep", sweep_, help="name what killed writers left without a record", example="lab ledger sweep"
    )
    sweep.add_argument("--remove", action="store_true", help="delete it too")
    answers = terminal.verb(
        verbs,
        "answers",
        answers_,
        help="inflate recorded runs again and keep SegNet's class maps beside them, for the page that compares runs",
        example="lab ledger answers RUN_ID",
    )
    answers.add_argument("runs", metavar="RUN_ID", nargs="+")
    answers.add_argument("--contract", help="where they are recorded (default: wherever the id is found)")
    export = terminal.verb(
        verbs, "export", export_, help="all runs as one table", example="lab ledger export --format csv -o runs.csv"
    )
    export.add_argument("--format", choices=["csv", "json", "parquet"], default="csv")
    export.add_argument("-o", "--out", type=Path, help="file to write (default: standard output; parquet needs one)")
    published = terminal.verb(
        verbs, "schema", schema_, help="the JSON Schema of a record or of the table", example="lab ledger schema run"
    )
    published.add_argument("which", choices=["run", "table"])
    imported = terminal.verb(
        verbs,
        "import",
        import_,
        help="carry public facts into ledgers/external, every total recomputed, every contradiction shown",
        example="lab ledger import ../shared/facts",
        json_output=True,
    )
    imported.add_argument("facts", type=Path, metavar="DIR", help="folder with files of facts (JSON)")
    imported.add_argument("--contract", default="comma-2026", help="whose formula recomputes them")
    imported.add_argument("--replace", action="store_true", help="overwrite facts that say something else")


def locate(options: argparse.Namespace, identifier: str) -> str:
    """The contract under which a run id, or a unique prefix of one, is recorded."""
    hits: list[str] = sorted(path.parent.parent.name for path in options.ledgers.glob(f"*/runs/{identifier}*.json"))
    if len(set(hits)) == 1:
        return hits[0]
    raise LedgerError(
        f"run {identifier!r}",
        expected="one record",
        found=", ".join(sorted(set(hits))) or "none",
        fix="name its --contract" if hits else "see `lab ledger list`",
    )


def _runs(options: argparse.Namespace, only: str | None = None) -> list[Run]:
    from lab import contract
    from lab.ledger import Ledger

    ledger = Ledger(options.ledgers)
    names = [only] if only else ledger.contracts()
    return [run for name in names for run in ledger.runs(contract.load(name, options.ledgers))]


def list_(options: argparse.Namespace) -> None:
    """Print every run."""
    from lab import export

    rows = export.table(_runs(options, options.contract))
    terminal.show(
        rows,
        ["contract", "run", "score", "bytes", "rule_faithful_bytes", "grade", "verdict", "changed"],
        as_json=options.json,
    )


def show_(options: argparse.Namespace) -> None:
    """Print one record."""
    from lab import contract, export
    from lab.ledger import Ledger

    under = contract.load(options.contract or locate(options, options.run), options.ledgers)
    found = Ledger(options.ledgers).get(under, options.run)
    text = json.dumps(found.data, indent=1, sort_keys=True, ensure_ascii=False)
    terminal.say(export.printable(text))


def verify_(options: argparse.Namespace) -> int:
    """Check every record against what lies on disk; status 1 where something does not hold."""
    from lab import audit

    with terminal.progress() as monitor:
        found = audit.verify(options.ledgers, monitor)
    if options.json:
        plain = {"records": found.records, "grades": found.graded, "findings": list(map(str, found.findings))}
        terminal.say(json.dumps(plain, indent=1, sort_keys=True))
        return 1 if found.findings else 0
    for finding in found.findings:
        terminal.say(str(finding))
    grades = ", ".join(f"{count} {grade}" for grade, count in sorted(found.graded.items()))
    verdict = f"{len(found.findings)} things do not hold" if found.findings else "all hold together"
    terminal.say(f"{found.records} records ({grades or 'none graded'}): {verdict}")
    return 1 if found.findings else 0


def sweep_(options: argparse.Namespace) -> None:
    """Name, or delete, what no record names."""
    from lab import audit

    left = audit.sweep(options.ledgers, remove=options.remove)
    for where in left:
        terminal.say(where)
    done = "deleted" if options.remove else "left by killed writers; `lab ledger sweep --remove` deletes"
    terminal.say(f"{len(left)} {done}" if left else "nothing is left behind")


def answers_(options: argparse.Namespace) -> None:
    """Keep the class maps of recorded runs."""
    from lab import answers, contract
    from lab.cli.run import bench

    for identifier in options.runs:
        under = contract.load(options.contract or locate(options, identifier), options.ledgers)
        with terminal.progress() as monitor:
            kept = answers.keep(identifier, under, bench(options), monitor)
        terminal.say(f"{kept.parent.name}: {kept.name}, {kept.stat().st_size:,} bytes")


def export_(options: argparse.Namespace) -> None:
    """Write all runs as one table."""
    from lab import export

    text = export.write(export.table(_runs(options)), options.format, options.out)
    if text is not None:
        terminal.say(text.rstrip("\n"))


def schema_(options: argparse.Namespace) -> None:
    """Print a JSON Schema."""
    from lab import export

    terminal.say(json.dumps(export.json_schema(options.which), indent=1, sort_keys=True, ensure_ascii=False))


def import_(options: argparse.Namespace) -> None:
    """Carry facts and print what contradicts itself."""
    from lab import contract
    from lab.external import shelf

    found = shelf.gather(options.facts, contract.load(options.contract, options.ledgers))
    changed = shelf.store(found, options.ledgers, replace=options.replace)
    rows = [{"trap": item.trap, "records": len(item.records), "says": item.says} for item in found.findings]
    terminal.show(rows, ["trap", "records", "says"], as_json=options.json)
    if not options.json:
        terminal.say(
            f"{len(found.records)} records in {len(found.collections)} collections, {len(found.findings)} findings; "
            + (f"written: {', '.join(changed)}" if changed else "nothing changed")
        )
