"""The first pairs of a source under a recipe, coded, decoded in this process and measured by both networks.

Their bytes stand for the same share of the source. A repack is a payload of all pairs already: its first pairs are
decoded, and its bytes count as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch

from lab import codecs, repack
from lab.codecs.base import Pair, silent
from lab.contract import Contract
from lab.evaluator.measure import Answers, Evaluator, compare
from lab.evaluator.preprocess import resize, to_planes
from lab.experiment import Bench
from lab.ledger import Ledger
from lab.recipe import Recipe


def subset(asked: Recipe, contract: Contract, bench: Bench, n_pairs: int) -> dict[str, Any]:
    """Components, payload bytes and the total that they would give over the whole clip, of the first pairs.

    Raises:
        RecipeError, VideoError, EvaluationError: the recipe cannot be coded, or not be measured here.
        LedgerError: it repacks a run that is not on record, or whose archive is not kept.
    """
    n_pairs = min(n_pairs, contract.n_pairs)
    short = replace(contract, n_pairs=n_pairs)
    codec = codecs.get(asked.family)
    if asked.repacked is None:
        codec.check(asked)
        work = bench.work / "subsets" / f"{contract.digest[:12]}-{asked.digest[:24]}-{n_pairs}"
        work.mkdir(parents=True, exist_ok=True)
        payload = codec.encode(bench.source(short, work), asked, silent).payload
        whole_bytes = round(len(payload) * contract.n_pairs / n_pairs)
    else:
        payload = repack.made(asked, contract, Ledger(bench.ledgers)).payload
        whole_bytes = len(payload)
    reference = Evaluator(contract, axis="cpu", cache=bench.cache).reference(silent)
    decoded = list(islice(codec.decode(payload), n_pairs))
    told = Evaluator(short, axis="cpu", cache=bench.cache).answers(iter(decoded), silent, "networks on a subset")
    seen = compare(Answers(classes=reference.classes[:n_pairs], pose=reference.pose[:n_pairs]), told)
    score = contract.score(segnet=seen.segnet, posenet=seen.posenet, archive_bytes=max(1, whole_bytes))
    return {
        "grade": "empirical",
        "pairs": n_pairs,
        "payload_bytes": len(payload),
        "rel_err": relative_error(bench.source(short, bench.work).pairs(), decoded, contract.model_size),
        "segnet": seen.segnet,
        "posenet": seen.posenet,
        "distortion": score.segnet_term + score.posenet_term,
        "total": score.total,
    }


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
