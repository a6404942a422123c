"""`lab ledger list | show | verify | export | import`: what is on record, ours and what others published."""

from __future__ import annotations

import argparse
import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli import terminal
from lab.errors import LedgerError

if TYPE_CHECKING:
    from lab.ledger import Run


def register(commands: Any) -> None:
    """Add the verbs of this group."""
    verbs = terminal.group(commands, "ledger", help="what is on record: list, show, verify, export, import")
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
        help="recompute every total, digest and grade",
        example="lab ledger verify",
    )
    export = terminal.verb(
        verbs, "export", export_, help="all runs as one table", example="lab ledger export --format csv -o runs.csv"
    )
    export.add_argument("--format", choices=["csv", "json", "parquet"], default="csv")
    export.add_argument("-o", "--out", type=Path, help="file to write (default: standard output; parquet needs one)")
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
    hits = sorted(path.parent.parent.name for path in options.ledgers.glob(f"*/runs/{identifier}*.json"))
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


def row(run: Run) -> dict[str, Any]:
    """One run as a flat row."""
    measured, custody = run.data["evaluation"], run.data["custody"]
    return {
        "contract": run.contract,
        "run": run.id,
        "recipe": run.recipe,
        "score": run.total,
        "bytes": run.archive_bytes,
        "segnet": measured["segnet"],
        "posenet": measured["posenet"],
        "grade": run.grade,
        "verdict": run.verdict,
        "axis": run.axis,
        "parent": " ".join(run.parents),
        "changed": run.data["recipe"]["changed"],
        "archive_sha256": custody["archive_sha256"],
        "runtime_sha256": custody["runtime_sha256"],
        "recorded_at": run.data["recorded_at"],
        "supersedes": run.data["supersedes"] or "",
    }


def list_(options: argparse.Namespace) -> None:
    """Print every run."""
    rows = sorted(
        (row(run) for run in _runs(options, options.contract)), key=lambda item: (item["contract"], item["score"])
    )
    terminal.show(rows, ["contract", "run", "score", "bytes", "grade", "verdict", "changed"], as_json=options.json)


def show_(options: argparse.Namespace) -> None:
    """Print one record."""
    from lab import contract
    from lab.ledger import Ledger

    under = contract.load(options.contract or locate(options, options.run), options.ledgers)
    found = Ledger(options.ledgers).get(under, options.run)
    terminal.say(json.dumps(found.data, indent=1, sort_keys=True, ensure_ascii=False))


def verify_(options: argparse.Namespace) -> None:
    """Check every record."""
    runs = _runs(options)
    terminal.say(f"{len(runs)} records hold together")


def export_(options: argparse.Namespace) -> None:
    """Write all runs as one table."""
    rows = [row(run) for run in _runs(options)]
    if options.format == "parquet":
        import pandas

        if options.out is None:
            raise ValueError("--format parquet needs -o FILE")
        pandas.DataFrame(rows).to_parquet(options.out, index=False)
        return
    if options.format == "json":
        text = json.dumps(rows, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    else:
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]) if rows else ["run"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = out.getvalue()
    if options.out is None:
        terminal.say(text.rstrip("\n"))
    else:
        options.out.write_text(text, encoding="utf-8")


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
