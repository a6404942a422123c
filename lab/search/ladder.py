"""The rungs of a hypothesis, measured: a probe, subsets of growing size, and a run on record.

What a subset measures is empirical: it is no run, and no packet was made. It is enough to order candidates, and never
enough to kill one.
"""

from __future__ import annotations

from typing import Any

from lab import experiment, recipe
from lab.contract import Contract
from lab.errors import SearchError
from lab.experiment import Bench
from lab.hypotheses import Hypothesis
from lab.ledger import Ledger
from lab.search.harvest import harvest
from lab.search.probe import probe
from lab.search.subset import subset


def measure(found: Hypothesis, contract: Contract, bench: Bench) -> dict[str, Any]:
    """What the next rung of a hypothesis measures, as `lab.hypotheses.climb` takes it.

    Raises:
        SearchError: the climb has ended, or the run on record does not close.
        LabError: the recipe cannot be coded or measured here.
    """
    gate = found.next_gate
    if gate is None:
        raise SearchError(f"hypothesis {found.id}", expected="a rung to climb", found=f"it is {found.state}")
    asked = recipe.parse(found.recipe_text, found.recipe)
    if gate.rung == "full":
        run = experiment.run(asked, contract, bench, once=True)[0]
        kept = harvest(Ledger(bench.ledgers), contract, run.id, axis="cpu")
        told = {"run": kept.id, "grade": kept.grade, "pairs": contract.n_pairs, "total": kept.total}
        return {"rung": gate.rung, **told}
    if gate.metric == "rel_err":
        seen = probe(asked, contract, bench, gate.pairs)
        told = {"pairs": seen.n_pairs, "rel_err": seen.rel_err, "payload_bytes": seen.n_bytes, "grade": "empirical"}
        return {"rung": gate.rung, **told}
    return {"rung": gate.rung, **subset(asked, contract, bench, gate.pairs)}
