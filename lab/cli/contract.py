"""`lab contract list | show | new | fetch | build`: what is scored."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.cli import terminal


def register(commands: Any) -> None:
    """Add the verbs of this group."""
    verbs = terminal.group(
        commands,
        "contract",
        help="what is scored: list, show, freeze your own video, fetch the contest's, rebuild minidrive",
    )
    terminal.verb(verbs, "list", list_, help="every contract at hand", example="lab contract list", json_output=True)
    show = terminal.verb(
        verbs, "show", show_, help="everything one contract fixes", example="lab contract show minidrive"
    )
    show.add_argument("name")
    new = terminal.verb(
        verbs, "new", new_, help="freeze a video of your own", example="lab contract new dash --video drive.mp4"
    )
    new.add_argument("name")
    new.add_argument("--video", type=Path, required=True, help="any file that PyAV reads")
    new.add_argument(
        "--networks", default="minidrive", metavar="CONTRACT", help="whose networks judge it (default: minidrive)"
    )
    fetch = terminal.verb(
        verbs,
        "fetch",
        fetch_,
        help="bring the official video and networks in place, verified",
        example="lab contract fetch comma-2026 --from ../comma_video_compression_challenge",
    )
    fetch.add_argument("name")
    fetch.add_argument("--from", dest="source", type=Path, metavar="DIR", help="a folder that has them; else clone")
    build = terminal.verb(
        verbs,
        "build",
        build_,
        help="draw the clip and train the networks of minidrive again from the seed, and compare digests",
        example="lab contract build minidrive",
    )
    build.add_argument("name", choices=["minidrive"])
    build.add_argument("--seed", type=int, help="default: the seed that made the shipped files")
    build.add_argument("-o", "--out", type=Path, help="folder for the result (default: a new temporary one)")


def list_(options: argparse.Namespace) -> None:
    """Print every contract."""
    from lab import contract

    rows = []
    for name in contract.names(options.ledgers):
        found = contract.load(name, options.ledgers)
        height, width = found.frame_size
        rows.append(
            {
                "contract": name,
                "pairs": found.n_pairs,
                "frames": f"{width}x{height}",
                "source bytes": found.source.bytes,
                "source": "present" if found.source_path.is_file() else "missing",
                "title": found.title,
            }
        )
    terminal.show(rows, ["contract", "pairs", "frames", "source bytes", "source", "title"], as_json=options.json)


def show_(options: argparse.Namespace) -> None:
    """Print one contract as JSON."""
    from lab import contract

    found = contract.load(options.name, options.ledgers)
    plain = asdict(found)
    plain.pop("root")
    terminal.say(json.dumps({**plain, "digest": found.digest}, indent=1, ensure_ascii=False))


def new_(options: argparse.Namespace) -> None:
    """Freeze a video."""
    from lab import contract
    from lab.evaluator import freeze

    judged_by = contract.load(options.networks, options.ledgers)
    made, remarks = freeze.new(options.name, options.video, options.ledgers, judged_by=judged_by)
    for remark in remarks:
        terminal.say(f"note: {remark}")
    terminal.say(f"contract {made.name}: {made.n_pairs} pairs, digest {made.digest[:16]}")
    terminal.say(f"next: lab run conventional/quickstart --contract {made.name}")


def fetch_(options: argparse.Namespace) -> None:
    """Fetch the files of a contract."""
    from lab import contract
    from lab.evaluator import fetch

    found = contract.load(options.name, options.ledgers)
    with terminal.progress() as monitor:
        placed = fetch.fetch(found, source=options.source, monitor=monitor)
    terminal.say(f"{', '.join(path.name for path in placed)}: in place" if placed else "everything is in place already")
    terminal.say(f"next: lab run conventional/quickstart --contract {found.name}")


def build_(options: argparse.Namespace) -> int:
    """Rebuild minidrive."""
    from lab import contract
    from lab.drive import build
    from lab.evaluator.compute import calm_torch

    calm_torch()
    out = options.out or Path(tempfile.mkdtemp(prefix="minidrive-"))
    with terminal.progress() as monitor:
        report = build.build(
            out,
            seed=build.SEED if options.seed is None else options.seed,
            cache=options.cache / "drive",
            monitor=monitor,
            compare_to=contract.SHIPPED / "minidrive",
        )
    for line in report.lines():
        terminal.say(line)
    return 0 if report.agrees else 1
