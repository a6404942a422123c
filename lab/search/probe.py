"""A cheap look at a candidate before it is run; it ranks candidates and is never evidence.

standard encoders   the first pairs coded, decoded and compared with the source on the model grid
trained families    the same, after the recipe's stages cut to a few steps in all; their error is what both networks
                    say of the result, in score, since pixels are not what they are trained for
repacks             nothing to code: the bytes are exact, and the error is that of the stream that is packed anew
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from lab import codecs, repack
from lab.contract import Contract
from lab.errors import SearchError
from lab.experiment import Bench
from lab.ledger import Ledger
from lab.recipe import Recipe
from lab.search.generate import STEPS, n_steps
from lab.search.subset import subset
from lab.store import write_atomic

PAIRS = 20
"""Pairs that a probe of a standard encoder codes."""
TRAINED_PAIRS = 6
"""Pairs that a probe of a trained family codes."""
TRAINED_STEPS = 40
"""Training steps of such a probe, over all stages."""
# what follows training at length, and how a probe leaves it out
_AFTER: dict[str, Any] = {
    "refit": 0,
    "repair": 0,
    "edit": False,
    "latent_polish": 0,
    "shared": 0,
    "validate_every": 10_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a probe saw.

    Attributes:
        rel_err: relative error in percent, of its pairs on the model grid, or of the stream of a repack.
        error: what the lane's curves are drawn over: of a repack that relative error, else what both networks say of
            its pairs, in score.
        n_bytes: of the payload of its pairs.
        n_pairs: how many pairs it coded.
        share: of the run's work, 0 to 1, that `seconds` stands for.
        seconds: that it took.
    """

    rel_err: float
    error: float
    n_bytes: int
    n_pairs: int
    seconds: float
    share: float


def probe(asked: Recipe, contract: Contract, bench: Bench, n_pairs: int = PAIRS) -> Probe:
    """The probe of a recipe, from the cache where it was taken before.

    Args:
        n_pairs: of a standard encoder.

    Raises:
        RecipeError, VideoError: the recipe cannot be coded.
        LedgerError: it repacks a run that is not on record, or whose archive is not kept.
    """
    if asked.repacked is None:
        codecs.get(asked.family).check(asked)
    n_pairs = min(TRAINED_PAIRS if _trains(asked) else n_pairs, contract.n_pairs)
    kept = bench.cache / "probes" / f"{contract.digest[:16]}-{asked.digest[:24]}-{n_pairs}.json"
    try:
        return Probe(**json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        pass
    look = _repacked if asked.repacked else _measured
    seen = look(asked, contract, bench, n_pairs)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(kept, json.dumps(asdict(seen), sort_keys=True).encode())
    return seen


def short(asked: Recipe) -> Recipe:
    """A trained recipe with its stages cut in proportion to a few steps, and nothing searched after them.

    Raises:
        SearchError: its steps are not counted in the recipe.
    """
    whole = n_steps(asked)
    if whole is None:
        raise SearchError(f"probe of {asked.name!r}", expected="[[stages]], or a profile with `steps`", found="neither")
    params = {name: _AFTER.get(name, value) for name, value in asked.params.items()}
    if not asked.stages:
        return replace(asked, params={**params, STEPS: min(whole, TRAINED_STEPS)})
    factor = min(1.0, TRAINED_STEPS / whole)
    stages = tuple(
        {**stage, STEPS: max(2, round(int(stage[STEPS]) * factor)), **({"warmup": 0} if "warmup" in stage else {})}
        for stage in asked.stages
    )
    return replace(asked, params=params, stages=stages)


def _measured(asked: Recipe, contract: Contract, bench: Bench, n_pairs: int) -> Probe:
    cut = short(asked) if _trains(asked) else asked
    started = time.monotonic()
    seen = subset(cut, contract, bench, n_pairs)
    took = time.monotonic() - started
    done, whole = n_steps(cut), n_steps(asked)
    return Probe(
        rel_err=seen["rel_err"],
        error=seen["distortion"],
        n_bytes=seen["payload_bytes"],
        n_pairs=n_pairs,
        seconds=took,
        share=min(1.0, done / whole) if done and whole else n_pairs / contract.n_pairs,
    )


def _trains(asked: Recipe) -> bool:
    return bool(asked.stages or asked.params.get("profile"))


def _repacked(asked: Recipe, contract: Contract, bench: Bench, _n_pairs: int) -> Probe:
    seen = repack.made(asked, contract, Ledger(bench.ledgers))
    return Probe(
        rel_err=seen.rel_err,
        error=seen.rel_err,
        n_bytes=len(seen.payload),
        n_pairs=contract.n_pairs,
        seconds=0.0,
        share=1.0,
    )
