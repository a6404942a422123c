"""Stream r: actions chosen by trying every one of them on the real networks, a tail at a time.

For each pair (or batch of pairs) the action that gains most is kept if it gains more than its bits; the tail as a whole
enters by the rule of admission, measured from the payload. What every tail measured is written down either way.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.codecs.base import Monitor
from lab.codecs.pixels import rounded
from lab.codecs.semantic import actions, decode
from lab.codecs.semantic.content import Content
from lab.codecs.semantic.judge import Judge
from lab.training.progress import Validation

# What one action that is not "none" is taken to cost before the tail is really coded.
_ACTION_BITS = 4.0
# Tails that leave the last frame alone: SegNet need not be asked.
_FIRST_ONLY = ("seed", "factor")


def admit(content: Content, judge: Judge, tails: tuple[str, ...], report: Path, monitor: Monitor) -> Content:
    """The content with those of the tails that pay.

    Args:
        report: where `tail,used,n_bytes,segnet,posenet,delta,admitted` goes, one row per tail; delta is the change
            of the measured score, its bytes included.
    """
    lines = ["tail,used,n_bytes,segnet,posenet,delta,admitted"]
    before = judge.validation(content)
    for tail in tails:
        codes = tried(content, judge, tail, before, monitor)
        with_tail = replace(content, actions=replace(content.actions, **{tail: codes}))
        after = judge.validation(with_tail)
        n_bytes = after.n_bytes - before.n_bytes
        change = judge.change(before, after)
        lines.append(
            f"{tail},{np.count_nonzero(codes)},{n_bytes},{after.segnet!r},{after.posenet!r},"
            f"{change!r},{'yes' if change < 0.0 else 'no'}"
        )
        if change < 0.0:
            content, before = with_tail, after
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return content


def tried(content: Content, judge: Judge, tail: str, before: Validation, monitor: Monitor) -> NDArray[np.uint8]:
    """The codes of a tail, each the action that gains most beyond its bits.

    Args:
        before: what the content is worth without the tail.
    """
    n_pairs, values = content.n_pairs, actions.TAILS[tail]
    weight = judge.pose_weight(before.posenet or 0.0)
    costs = np.zeros((values, n_pairs))
    for code in range(values):
        everywhere = np.full(actions.length(tail, n_pairs), code, np.uint8)
        acting = replace(content, actions=replace(content.actions, **{tail: everywhere}))
        at = 0
        for frames in decode.rendered(acting):
            index = np.arange(at, at + len(frames))
            seen = rounded(frames).float()
            if tail in _FIRST_ONLY:
                costs[code, index] = weight * judge.pose_of_seen(seen, index)
            else:
                seg, pose = judge.of_seen(seen, index)
                costs[code, index] = judge.formula.segnet * seg + weight * pose
            at += len(frames)
        monitor(f"tail {tail}", code + 1, values)
    if tail == "control":
        starts = np.arange(0, n_pairs, actions.BATCH_PAIRS)
        costs = np.add.reduceat(costs, starts, axis=1)
    costs[1:] += judge.byte_price / 8.0 * _ACTION_BITS * n_pairs
    chosen: NDArray[np.uint8] = costs.argmin(axis=0).astype(np.uint8)
    return chosen
