"""The whole loop in about a minute: `python -m lab.search.quickstart`.

Two anchors are measured, then two cycles rank the neighbours of the best, refuse what lies in dead lanes, run what was
chosen in two processes and harvest it, in a ledger of its own that is gone afterwards (`--out FOLDER` keeps it). No
GPU, nothing from outside the package; the embedded contract is measured in full, by quick encodes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab import cli, contract, experiment, projection, recipe
from lab.cli import search as verbs
from lab.cli import terminal
from lab.contract import Contract
from lab.errors import LabError
from lab.evaluator.compute import calm_torch
from lab.experiment import Bench
from lab.recipe import Recipe
from lab.search import loop
from lab.search.prospects import Asked

ANCHORS = (44, 58)
"""Quantizers of the two runs that the first predictions stand on."""
PROBE_PAIRS = 6
_TEXT = """\
family = "conventional"
question = "What do two quick encodes on both sides of the operating point measure?"

[params]
encoder = "svt-av1"
grid = "model"
down = "area"
up = "aligned"
crf = {crf}
preset = "10"
gop = 0
"""


def root(crf: int) -> Recipe:
    """A recipe that encodes in a second or two."""
    return recipe.parse(_TEXT.format(crf=crf), f"conventional/quick-crf{crf}")


def run(under: Contract, bench: Bench, *, cycles: int = 2, per_cycle: int = 2) -> Iterator[loop.Cycle]:
    """Measure the anchors, then give each cycle of the loop as it ends.

    Raises:
        LabError: a run failed, or a record does not hold together.
    """
    for crf in ANCHORS:
        with terminal.progress() as monitor:
            done, _ = experiment.run(root(crf), under, bench, once=True, monitor=monitor)
        terminal.say(f"anchor {done.id}: {done.total:.6f}, {done.archive_bytes:,} bytes, grade {done.grade}")
    asked = Asked(
        name="quickstart", root=root(ANCHORS[0]), max_cycles=cycles, per_cycle=per_cycle, probe_pairs=PROBE_PAIRS
    )
    with terminal.progress() as monitor:
        yield from loop.run_loop(asked, under, bench, spend=True, monitor=monitor)


@contextmanager
def _scratch(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="lab-quickstart-") as folder:
        yield Path(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the loop and tell what came of it; returns the exit status."""
    asked = argparse.ArgumentParser(prog="python -m lab.search.quickstart", description=__doc__)
    asked.add_argument("--contract", default="minidrive", help="another contract, which must lie in the ledger")
    asked.add_argument("--out", type=Path, help="keep the ledger in this folder; run again to go on")
    options = cli.place(asked.parse_args(arguments))
    calm_torch(1)
    try:
        with _scratch(options.out) as folder:
            if (options.ledgers / "negative").is_dir():
                shutil.copytree(options.ledgers / "negative", folder / "negative", dirs_exist_ok=True)
            if options.contract != "minidrive":
                shutil.copytree(options.ledgers / options.contract, folder / options.contract, dirs_exist_ok=True)
            bench = Bench(ledgers=folder, cache=options.cache, work=options.cache / "work", root=options.root)
            under = contract.load(options.contract, folder)
            outcomes = []
            for cycle in run(under, bench):
                verbs.show(cycle, as_json=False)
                outcomes += [row for row in cycle.rows if "total" in row]
            seen = projection.project(projection.gather(folder))
            hits = sum(row["in_band"] for row in outcomes)
            terminal.say(f"{hits} of {len(outcomes)} outcomes in their bands; best {seen.best[0].run}")
            terminal.say("next: " + (seen.next[0].command if seen.next else "lab status"))
    except LabError as error:
        sys.stderr.write(f"quickstart: {type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
