"""`lab packet build | verify`: what a judge receives, and what a judge does with it."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from lab.cli import terminal


def register(commands: Any) -> None:
    """Add the verbs of this group."""
    verbs = terminal.group(commands, "packet", help="what a judge receives: build it, verify it")
    build = terminal.verb(
        verbs,
        "build",
        build_,
        help="the complete packet of a recorded run, from the ledger alone",
        example="lab packet build RUN_ID -o packet",
    )
    build.add_argument("run", metavar="RUN_ID")
    build.add_argument("-o", "--out", type=Path, required=True, help="a new folder")
    build.add_argument("--contract", help="where the run is recorded (default: wherever the id is found)")
    build.add_argument(
        "--encode", action="store_true", help="make the archive again from its recipe, where the ledger keeps none"
    )
    build.add_argument(
        "--url", action="append", default=[], metavar="NAME=URL", help="a public address for the release manifest"
    )
    verify = terminal.verb(
        verbs,
        "verify",
        verify_,
        help="digests, rules, two inflations inside walls, both components measured again",
        example="lab packet verify packet",
        json_output=True,
    )
    verify.add_argument("packet", type=Path)
    verify.add_argument("--contract", help="judge under this contract (default: the one that the packet names)")
    verify.add_argument(
        "-o", "--out", type=Path, help="folder for verdict.html and verdict.json (default: PACKET-verdict)"
    )
    verify.add_argument(
        "--record", action="store_true", help="lay a complete replay beside the run in the ledger; it may become A++"
    )
    verify.add_argument(
        "--walls",
        choices=["namespaces", "landlock", "none"],
        help="how to wall the process in (default: the strongest)",
    )


def build_(options: argparse.Namespace) -> None:
    """Write a packet."""
    from lab import contract, packet
    from lab.cli.ledger import locate
    from lab.ledger import Ledger

    under = contract.load(options.contract or locate(options, options.run), options.ledgers)
    ledger = Ledger(options.ledgers)
    run = ledger.get(under, options.run)
    if options.encode and not ledger.archive(under.name, run.data["custody"]["archive_sha256"]).is_file():
        built = _encode(options, run, under, ledger)
    else:
        built = packet.of_run(options.out, run, under, ledger, urls=_urls(options))
    names = sorted(path.name for path in built.iterdir())
    terminal.say(f"{options.out}: {len(names)} entries: {', '.join(names)}")
    terminal.say(f"next: lab packet verify {options.out}")


def _encode(options: argparse.Namespace, run: Any, under: Any, ledger: Any) -> Path:
    """A packet whose archive is made again; it must come out as recorded."""
    from lab import experiment, packet, recipe, runtime
    from lab.cli.run import bench

    kept = ledger.evidence(under.name, run.id) / "recipe.toml"
    asked = recipe.parse(kept.read_text(encoding="utf-8"), run.recipe)
    with terminal.progress() as monitor, tempfile.TemporaryDirectory(prefix="packet-") as scratch:
        made = experiment.encode(asked, under, bench(options), Path(scratch) / "packet", monitor)
        return packet.of_run(
            options.out,
            run,
            under,
            ledger,
            archive_data=(made / "archive.zip").read_bytes(),
            decoder=runtime.of_packet(made),
            urls=_urls(options),
        )


def _urls(options: argparse.Namespace) -> dict[str, str]:
    return {name: url for name, _, url in (item.partition("=") for item in options.url)}


def verify_(options: argparse.Namespace) -> int:
    """Judge a packet; status 1 where it is refuted."""
    from lab import judge
    from lab.errors import PacketError

    if not options.packet.is_dir():
        raise PacketError(f"packet {options.packet.name}", expected="a folder", found="none")
    _calm()
    court = judge.Court(ledgers=options.ledgers, cache=options.cache)
    with terminal.progress() as monitor:
        verdict = judge.verify(options.packet, court, name=options.contract, strength=options.walls, monitor=monitor)
    out = options.out or options.packet.with_name(f"{options.packet.resolve().name}-verdict")
    out.mkdir(parents=True, exist_ok=True)
    (out / "verdict.json").write_text(verdict.as_json(), encoding="utf-8")
    (out / "verdict.html").write_text(verdict.as_html(), encoding="utf-8")
    if options.json:
        terminal.say(verdict.as_json().rstrip())
    else:
        for check in verdict.checks:
            if not check.passed:
                terminal.say(f"{check.severity}  {check.rule}: {check.what}")
        for item in verdict.open_ends:
            terminal.say(f"open   {item}")
        for name, (recorded, found) in verdict.figures.items():
            terminal.say(f"  {name:<12} recorded {recorded}   found {found}")
        terminal.say(f"walls: {', '.join(verdict.walls) or 'none'}")
        terminal.say(
            f"{verdict.status}: {sum(c.passed for c in verdict.checks)} of {len(verdict.checks)} checks passed"
        )
        terminal.say(f"verdict in {out}")
    if options.record:
        judge.remember(verdict, options.ledgers)
    return 1 if verdict.status == "refuted" else 0


def _calm() -> None:
    """One torch thread, where there is torch: a packet can be judged in part without it."""
    try:
        from lab.evaluator.compute import calm_torch

        calm_torch()
    except ImportError:
        return
