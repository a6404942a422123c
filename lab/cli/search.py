"""`lab search rank | dispatch | workers | loop`: what to run next, where to run it, and the closed loop around both."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli import options as shared
from lab.cli import terminal

if TYPE_CHECKING:
    from lab.recipe import Recipe
    from lab.search.loop import Cycle


def register(commands: Any) -> None:
    """Add the verbs of this group."""
    verbs = terminal.group(commands, "search", help="what to run next: rank, dispatch, workers, loop")
    ranked = terminal.verb(
        verbs,
        "rank",
        rank_,
        help="neighbours of the best run of a recipe's lane, with predicted bands or refusals; runs nothing",
        example="lab search rank conventional/av1-grid-crf48-area-preset2",
        json_output=True,
    )
    _search(ranked)
    ranked.add_argument("--batch", type=Path, metavar="FILE", help="write what would be run, for `lab search dispatch`")
    repacked = terminal.verb(
        verbs,
        "repack",
        repack_,
        help="a run's weights on fewer bits, its side channels coarser or left out: exact bytes, and recipes for runs",
        example="lab search repack RUN_ID --recipes FOLDER",
        json_output=True,
    )
    repacked.add_argument("run", metavar="RUN_ID", help="a promoted run, whose archive the ledger keeps")
    repacked.add_argument("--recipes", type=Path, metavar="FOLDER", help="write a recipe of each, for `lab run`")
    shared.contract(repacked)
    sent = terminal.verb(
        verbs,
        "dispatch",
        dispatch_,
        help="run a batch under caps, here or on a cluster; run it again to go on",
        example="lab search dispatch batch.json --scheduler tcp://127.0.0.1:8786",
    )
    sent.add_argument("batch", type=Path, metavar="BATCH", help="written by `lab search rank RECIPE --batch FILE`")
    sent.add_argument("--max-job-cost", type=float, default=1_800.0, metavar="S", help="seconds of machine time")
    shared.contract(sent)
    shared.caps(sent)
    shared.executor(sent)
    started = terminal.verb(
        verbs,
        "workers",
        workers_,
        help="print how to start a scheduler and workers",
        example="lab search workers --scheduler tcp://10.0.0.1:8786 --workers 4",
    )
    started.add_argument("--scheduler", default="tcp://127.0.0.1:8786", metavar="ADDRESS")
    started.add_argument("--workers", type=int, default=2, help="on each machine")
    loop = terminal.verb(
        verbs,
        "loop",
        loop_,
        help="rank, gate, run, harvest, and again; dry unless --spend",
        example="lab search loop conventional/av1-grid-crf48-area-preset2 --max-cycles 3 --spend",
    )
    _search(loop)
    loop.add_argument(
        "--spend", action="store_true", help="run what was chosen; without it only the first table is shown"
    )
    loop.add_argument("--max-cycles", type=int, default=4)
    loop.add_argument("--convergence-eps", type=float, default=0.0005, help="gain below which a cycle counts as quiet")
    shared.caps(loop)
    shared.executor(loop)


def _search(parser: argparse.ArgumentParser) -> None:
    shared.recipe(
        parser, help="family/slug, or a TOML file: the root of the search; a repack's searches its run's stream"
    )
    parser.add_argument("--name", help="of the journal in ledgers/searches (default: the recipe's slug)")
    parser.add_argument("--per-cycle", type=int, default=8, help="most runs of one cycle")
    parser.add_argument("--mutations", type=int, default=0, help="candidates that take two steps at once")
    shared.novelty(parser)


def run_on_worker(asked: Recipe, name: str, contract_sha256: str) -> str:
    """Id of the run of a recipe, in the surroundings of the process that is asked: a worker of a cluster."""
    from lab.cli import place
    from lab.cli.run import bench
    from lab.search import batch

    return batch.run(asked, name, contract_sha256, bench(place(argparse.Namespace())))


def _where(options: argparse.Namespace) -> tuple[Callable[[], Executor], Callable[[Recipe, str, str], str]]:
    """What jobs run on, and the call that runs one there."""
    from functools import partial

    from lab.cli.run import bench
    from lab.search import batch, loop

    if options.scheduler is None:
        return loop.local(options.workers), partial(batch.run, bench=bench(options))
    from lab.search.cluster import Cluster

    return partial(Cluster, options.scheduler, options.patience), run_on_worker


def _asked(options: argparse.Namespace, **more: Any) -> Any:
    from lab import recipe
    from lab.search import prospects

    root = recipe.load(options.recipe)
    kept = {"per_cycle": options.per_cycle, "novelty": options.novelty, "mutations": options.mutations}
    return prospects.Asked(name=options.name or root.slug, root=root, **kept, **more)


def _cycles(options: argparse.Namespace, *, spend: bool, **more: Any) -> Any:
    from lab import contract
    from lab.cli.run import bench
    from lab.search import loop

    under = contract.load(options.contract, options.ledgers)
    executor, call = _where(options) if spend else (None, None)
    with terminal.progress() as monitor:
        yield from loop.run_loop(
            _asked(options, **more), under, bench(options), spend=spend, monitor=monitor, executor=executor, call=call
        )


def dispatch_(options: argparse.Namespace) -> int:
    """Run a batch; status 1 where a job failed."""
    from lab import contract
    from lab.search import batch
    from lab.search.dispatch import Caps

    under = contract.load(options.contract, options.ledgers)
    asked = batch.read(options.batch, under)
    executor, call = _where(options)
    caps = Caps(
        per_job_s=options.max_job_cost, per_dispatch_s=options.max_cost_per_cycle, total_s=options.max_total_cost
    )
    failed = 0
    for outcome in batch.send(options.batch, asked, call, executor, caps):
        failed += bool(outcome.error)
        terminal.say(f"{outcome.job.name} -> {outcome.error or outcome.result}")
    done = sum("run" in row for row in batch.outcomes(batch.outcomes_path(options.batch)))
    terminal.say(f"{done} of {len(asked.rows)} done, outcomes in {batch.outcomes_path(options.batch).name}")
    return int(bool(failed))


def repack_(options: argparse.Namespace) -> None:
    """Show the repacks of a run, and write their recipes where asked to."""
    from lab import contract, repack
    from lab.codecs import repacks
    from lab.ledger import Ledger
    from lab.search import generate

    under = contract.load(options.contract, options.ledgers)
    store = Ledger(options.ledgers)
    run = store.get(under, options.run)
    payload = repack.kept_payload(run, store)
    rows = []
    for made in repacks.repacks(payload, run.family):
        asked = generate.repack_of(run, made.name)
        n_bytes = run.archive_bytes - len(payload) + len(made.payload)
        rows.append(
            {
                "repack": made.name,
                "stream": made.stream,
                "rel_err": made.rel_err,
                "bytes": n_bytes,
                "saved": run.archive_bytes - n_bytes,
                "recipe": asked.name,
            }
        )
        if options.recipes is not None:
            options.recipes.mkdir(parents=True, exist_ok=True)
            (options.recipes / f"{asked.slug}.toml").write_text(asked.text, encoding="utf-8")
    terminal.show(rows, ["repack", "stream", "rel_err", "bytes", "saved", "recipe"], as_json=options.json)


def workers_(options: argparse.Namespace) -> None:
    """Print commands."""
    from lab.search import cluster

    terminal.say(cluster.instructions(options.scheduler, options.workers))


def rank_(options: argparse.Namespace) -> None:
    """Show the next table."""
    for cycle in _cycles(options, spend=False, max_cycles=1_000):
        last = cycle
    if options.batch is not None:
        from lab import contract
        from lab.cli.run import bench
        from lab.search import batch, loop

        under = contract.load(options.contract, options.ledgers)
        chosen = loop.next_batch(_asked(options), under, bench(options), lambda *_: None)
        batch.write(options.batch, chosen)
    show(last, options.json)


def loop_(options: argparse.Namespace) -> None:
    """Run cycles, and show each."""
    for cycle in _cycles(
        options,
        spend=options.spend,
        max_cycles=options.max_cycles,
        max_total_cost_s=options.max_total_cost,
        max_cost_per_cycle_s=options.max_cost_per_cycle,
        convergence_eps=options.convergence_eps,
        workers=options.workers,
    ):
        show(cycle, as_json=False)
    if not options.spend:
        terminal.say("nothing was run; --spend runs what is chosen")


def show(cycle: Cycle, as_json: bool) -> None:
    """The table of a cycle."""
    rows = []
    for row in cycle.rows:
        told = f"{row['low']:.4f} to {row['high']:.4f}" if "low" in row else f"refused: {row['refused']}"
        total = row.get("total")
        rows.append(
            {
                "candidate": row["candidate"],
                "rel_err": f"{row['rel_err']:.3f}",
                "bytes": row["estimated_bytes"],
                "band": told,
                "chosen": "yes" if row["chosen"] else "",
                "measured": "" if total is None else f"{total:.6f}",
                "in band": "" if total is None else ("yes" if row["in_band"] else "no"),
                "says": row.get("error") or row.get("says") or row.get("lane_says", ""),
            }
        )
    if not as_json:
        terminal.say(f"cycle {cycle.number}: best before {cycle.best_before} {cycle.total_before:.6f}")
    terminal.show(
        rows, ["candidate", "rel_err", "bytes", "band", "chosen", "measured", "in band", "says"], as_json=as_json
    )
    if not as_json:
        terminal.say(f"best after {cycle.best_after} {cycle.total_after:.6f}; {cycle.spent_s:.0f} s of machine time")
