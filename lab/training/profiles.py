"""Named training profiles: published schedules as stages of this room, with the source of every value.

A profile counts its stages in epochs of the contest's 600 pairs, as its authors did; a recipe scales the whole to the
steps that it can pay for, proportions kept. Phases that freeze a motion predictor name its parameters by prefix; a
post-filter has none, and there they freeze nothing.

Sources:
    library     profiles and losses of the public task-aware-compression library (PROVEN_BASELINE, SMOKE, WILDE,
                SHIRAZ, GREEN), read at its published revision
    quantizr    the mask renderer entry of the contest whose staged training WILDE adapts
    ours        chosen here, because the published schedule does not say or this room has no such term
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from difflib import get_close_matches

from lab.errors import RecipeError
from lab.training import schedule
from lab.training.schedule import Stage

_CONTEST_PAIRS = 600
_LANE_WEIGHTS = (1.0, 15.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A published or proven way to train.

    Attributes:
        name, title: what it is called, and its idea in one line.
        architecture, hidden, scheme, seed: what it was published for; a recipe may say otherwise.
        stages: steps stand for the contest's 600 pairs.
        sources: (value, where it is from), every value that the stages carry.
        promotable: whether its authors let its results be promoted.
    """

    name: str
    title: str
    architecture: str
    hidden: int
    scheme: str
    seed: int
    stages: tuple[Stage, ...]
    sources: tuple[tuple[str, str], ...]
    promotable: bool = True

    def schedule(self, steps: int = 0) -> tuple[Stage, ...]:
        """The stages as published, or scaled to this many steps in all.

        Raises:
            ValueError: fewer steps than stages.
        """
        return schedule.scaled(self.stages, steps) if steps else self.stages


def _epochs(count: int, batch_pairs: int) -> int:
    """Steps of so many epochs over the contest's pairs."""
    return count * math.ceil(_CONTEST_PAIRS / batch_pairs)


_SMOKE = Profile(
    name="smoke",
    title="does it run at all: seconds",
    architecture="dilated",
    hidden=16,
    scheme="int8-channel",
    seed=0,
    stages=(Stage(name="smoke", steps=50, batch_pairs=2, lr=1e-3, seg_loss="agreement", quantize=True),),
    sources=(
        ("dilated, hidden 16, lr 1e-3, 50 of its units", "library, SMOKE (there 50 epochs; here 50 steps)"),
        ("soft agreement loss, seg 100, pose 10", "library, the standard scorer loss"),
        ("batch of 2 pairs", "library, two accumulated steps"),
        ("int8 per channel, quantized from the start", "ours"),
    ),
)

_BASE = Stage(
    name="fit",
    steps=_epochs(800, 4),
    batch_pairs=4,
    lr=5e-4,
    seg_loss="agreement",
    pixel=0.01,
    alpha=20.0,
    ema=0.997,
)
_PROVEN = Profile(
    name="proven-baseline",
    title="the post-filter behind the library's 1.73: long, saliency-weighted, quantization-aware at the end",
    architecture="dilated",
    hidden=64,
    scheme="int8-channel",
    seed=0,
    stages=(_BASE, replace(_BASE, name="quantized", steps=_epochs(200, 4), lr=1e-4, quantize=True, swa=0.5)),
    sources=(
        ("hidden 64, 1000 epochs, alpha 20", "library, its example of a training configuration"),
        ("dilated, lr 5e-4, EMA 0.997, 4 accumulated pairs", "library, PROVEN_BASELINE"),
        ("soft agreement loss, seg 100, pose 10", "library, the standard scorer loss"),
        ("int8, QAT and EMA", "library, the h64 lane's description"),
        ("the last fifth quantized at lr 1e-4, SWA over its second half", "ours; the library averages the final 20 %"),
        ("pixel 0.01", "ours: the weight of the saliency-weighted reconstruction, in grey levels"),
    ),
)

_WILDE_COMMON = (
    ("phases of 600, 880, 200, 200, 100 epochs", "library, WILDE"),
    ("lr 1e-3, 3e-4, 1e-4, 5e-5, 1e-5", "library, WILDE"),
    ("batches of 16, then 8", "library, WILDE"),
    ("error boost 9 in the anchor, 49 in the boost, 25 on hard pairs", "library, WILDE, after quantizr"),
    ("cross-entropy and KL at temperature 2 before the joint phase, hinge of margin 1 from it on", "library, WILDE"),
    ("seg 100, pose 10, pixel 0.1, EMA 0.997, SWA, lane lines x15, seed 42", "library, WILDE"),
    ("pixel warm-up 200 + anchor 400, boost 80 + joint 800 epochs", "library, WILDE, its notes on the phases"),
    ("motion frozen in anchor and boost", "library, WILDE"),
    ("four-bit weights from the fourth phase on", "library, WILDE"),
    ("hard phases draw half of a batch from the hardest fifth", "library: top 20 %; the half is ours"),
    ("dilated", "ours: published for a mask renderer, trained here on a post-filter"),
    ("wavelet noise, texture and Markov losses left out", "ours: they need terms that this room does not have"),
)
_ANCHOR = Stage(
    name="anchor",
    steps=_epochs(400, 16),
    batch_pairs=16,
    lr=1e-3,
    seg_loss="cross-entropy",
    kl=1.0,
    temperature=2.0,
    pose=0.0,
    pixel=0.1,
    boost=9.0,
    class_weights=_LANE_WEIGHTS,
    ema=0.997,
    freeze=("motion",),
)
_JOINT = replace(
    _ANCHOR,
    name="joint",
    steps=_epochs(800, 8),
    batch_pairs=8,
    lr=3e-4,
    seg_loss="hinge",
    tau=1.0,
    kl=0.0,
    pose=10.0,
    boost=0.0,
    freeze=(),
)
_WILDE_STAGES = (
    replace(
        _ANCHOR,
        name="warm-up",
        steps=_epochs(200, 16),
        seg=0.0,
        kl=0.0,
        boost=0.0,
        class_weights=(),
        pixel=1.0,
        freeze=(),
    ),
    _ANCHOR,
    replace(_ANCHOR, name="boost", steps=_epochs(80, 8), batch_pairs=8, lr=3e-4, boost=49.0),
    _JOINT,
    replace(_JOINT, name="hard", steps=_epochs(200, 8), lr=1e-4, boost=25.0, hard=0.5),
    replace(_JOINT, name="quantized", steps=_epochs(200, 8), lr=5e-5, quantize=True),
    replace(_JOINT, name="polish", steps=_epochs(100, 8), lr=1e-5, hard=0.5, quantize=True, swa=0.5),
)
_WILDE = Profile(
    name="wilde",
    title="empirical: staged freezing, hard-mined errors boosted nine and forty-nine times",
    architecture="dilated",
    hidden=32,
    scheme="fp4",
    seed=42,
    stages=_WILDE_STAGES,
    sources=(("width 32", "library, WILDE, base channels"), *_WILDE_COMMON),
    promotable=False,
)

_SCORED = Stage(
    name="scored",
    steps=_epochs(1080, 8),
    batch_pairs=8,
    lr=3e-4,
    seg_loss="focal",
    gamma=2.0,
    kl=1.0,
    temperature=2.0,
    pixel=0.1,
    weighting="contribution",
    surgery=True,
    class_weights=_LANE_WEIGHTS,
    hard=0.3,
    ema=0.997,
)
_SHIRAZ = Profile(
    name="shiraz",
    title="principled: gradient surgery, focal straight-through, weights by share of the score, nothing frozen",
    architecture="dilated",
    hidden=32,
    scheme="fp4",
    seed=42,
    stages=(
        replace(
            _SCORED,
            name="warm-up",
            steps=_epochs(400, 16),
            batch_pairs=16,
            lr=1e-3,
            seg=0.0,
            pose=0.0,
            kl=0.0,
            pixel=1.0,
            weighting="score",
            surgery=False,
            class_weights=(),
            hard=0.0,
        ),
        _SCORED,
        replace(_SCORED, name="hard", steps=_epochs(200, 8), lr=1e-4, hard=0.5),
        replace(_SCORED, name="quantized", steps=_epochs(200, 8), lr=5e-5, quantize=True),
        replace(_SCORED, name="polish", steps=_epochs(100, 8), lr=1e-5, hard=0.5, quantize=True, swa=0.5),
    ),
    sources=(
        ("width 32", "library, SHIRAZ, base channels"),
        ("dilated", "ours: published for a mask renderer, trained here on a post-filter"),
        ("phases of 400, 1080, 200, 200, 100 epochs", "library, SHIRAZ"),
        ("pixel warm-up in the first phase", "ours; the library gives that phase's length"),
        ("lr 1e-3, 3e-4, 1e-4, 5e-5, 1e-5; batches of 16, then 8", "library, SHIRAZ"),
        ("focal straight-through, gamma 2; no error boost", "library, SHIRAZ, after Lin et al. 2017"),
        ("PCGrad", "library, SHIRAZ, after Yu et al. 2020"),
        ("weights by each network's share of the running score, damped", "library, SHIRAZ"),
        ("KL at temperature 2 beside it, weight 1", "library, SHIRAZ"),
        ("seg 100, pose 10, pixel 0.1, EMA 0.997, SWA, lane lines x15, seed 42", "library, SHIRAZ"),
        ("30 % of pairs from the hardest fifth", "library, SHIRAZ: hard frame ratio 0.3; the fifth is ours"),
        ("half of them in the phases hard and polish", "ours"),
        ("four-bit weights from the fourth phase on", "library, SHIRAZ"),
    ),
    promotable=False,
)

_GREEN = replace(
    _WILDE,
    name="green",
    title="WILDE with the motion given by a radial zoom: its predictor keeps a gate and a residual, four channels",
    sources=(
        *_WILDE.sources,
        ("radial zoom instead of a predicted flow; 14 thousand weights fewer", "library, GREEN; a renderer's trait"),
    ),
    promotable=True,
)

PROFILES = {profile.name: profile for profile in (_SMOKE, _PROVEN, _WILDE, _SHIRAZ, _GREEN)}


def get(name: str) -> Profile:
    """The profile of this name.

    Raises:
        RecipeError: there is none; the message lists those that there are.
    """
    if name not in PROFILES:
        near = get_close_matches(name, list(PROFILES), n=1)
        raise RecipeError(
            f"training profile {name!r}",
            expected="one of " + ", ".join(PROFILES),
            found="no such profile",
            fix=f"did you mean {near[0]!r}?" if near else "`lab profiles` shows them",
        )
    return PROFILES[name]
