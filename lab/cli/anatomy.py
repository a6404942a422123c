"""`lab anatomy ARCHIVE`: what every byte of an archive is."""

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
        "anatomy",
        anatomy_,
        help="what every byte of an archive is; ours to the section",
        example="lab anatomy archive.zip",
        json_output=True,
    )
    parser.add_argument("archive", type=Path)


def anatomy_(options: argparse.Namespace) -> None:
    """Print the sections of an archive."""
    from lab import archive, experiment

    archive.read(options.archive)
    found = experiment.archive_anatomy(options.archive)
    if options.json:
        terminal.say(json.dumps(found, indent=1, ensure_ascii=False))
        return
    total = found["archive"]["n_bytes"]
    rows: list[dict[str, Any]] = []

    def walk(sections: list[dict[str, Any]], depth: int) -> None:
        for section in sections:
            rows.append(
                {
                    "section": "  " * depth + section["name"],
                    "kind": section["kind"],
                    "offset": section["offset"],
                    "bytes": section["n_bytes"],
                    "share": f"{100 * section['n_bytes'] / total:.2f} %",
                    "ideal bytes": round(section["ideal_bits"] / 8) if "ideal_bits" in section else "",
                }
            )
            walk(section.get("children", []), depth + 1)

    walk(found["sections"], 0)
    terminal.show(rows, ["section", "kind", "offset", "bytes", "share", "ideal bytes"], as_json=False)
    terminal.say(f"{total:,} bytes, every one accounted for; sha256 {found['archive']['sha256']}")
