"""A cheap look at a candidate before it is run: its first pairs coded, decoded and compared with the source.

No network is asked. What comes out, relative error and bytes of a few pairs, is an estimate: it ranks candidates and is
never evidence.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from lab import codecs
from lab.codecs.base import Pair
from lab.contract import Contract
from lab.evaluator.preprocess import resize, to_planes
from lab.experiment import Bench
from lab.recipe import Recipe
from lab.store import write_atomic

PAIRS = 20
"""Pairs that a probe codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a probe saw: relative error in percent on the model grid, payload bytes of its pairs, seconds it took."""

    rel_err: float
    n_bytes: int
    n_pairs: int
    seconds: float


def probe(asked: Recipe, contract: Contract, bench: Bench, n_pairs: int = PAIRS) -> Probe:
    """The probe of a recipe, from the cache where it was taken before.

    Raises:
        RecipeError, VideoError: the recipe cannot be coded.
    """
    n_pairs = min(n_pairs, contract.n_pairs)
    kept = bench.cache / "probes" / f"{contract.digest[:16]}-{asked.digest[:24]}-{n_pairs}.json"
    try:
        return Probe(**json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        pass
    started = time.monotonic()
    short = replace(contract, n_pairs=n_pairs)
    codec = codecs.get(asked.family)
    codec.check(asked)
    work = bench.work / "probes" / asked.digest[:24]
    work.mkdir(parents=True, exist_ok=True)
    source = bench.source(short, work)
    payload = codec.encode(source, asked, lambda *_: None).payload
    rel_err = relative_error(source.pairs(), codec.decode(payload), contract.model_size)
    seen = Probe(rel_err=rel_err, n_bytes=len(payload), n_pairs=n_pairs, seconds=time.monotonic() - started)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(kept, json.dumps(asdict(seen), sort_keys=True).encode())
    return seen


def relative_error(source: Iterable[Pair], decoded: Iterable[Pair], size: tuple[int, int]) -> float:
    """Root mean square difference of two clips over that of the first from its own mean, percent, on the model grid.

    Args:
        source, decoded: as many pairs each, uint8 (2, H, W, 3) RGB.
        size: (height, width) of the model grid.
    """
    wrong = total = square = count = 0.0
    for one, other in zip(source, decoded, strict=True):
        first, second = (
            resize(to_planes(torch.from_numpy(np.ascontiguousarray(pair))[None]).flatten(0, 1), size).double()
            for pair in (one, other)
        )
        wrong += float((first - second).square().sum())
        total, square, count = total + float(first.sum()), square + float(first.square().sum()), count + first.numel()
    if not count:
        return math.nan
    return 100.0 * math.sqrt(wrong / max(square - total * total / count, 1e-9))
