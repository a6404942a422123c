"""What a payload is worth: written, parsed, decoded and shown to both frozen networks.

Only the encoder judges. The aligned up-sampler hands the networks exactly the decoder's rounded grid, so nothing is
resized for it; any other goes to camera size and back.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lab import custody
from lab.codecs.base import Monitor, SourceClip
from lab.codecs.implicit import decode
from lab.codecs.implicit import format as syntax
from lab.codecs.implicit.content import Content, Head
from lab.contract import Contract
from lab.evaluator import measure
from lab.training import losses, targets
from lab.training.config import TrainConfig
from lab.training.progress import Validation
from lab.training.quantize import round_pixels
from lab.training.schedule import Stage
from lab.training.targets import Distortion, Targets
from lab.video import resample

# Bytes of an archive around its one stored member: two headers with its name, and the directory's end.
ARCHIVE_BYTES = 108
_BATCH_PAIRS = 4


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
        # Only for what a measured distortion is worth.
        self._scale = TrainConfig(
            stages=(Stage(name="none", steps=1),), source_bytes=contract.source.bytes, formula=contract.formula
        )

    def validation(self, content: Content) -> Validation:
        """What a content is worth, from its payload."""
        payload = syntax.write(content).payload
        parsed = syntax.read(payload)
        found = self.measure(self.seen(frames, parsed.head) for frames in decode.rendered(parsed))
        return self.worth(found, len(payload))

    @staticmethod
    def payload_bytes(content: Content) -> int:
        """Size of a content's payload."""
        return len(syntax.write(content).payload)

    def worth(self, found: Distortion, payload_bytes: int) -> Validation:
        """What a distortion at a size is worth."""
        return self._scale.validation(found, payload_bytes + ARCHIVE_BYTES)

    def measure(self, seen: Iterator[torch.Tensor]) -> Distortion:
        """Distortion of every pair in order, from batches as the networks see them."""
        return targets.measure(seen, self.known, self.segnet, self.posenet)

    def seen(self, frames: torch.Tensor, head: Head) -> torch.Tensor:
        """Pairs as the networks see them, float (n, 2, 3, h, w), on the model grid.

        Args:
            frames: float (n, 2, 3, h, w), the decoder's, unrounded.
        """
        if head.up == "aligned":  # the evaluator's resize gives back exactly these
            return decode.rounded(frames).float()
        return targets.planes_of(np.stack(list(decode.enlarge(frames, head))), self.known.size)

    @torch.no_grad()
    def of_pairs(
        self, frames: torch.Tensor, head: Head, index: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(segnet, posenet) distortion of decoded pairs, float64 (n,) each.

        Args:
            frames: float (n, 2, 3, h, w), the decoder's, unrounded.
            index: which pairs they stand for.
        """
        logits, pose = targets.answers(self.seen(frames, head), self.known.size, self.segnet, self.posenet)
        chosen = torch.from_numpy(index)
        flips = losses.wrong(logits, self.known.classes[chosen].long())
        gap = losses.pose_distortion(pose.double(), self.known.pose[chosen].double())
        return flips.flatten(1).double().mean(dim=1).numpy(), gap.numpy()

    def slopes(self, content: Content, posenet: float, tau: float) -> torch.Tensor:
        """Gradient of a smooth score with respect to every latent, float (n_pairs, latent_dim).

        Args:
            posenet: mean distortion of the pose network, at which the score's root is linear.
            tau: width of the smooth count of flipped pixels, in logits.

        Notes:
            Times n_pairs: the gradient of each pair's own part.
        """
        decoder = decode.build(content)
        values = torch.from_numpy(content.latent_values())
        biases = torch.from_numpy(content.biases())
        weight = self.pose_weight(posenet)
        out = torch.zeros_like(values)
        for start in range(0, len(values), _BATCH_PAIRS):
            z = values[start : start + _BATCH_PAIRS].clone().requires_grad_()
            frames = decoder(z) + biases
            if content.head.up == "bicubic":
                frames = resample.bicubic(frames, content.head.size)
            logits, pose = targets.answers(round_pixels(frames), self.known.size, self.segnet, self.posenet)
            part = slice(start, start + len(z))
            flips = losses.flip_rate(logits, self.known.classes[part].long(), tau).flatten(1).mean(dim=1)
            loss = self.formula.segnet * flips + weight * losses.pose_distortion(pose, self.known.pose[part])
            (out[part],) = torch.autograd.grad(loss.sum(), z)
        return out

    def pose_weight(self, posenet: float) -> float:
        """Slope of the score over one pair's pose distortion, times n_pairs, at this mean."""
        return 0.5 * float((self.formula.posenet / max(posenet, 1e-9)) ** 0.5)
