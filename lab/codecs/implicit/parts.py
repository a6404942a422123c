"""The parts that a schedule is trained in: pixels alone, what recipes share, and the rest.

A part has a trainer and a folder of its own, and begins with the best candidate of the part before it. A shared part
lies beside the runs' folders under a name that says all that decides it, so that the next recipe with the same
beginning finds it done.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from lab.codecs.implicit.content import Head
from lab.training.schedule import Stage

if TYPE_CHECKING:
    from lab.codecs.implicit.params import Params


class Part(NamedTuple):
    """Stages that are trained together: what their folder is called, where they end, whether recipes share them."""

    name: str
    stages: tuple[Stage, ...]
    end: int
    shared: bool


def blind(stage: Stage) -> bool:
    """Whether a stage asks neither network."""
    return not (stage.seg or stage.pose or stage.kl or stage.feature)


def of(stages: Sequence[Stage], shared: int) -> Iterator[Part]:
    """The parts of a schedule.

    Args:
        shared: how many leading stages recipes share.
    """
    n_blind = next(number for number, stage in enumerate(stages) if not blind(stage))
    # Every shared stage is a part of its own, so that recipes may share as many as they have in common.
    bounds = sorted({0, n_blind, *range(min(shared, len(stages)) + 1), len(stages)})
    for start, end in itertools.pairwise(bounds):
        name = "pixels" if end <= n_blind else "answers"
        yield Part(name, tuple(stages[start:end]), end, end <= shared)


def key(config: str, head: Head, params: Params, stages: Sequence[Stage]) -> str:
    """SHA-256 of everything that decides a shared part.

    Args:
        config: digest of its training configuration.
        params: without what comes after training.
        stages: all stages up to its end.
    """
    plain = [config, {**head._asdict(), "shape": asdict(head.shape)}, asdict(params), *map(asdict, stages)]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
