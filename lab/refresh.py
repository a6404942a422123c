"""Runs that an earlier state of their contract left behind, recorded again: parents first, several at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass

from lab import contract as contracts
from lab import experiment, recipe
from lab.contract import Contract
from lab.errors import LabError, LedgerError
from lab.evaluator.compute import calm_torch
from lab.experiment import Bench
from lab.ledger import Ledger, Run, outdated
from lab.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What became of one outdated record: the run that replaces it, or why there is none."""

    outdated: str
    run: Run | None = None
    why: str = ""


def plan(contract: Contract, ledger: Ledger, family: str | None = None) -> list[tuple[Run, Recipe]]:
    """Outdated runs of a contract with their recipes as recorded, oldest first, so that parents precede.

    Args:
        family: only this family.

    Raises:
        LedgerError: the recipe of one is not kept.
    """
    found = []
    for run in outdated(ledger.runs(contract), contract):
        if family not in (None, run.family):
            continue
        kept = ledger.evidence(contract.name, run.id) / "recipe.toml"
        if not kept.is_file():
            raise LedgerError(f"run {run.id}", expected="evidence/recipe.toml", found="nothing there")
        found.append((run, recipe.parse(kept.read_text(encoding="utf-8"), run.recipe)))
    return found


def refresh(
    contract: Contract,
    bench: Bench,
    *,
    family: str | None = None,
    workers: int = 1,
) -> Iterator[Refreshed]:
    """Run every outdated recipe again, each as soon as its parent has been; give the outcome of each as it ends.

    A run that fails is told with its reason, as are those that depend on it. What is recorded is not done again, so an
    interrupted refresh goes on where it stopped.

    Args:
        workers: processes, of one torch thread each.
    """
    waiting = plan(contract, Ledger(bench.ledgers), family)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        going: dict[Future[Run], tuple[Run, Recipe]] = {}
        failed: set[str] = set()
        while waiting or going:
            for run, asked in list(waiting):
                unready = {other.name for _, other in (*waiting, *going.values())}
                if asked.parent in failed:
                    waiting.remove((run, asked))
                    failed.add(asked.name)
                    yield Refreshed(outdated=run.id, why=f"its parent {asked.parent} was not recorded")
                elif len(going) < workers and asked.parent not in unready:
                    waiting.remove((run, asked))
                    going[pool.submit(_again, asked, contract.name, run, bench)] = (run, asked)
            if not going:
                continue
            for job in wait(going, return_when=FIRST_COMPLETED).done:
                run, asked = going.pop(job)
                try:
                    yield Refreshed(outdated=run.id, run=job.result())
                except LabError as error:
                    failed.add(asked.name)
                    yield Refreshed(outdated=run.id, why=f"{type(error).__name__}: {error}")


def _again(asked: Recipe, name: str, run: Run, bench: Bench) -> Run:
    calm_torch()
    under = contracts.load(name, bench.ledgers)
    recorded, _ = experiment.run(asked, under, bench, axis=run.axis.split()[0], supersedes=run.id)
    return recorded
