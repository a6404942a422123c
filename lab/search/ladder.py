"""The rungs of a hypothesis, measured: a probe, subsets of growing size, and a run on record.

On a subset the first pairs alone are coded, decoded in this process and measured; their bytes stand for the same share
of the source. What comes out is empirical: it is no run, and no packet was made. It is enough to order candidates, and
never enough to kill one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lab import codecs, experiment, recipe
from lab.codecs.base import silent
from lab.contract import Contract
from lab.errors import SearchError
from lab.evaluator.measure import Answers, Evaluator, compare
from lab.experiment import Bench
from lab.hypotheses import Hypothesis
from lab.ledger import Ledger
from lab.recipe import Recipe
from lab.search.harvest import harvest
from lab.search.probe import probe


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


def subset(asked: Recipe, contract: Contract, bench: Bench, n_pairs: int) -> dict[str, Any]:
    """Components, payload bytes and the total that they would give over the whole clip, of the first pairs.

    Raises:
        RecipeError, VideoError, EvaluationError: the recipe cannot be coded, or not be measured here.
    """
    n_pairs = min(n_pairs, contract.n_pairs)
    short = replace(contract, n_pairs=n_pairs)
    codec = codecs.get(asked.family)
    codec.check(asked)
    work = bench.work / "subsets" / f"{asked.digest[:24]}-{n_pairs}"
    work.mkdir(parents=True, exist_ok=True)
    payload = codec.encode(bench.source(short, work), asked, silent).payload
    reference = Evaluator(contract, axis="cpu", cache=bench.cache).reference(silent)
    told = Evaluator(short, axis="cpu", cache=bench.cache).answers(
        codec.decode(payload), silent, "networks on a subset"
    )
    seen = compare(Answers(classes=reference.classes[:n_pairs], pose=reference.pose[:n_pairs]), told)
    whole_bytes = round(len(payload) * contract.n_pairs / n_pairs)
    score = contract.score(segnet=seen.segnet, posenet=seen.posenet, archive_bytes=max(1, whole_bytes))
    return {
        "grade": "empirical",
        "pairs": n_pairs,
        "payload_bytes": len(payload),
        "segnet": seen.segnet,
        "posenet": seen.posenet,
        "total": score.total,
    }
