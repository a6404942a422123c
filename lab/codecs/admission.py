"""Admission: the one rule by which anything enters a bitstream after training.

An edit - a mask pixel or a contour segment, a latent, an action, a weight - is admitted if and only if

    measured change of distortion + byte price x change of bytes < 0

with the distortion as the score weighs it, the price of a byte from the contract (25 over the source's bytes), and the
bytes that the coder really spends. Changes that were found one by one are measured once more together.

Example:
    >>> formula = Formula(segnet=100.0, posenet=10.0, rate=25.0)
    >>> rule = Rule(formula=formula, source_bytes=2_500_000, posenet=0.004)
    >>> rule.admits(segnet=0.0, posenet=0.0, bits=-8.0), rule.admits(segnet=1e-6, posenet=0.0, bits=-8.0)
    (True, False)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lab.contract import Formula

State = TypeVar("State")
Edit = TypeVar("Edit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a change costs, around one operating point.

    Attributes:
        formula, source_bytes: of the contract.
        posenet: mean distortion of PoseNet before the change; its root is not linear.
    """

    formula: Formula
    source_bytes: int
    posenet: float

    def delta(self, *, segnet: float, posenet: float, bits: float) -> float:
        """Change of the score when the mean distortions and the archive change by so much."""
        before = math.sqrt(self.formula.posenet * self.posenet)
        after = math.sqrt(self.formula.posenet * max(self.posenet + posenet, 0.0))
        return self.formula.segnet * segnet + after - before + self.formula.byte_price(self.source_bytes) * bits / 8.0

    def admits(self, *, segnet: float, posenet: float, bits: float) -> bool:
        """Whether a change enters."""
        return self.delta(segnet=segnet, posenet=posenet, bits=bits) < 0.0


def admit(
    state: State,
    before: float,
    edits: Sequence[Edit],
    apply: Callable[[Sequence[Edit]], State],
    score: Callable[[State], float],
    *,
    trials: int = 8,
) -> tuple[State, tuple[Edit, ...], float]:
    """Admit edits in blocks: a block that does not lower the measured score is halved, and its halves are tried.

    Args:
        state, before: without edits, and its score.
        edits: best first.
        apply: the state with a set of edits.
        score: what a state measures, its bytes included.
        trials: how many states may be measured.

    Returns:
        (the state with all admitted edits, those edits, its score).
    """
    kept: tuple[Edit, ...] = ()
    waiting = [tuple(edits)] if edits else []
    while waiting and trials > 0:
        block = waiting.pop(0)
        tried = apply((*kept, *block))
        measured, trials = score(tried), trials - 1
        if measured < before:
            kept, state, before = (*kept, *block), tried, measured
        elif len(block) > 1:
            middle = (len(block) + 1) // 2
            waiting[:0] = [block[:middle], block[middle:]]
    return state, kept, before


def best(before: State, candidates: Sequence[State], score: Callable[[State], float]) -> State:
    """The candidate of the lowest measured score, or what was before where none is lower."""
    lowest = score(before)
    for candidate in candidates:
        measured = score(candidate)
        if measured < lowest:
            before, lowest = candidate, measured
    return before
