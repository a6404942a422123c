"""`lab run | encode | evaluate | rerun | refresh`: make bytes and measure them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli import options as shared
from lab.cli import terminal
from lab.cli.training import show_schedule

if TYPE_CHECKING:
    from lab.contract import Score
    from lab.experiment import Bench


def register(commands: Any) -> None:
    """Add the verbs of this group."""
    run = terminal.verb(
        commands,
        "run",
        run_,
        help="encode, inflate in a clean process, measure, grade and record",
        example="lab run conventional/quickstart --contract minidrive",
    )
    shared.recipe(run)
    _axis(run)
    run.add_argument("--once", action="store_true", help="do nothing where the ledger has this recipe already")
    run.add_argument("--supersedes", metavar="RUN_ID", help="the record that this run replaces")
    encode = terminal.verb(
        commands,
        "encode",
        encode_,
        help="encode a recipe and write its packet, without measuring",
        example="lab encode conventional/quickstart --contract minidrive -o packet",
    )
    shared.recipe(encode)
    encode.add_argument("-o", "--out", type=Path, required=True, help="a new folder")
    evaluate = terminal.verb(
        commands,
        "evaluate",
        evaluate_,
        help="inflate a packet in a clean process and measure it",
        example="lab evaluate packet --contract minidrive",
    )
    evaluate.add_argument("packet", type=Path, help="folder with archive.zip and inflate.sh")
    shared.contract(evaluate)
    _axis(evaluate)
    rerun = terminal.verb(
        commands,
        "rerun",
        rerun_,
        help="repeat a recorded run and compare bytes and components",
        example="lab rerun RUN_ID",
        json_output=True,
    )
    rerun.add_argument("run", metavar="RUN_ID")
    rerun.add_argument("--contract", help="where the run is recorded (default: wherever the id is found)")
    refresh = terminal.verb(
        commands,
        "refresh",
        refresh_,
        help="run again what an earlier state of the contract left behind; each new record supersedes its old one",
        example="lab refresh --family conventional --workers 2",
    )
    shared.contract(refresh)
    refresh.add_argument("--family", help="only this family")
    refresh.add_argument("--workers", type=int, default=1, help="runs at once, one torch thread each (default 1)")
    refresh.add_argument("--dry-run", action="store_true", help="only list what would be run")


def _axis(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--axis", choices=["cpu", "cuda"], default="cpu", help="results of two axes are never mixed")
    parser.add_argument(
        "--threads", type=int, default=1, help="torch threads (default 1, so that the number of cores decides nothing)"
    )


def bench(options: argparse.Namespace) -> Bench:
    """Where things lie, from the command line and the environment."""
    from lab.evaluator.compute import calm_torch
    from lab.experiment import Bench

    calm_torch(getattr(options, "threads", 1))
    return Bench(ledgers=options.ledgers, cache=options.cache, work=options.cache / "work", root=options.root)


def run_(options: argparse.Namespace) -> None:
    """Record one run."""
    from lab import contract, experiment, recipe

    under = contract.load(options.contract, options.ledgers)
    asked = recipe.load(options.recipe)
    if asked.stages or asked.params.get("profile"):
        show_schedule(asked)
    with terminal.progress() as monitor:
        done, fresh = experiment.run(
            asked,
            under,
            bench(options),
            axis=options.axis,
            once=options.once,
            supersedes=options.supersedes,
            monitor=monitor,
        )
    terminal.say(f"{done.id}  {'recorded' if fresh else 'already on record'}  grade {done.grade}  {done.verdict}")
    _print_score(done.score, done.data["evaluation"], done.data["rates"])
    terminal.say(f"  {done.data['verdict_reason']}")


def _print_score(score: Score, measured: Any, rates: Any) -> None:
    terminal.say(
        f"  score {score.total:.6f} = segnet {score.segnet_term:.6f} + posenet {score.posenet_term:.6f}"
        f" + rate {score.rate_term:.6f}   (axis {measured['axis']})"
    )
    terminal.say(
        f"  rate as scored {rates['as_scored_bytes']:,} bytes (the archive); rule-faithful"
        f" {rates['rule_faithful_bytes']:,} bytes (archive, decoder scripts and any weights that they load)"
    )


def encode_(options: argparse.Namespace) -> None:
    """Write a packet."""
    from lab import contract, experiment, recipe

    under = contract.load(options.contract, options.ledgers)
    asked = recipe.load(options.recipe)
    with terminal.progress() as monitor:
        built = experiment.encode(asked, under, bench(options), options.out, monitor)
    n_bytes = (built / "archive.zip").stat().st_size
    terminal.say(f"{options.out}: archive.zip {n_bytes:,} bytes")
    terminal.say(f"next: lab evaluate {options.out} --contract {under.name}")


def evaluate_(options: argparse.Namespace) -> None:
    """Measure a packet and write report.txt and pairs.csv beside it."""
    from lab import contract, experiment, replay, report

    under = contract.load(options.contract, options.ledgers)
    with terminal.progress() as monitor, replay.scratch() as folder:
        result = experiment.evaluate(
            options.packet, under, bench(options), axis=options.axis, work=Path(folder) / "replay", monitor=monitor
        )
    measured = result.measurement
    text = report.write(
        under,
        result.score,
        segnet=measured.segnet,
        posenet=measured.posenet,
        archive_bytes=result.archive_bytes,
        axis=result.axis,
        archive_sha256=result.archive_sha256,
    )
    (options.packet / "report.txt").write_text(text, encoding="utf-8")
    (options.packet / "pairs.csv").write_text(measured.as_csv(), encoding="utf-8")
    terminal.say(text.rstrip())
    terminal.say(f"raw sha256 {result.inflation.raw_sha256}")
    terminal.say("walls: " + ", ".join(result.inflation.walls))


def refresh_(options: argparse.Namespace) -> int:
    """Record outdated runs anew; status 1 where one could not be."""
    from lab import contract, refresh
    from lab.ledger import Ledger

    under = contract.load(options.contract, options.ledgers)
    planned = refresh.plan(under, Ledger(options.ledgers), options.family)
    terminal.say(f"{len(planned)} runs of an earlier state of {under.name}")
    if options.dry_run:
        for run, asked in planned:
            terminal.say(f"  {run.id}" + (f"  after {asked.parent}" if asked.parent else ""))
        return 0
    failed = 0
    for done, outcome in enumerate(
        refresh.refresh(under, bench(options), family=options.family, workers=options.workers), 1
    ):
        failed += outcome.run is None
        told = f"{outcome.run.id}  {outcome.run.total:.6f}  {outcome.run.verdict}" if outcome.run else outcome.why
        terminal.say(f"{done}/{len(planned)}  {outcome.outdated} -> {told}")
    return int(bool(failed))


def rerun_(options: argparse.Namespace) -> int:
    """Repeat a run."""
    from lab import contract, experiment
    from lab.cli.ledger import locate

    under = contract.load(options.contract or locate(options, options.run), options.ledgers)
    with terminal.progress() as monitor:
        result = experiment.rerun(options.run, under, bench(options), monitor)
    if options.json:
        terminal.say(json.dumps(result, indent=1, sort_keys=True))
    else:
        for key in ("archive_bytes", "segnet", "posenet", "total"):
            recorded, repeated = result[key]
            terminal.say(f"  {key:<14} recorded {recorded!r:<24} repeated {repeated!r}")
        terminal.say(
            f"archive bytes {'equal' if result['same_bytes'] else 'DIFFER'}; "
            f"raw frames {'equal' if result['same_raw'] else 'DIFFER'}; "
            f"runtime {'equal' if result['same_runtime'] else 'changed since'}"
        )
        if result["difference"]:
            terminal.say(f"the archives first differ at {result['difference']}")
    return 0 if result["same_bytes"] and result["same_raw"] else 1
