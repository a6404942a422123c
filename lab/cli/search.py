"""`lab search rank | loop`: what to run next, and the closed loop that runs it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from lab.cli import terminal

if TYPE_CHECKING:
    from lab.search.loop import Cycle


def register(commands: Any) -> None:
    """Add the verbs of this group."""
    verbs = terminal.group(commands, "search", help="what to run next: rank, loop")
    ranked = terminal.verb(
        verbs,
        "rank",
        rank_,
        help="neighbours of the best run of a recipe's lane, with predicted bands or refusals; runs nothing",
        example="lab search rank conventional/av1-grid-crf48-area-preset2",
        json_output=True,
    )
    _common(ranked)
    loop = terminal.verb(
        verbs,
        "loop",
        loop_,
        help="rank, gate, run, harvest, and again; dry unless --spend",
        example="lab search loop conventional/av1-grid-crf48-area-preset2 --max-cycles 3 --spend",
    )
    _common(loop)
    loop.add_argument(
        "--spend", action="store_true", help="run what was chosen; without it only the first table is shown"
    )
    loop.add_argument("--max-cycles", type=int, default=4)
    loop.add_argument("--max-total-cost", type=float, default=3_600.0, metavar="S", help="seconds of machine time")
    loop.add_argument("--max-cost-per-cycle", type=float, default=1_200.0, metavar="S")
    loop.add_argument("--convergence-eps", type=float, default=0.0005, help="gain below which a cycle counts as quiet")
    loop.add_argument("--workers", type=int, default=2)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="family/slug, or a TOML file: the root of the search")
    parser.add_argument("--contract", default="minidrive")
    parser.add_argument("--name", help="of the journal in ledgers/searches (default: the recipe's slug)")
    parser.add_argument("--per-cycle", type=int, default=8, help="most runs of one cycle")


def _cycles(options: argparse.Namespace, *, spend: bool, **more: Any) -> Any:
    from lab import contract, recipe
    from lab.cli.run import bench
    from lab.search import loop

    root = recipe.load(options.recipe)
    asked = loop.Asked(name=options.name or root.slug, root=root, per_cycle=options.per_cycle, **more)
    under = contract.load(options.contract, options.ledgers)
    with terminal.progress() as monitor:
        yield from loop.run_loop(asked, under, bench(options), spend=spend, monitor=monitor)


def rank_(options: argparse.Namespace) -> None:
    """Show the next table."""
    for cycle in _cycles(options, spend=False, max_cycles=1_000):
        last = cycle
    _show(last, options.json)


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
        _show(cycle, as_json=False)
    if not options.spend:
        terminal.say("nothing was run; --spend runs what is chosen")


def _show(cycle: Cycle, as_json: bool) -> None:
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
                "says": row.get("error") or row.get("says", ""),
            }
        )
    if not as_json:
        terminal.say(f"cycle {cycle.number}: best before {cycle.best_before} {cycle.total_before:.6f}")
    terminal.show(
        rows, ["candidate", "rel_err", "bytes", "band", "chosen", "measured", "in band", "says"], as_json=as_json
    )
    if not as_json:
        terminal.say(f"best after {cycle.best_after} {cycle.total_after:.6f}; {cycle.spent_s:.0f} s of machine time")
