"""What decoded pairs are worth to both frozen networks; the part of judging that families share.

Only encoders judge. The aligned up-sampler hands the networks exactly a decoder's rounded grid, so a family that ends
in it is judged on the grid, without resizing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lab import custody
from lab.codecs.admission import Rule
from lab.codecs.base import Monitor, SourceClip
from lab.contract import Contract
from lab.evaluator import measure, preprocess
from lab.training import losses, targets
from lab.training.config import TrainConfig
from lab.training.progress import Validation
from lab.training.schedule import Stage
from lab.training.targets import Distortion, Targets

# Bytes of an archive around its one stored member: two headers with its name, and the directory's end.
ARCHIVE_BYTES = 108


def answers_of(source: SourceClip, segnet: nn.Module, posenet: nn.Module, monitor: Monitor) -> Targets:
    """What the networks say of the source, kept in the cache by the digest of all that decides it."""
    contract = source.contract
    versions = custody.versions(("torch", "numpy", "av"))
    digests = sorted(network.sha256 for network in contract.networks.values())
    key = targets.key(
        contract.source.sha256, digests, contract.model_size, contract.n_pairs, measure.digest(), versions
    )

    def make() -> Targets:
        return targets.compute(
            source.pairs(), contract.model_size, segnet, posenet, monitor=monitor, total=contract.n_pairs
        )

    return targets.cached(source.cache / "targets" / f"{key}.safetensors", make)


class Judge:
    """Both networks of a contract with their answers on the source."""

    def __init__(self, known: Targets, segnet: nn.Module, posenet: nn.Module, contract: Contract) -> None:
        self.known, self.segnet, self.posenet = known, segnet, posenet
        self.formula = contract.formula
        self.byte_price = contract.formula.byte_price(contract.source.bytes)
        self._source_bytes = contract.source.bytes
        # Only for what a measured distortion is worth.
        self._scale = TrainConfig(
            stages=(Stage(name="none", steps=1),), source_bytes=contract.source.bytes, formula=contract.formula
        )

    def worth(self, found: Distortion, payload_bytes: int, *, pose: bool = True) -> Validation:
        """What a distortion at a size is worth; without `pose`, by SegNet and bytes alone."""
        return self._scale.validation(found, payload_bytes + ARCHIVE_BYTES, pose=pose)

    def measure(self, seen: Iterator[torch.Tensor], *, pose: bool = True) -> Distortion:
        """Distortion of every pair in order, from batches as the networks see them, float (n, 2, 3, h, w)."""
        return targets.measure(seen, self.known, self.segnet, self.posenet if pose else None)

    @torch.no_grad()
    def of_seen(self, seen: torch.Tensor, index: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(segnet, posenet) distortion of pairs, float64 (n,) each.

        Args:
            seen: float (n, 2, 3, h, w), as the networks see them.
            index: which pairs they stand for.
        """
        logits, pose = targets.answers(seen, self.known.size, self.segnet, self.posenet)
        chosen = torch.from_numpy(index)
        flips = losses.wrong(logits, self.known.classes[chosen].long())
        gap = losses.pose_distortion(pose.double(), self.known.pose[chosen].double())
        return flips.flatten(1).double().mean(dim=1).numpy(), gap.numpy()

    @torch.no_grad()
    def pose_of_seen(self, seen: torch.Tensor, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """PoseNet's distortion alone, float64 (n,); arguments as `of_seen`."""
        planes = preprocess.posenet_input(seen, self.known.size).contiguous(memory_format=torch.channels_last)
        target = self.known.pose[torch.from_numpy(index)].double()
        gap: NDArray[np.float64] = losses.pose_distortion(self.posenet(planes).double(), target).numpy()
        return gap

    def rule(self, before: Validation) -> Rule:
        """The rule of admission around what was measured before."""
        return Rule(formula=self.formula, source_bytes=self._source_bytes, posenet=before.posenet or 0.0)

    def change(self, before: Validation, after: Validation) -> float:
        """What a change costs by the rule of admission; it enters where this is below zero."""
        return self.rule(before).delta(
            segnet=after.segnet - before.segnet,
            posenet=(after.posenet or 0.0) - (before.posenet or 0.0),
            bits=8.0 * (after.n_bytes - before.n_bytes),
        )

    def pose_weight(self, posenet: float) -> float:
        """Slope of the score over one pair's pose distortion, times n_pairs, at this mean."""
        return 0.5 * float((self.formula.posenet / max(posenet, 1e-9)) ** 0.5)
