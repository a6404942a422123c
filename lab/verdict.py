"""What a judge found in a packet: every check with what was seen, as JSON and as one page that opens anywhere.

confirmed    every check passed: bytes, rules, two inflations, and both components measured again
unfinished   nothing failed, but something could not be checked on this machine
refuted      a check failed
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.comply import Check

STATUSES = ("confirmed", "unfinished", "refuted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of verifying one packet. `open_ends` names what could not be checked, and why."""

    packet: str
    run: str
    contract: str
    checks: tuple[Check, ...]
    open_ends: tuple[str, ...]
    figures: Mapping[str, tuple[Any, Any]]
    walls: tuple[str, ...]
    replay: Mapping[str, Any] | None

    @property
    def status(self) -> str:
        """One of `STATUSES`."""
        if any(not check.passed and check.severity == "error" for check in self.checks):
            return "refuted"
        return "unfinished" if self.open_ends else "confirmed"

    def as_json(self) -> str:
        """The verdict as plain data."""
        data = {
            "schema": "lab.verdict/1",
            "status": self.status,
            "run": self.run,
            "contract": self.contract,
            "checks": [
                {"rule": item.rule, "passed": item.passed, "severity": item.severity, "what": item.what}
                for item in self.checks
            ],
            "open_ends": list(self.open_ends),
            "figures": {name: {"recorded": pair[0], "found": pair[1]} for name, pair in self.figures.items()},
            "walls": list(self.walls),
            "replay": dict(self.replay) if self.replay else None,
        }
        return json.dumps(data, sort_keys=True, indent=1) + "\n"

    def as_html(self) -> str:
        """The verdict as one page without scripts, styles from elsewhere or pictures."""
        failed = [item for item in self.checks if not item.passed]
        passed = [item for item in self.checks if item.passed]
        return _PAGE.format(
            run=_text(self.run),
            contract=_text(self.contract),
            status=self.status,
            summary=f"{len(passed)} checks passed, {len(failed)} did not, {len(self.open_ends)} could not be made",
            figures=_rows((name, recorded, found) for name, (recorded, found) in self.figures.items()),
            failed=_rows((item.rule, item.severity, item.what) for item in failed)
            or "<tr><td colspan=3>none</td></tr>",
            open_ends="".join(f"<li>{_text(item)}</li>" for item in self.open_ends) or "<li>nothing</li>",
            walls=_text(", ".join(self.walls) or "none: the packet was not inflated"),
            passed=_rows((item.rule, "passed", item.what) for item in passed),
        )


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _rows(rows: Any) -> str:
    return "\n".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Verdict on {run}: {status}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ border-bottom: 1px solid #999; padding: .3rem .6rem; text-align: left; overflow-wrap: anywhere; }}
</style>
</head>
<body>
<main>
<h1>Verdict on {run}: {status}</h1>
<p>Contract {contract}. {summary}.</p>
<h2>Recorded and found</h2>
<table><thead><tr><th scope="col">value</th><th scope="col">recorded</th><th scope="col">found here</th></tr></thead>
<tbody>
{figures}
</tbody></table>
<h2>What did not pass</h2>
<table><thead><tr><th scope="col">rule</th><th scope="col">severity</th><th scope="col">what was seen</th></tr></thead>
<tbody>
{failed}
</tbody></table>
<h2>What could not be checked</h2>
<ul>{open_ends}</ul>
<h2>Walls around the inflating process</h2>
<p>{walls}</p>
<h2>What passed</h2>
<table><thead><tr><th scope="col">rule</th><th scope="col">outcome</th><th scope="col">what was seen</th></tr></thead>
<tbody>
{passed}
</tbody></table>
</main>
</body>
</html>
"""
