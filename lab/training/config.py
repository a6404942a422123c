"""What decides a training run, and what comes out of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from lab.contract import Formula
from lab.training.progress import Best, Validation, Weights
from lab.training.quantize import Quantized
from lab.training.schedule import Stage
from lab.training.targets import Distortion


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How a model is trained.

    Attributes:
        stages: in order.
        scheme, bits: how weights are packed, see `quantize`.
        seed: of the batches.
        validate_every, checkpoint_every, log_every: steps between two validations, checkpoints, rows of the log.
        formula, source_bytes: of the contract; they price bytes.
        fixed_bytes: bytes of the archive beside the weights, for validation without a family's own.
        rates: factor on the learning rate by prefix of a parameter's name.
        material: digest of what is trained on; a checkpoint of other material is refused.
    """

    stages: tuple[Stage, ...]
    source_bytes: int
    scheme: str = "int8-channel"
    bits: int = 8
    seed: int = 0
    validate_every: int = 200
    checkpoint_every: int = 50
    log_every: int = 10
    formula: Formula = field(default_factory=lambda: Formula(segnet=100.0, posenet=10.0, rate=25.0))
    fixed_bytes: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)
    material: str = ""

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("a training run needs at least one stage")
        if min(self.validate_every, self.checkpoint_every, self.log_every, self.source_bytes) < 1:
            raise ValueError("validate_every, checkpoint_every, log_every and source_bytes must be positive")

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the weights; how often to checkpoint does not."""
        plain = asdict(self)
        plain.pop("checkpoint_every")
        plain["rates"] = dict(self.rates)
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    @property
    def byte_price(self) -> float:
        """What one archive byte costs in score."""
        return self.formula.byte_price(self.source_bytes)

    def validation(self, found: Distortion, n_bytes: int, *, pose: bool = True) -> Validation:
        """What a candidate of this distortion and size is worth; without `pose`, by SegNet and bytes alone."""
        score = self.formula.score(
            segnet=found.segnet, posenet=found.posenet, archive_bytes=max(n_bytes, 1), source_bytes=self.source_bytes
        )
        # Squared pose error is weighed by the score's slope at its mean: pairs then rank as the score sees them.
        slope = 0.5 * (self.formula.posenet / max(found.posenet, 1e-12)) ** 0.5
        return Validation(
            segnet=found.segnet,
            posenet=found.posenet if pose else None,
            n_bytes=n_bytes,
            score=score.total,
            pairs=self.formula.segnet * found.segnet_pairs + slope * found.posenet_pairs,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a training run found: the best candidate as it is packed, its exact values, and what it is worth."""

    packed: dict[str, Quantized]
    values: Weights
    validation: Best
    steps: int
