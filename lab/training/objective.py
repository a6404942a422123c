"""What one step minimizes: the terms of a stage's loss on one batch, and how the two networks' terms are weighed.

Notes:
    Three weightings. "score" is the score itself with the batch in place of the clip: seg * L_seg + sqrt(pose * P).
    The root of a batch mean is noisy and biased, so "marginal" replaces it by its slope at the running mean,
    P * sqrt(pose / R) / 2, which is what one more pair really costs. "contribution" divides each task's loss by its
    running value and gives it its share of the running score; for the same surrogate that is the marginal weighting
    with pose counted twice.

References: the score's formula in the contract; the profile SHIRAZ for "contribution".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from lab.contract import Formula
from lab.training import losses
from lab.training.quantize import Scheme, round_pixels
from lab.training.schedule import Stage
from lab.training.targets import Targets, answers, some_answers

_MEMORY = 0.98
# (parameters by name, pairs of the batch) -> bits of the whole clip
OwnBits = Callable[[Mapping[str, torch.Tensor], torch.Tensor], torch.Tensor]


@dataclass(slots=True)
class Running:
    """Running means of what the batches measured; negative before the first."""

    segnet: float = -1.0
    posenet: float = -1.0
    seg_loss: float = -1.0

    def update(self, **values: float) -> None:
        """Take in what one batch measured."""
        for name, value in values.items():
            old = getattr(self, name)
            setattr(self, name, value if old < 0.0 else _MEMORY * old + (1.0 - _MEMORY) * value)

    def terms(self, formula: Formula) -> tuple[float, float]:
        """The two distortion terms of the running score."""
        return formula.segnet * max(self.segnet, 0.0), float((formula.posenet * max(self.posenet, 0.0)) ** 0.5)


@dataclass(slots=True, kw_only=True)
class Terms:
    """The loss of one batch: a part that each network owns, and all the rest; with values for the log."""

    segnet: torch.Tensor
    posenet: torch.Tensor
    other: torch.Tensor
    values: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> torch.Tensor:
        """The sum that is minimized."""
        return self.segnet + self.posenet + self.other


@dataclass(slots=True, kw_only=True)
class Objective:
    """The loss of a stage.

    Attributes:
        segnet, posenet: frozen networks.
        targets: reference answers.
        formula: of the contract.
        byte_price: score per byte; the rate term is bits / 8 times it.
        saliency: float (N, h, w) of mean one, or None.
        own_bits: bits that a model knows how to estimate of its own parameters, from all of them and the batch's pairs;
            charged in every stage that asks a network, on top of `rate`.
    """

    segnet: nn.Module
    posenet: nn.Module
    targets: Targets
    formula: Formula
    byte_price: float
    device: torch.device
    saliency: torch.Tensor | None = None
    own_bits: OwnBits | None = None
    running: Running = field(default_factory=Running)

    def terms(
        self,
        stage: Stage,
        frames: torch.Tensor,
        index: torch.Tensor,
        scheme: Scheme,
        weights: Mapping[str, torch.Tensor],
    ) -> Terms:
        """All terms of a batch.

        Args:
            frames: float (n, 2, 3, h, w), what the model made of the batch, 0-255, unrounded.
            index: int64 (n,), which pairs these are.
            weights: the model's parameters before quantization, for the rate term.
        """
        targets = self.targets
        shown = round_pixels(frames)
        classes = targets.classes[index].long().to(self.device)
        soft = stage.kl > 0.0 or stage.seg_loss in losses.NEEDS_LOGITS
        reference = targets.logits[index].float().to(self.device) if soft else None
        # PoseNet is asked only where something is made of its answer.
        posenet = self.posenet if stage.pose or stage.feature else None
        with _Taps(self.segnet, self.posenet, stage.feature > 0.0) as taps:
            logits, pose = some_answers(shown, targets.size, self.segnet, posenet)
            found = taps.take()
        flips = losses.wrong(logits, classes)
        per_pixel = losses.segmentation(
            stage.seg_loss, logits, classes, reference, temperature=stage.temperature, tau=stage.tau, gamma=stage.gamma
        )
        salient = None if self.saliency is None or not stage.alpha else self.saliency[index].to(self.device)
        weighting = losses.pixel_weights(
            classes, flips, boost=stage.boost, class_weights=stage.class_weights, saliency=salient, alpha=stage.alpha
        )
        seg_loss = losses.weighted_mean(per_pixel, weighting)
        self.running.update(segnet=float(flips.mean()), seg_loss=float(seg_loss.detach()))
        distortion = shown.new_zeros(len(index))
        if pose is not None:
            distortion = losses.pose_distortion(pose, targets.pose[index].to(self.device))
            self.running.update(posenet=float(distortion.detach().mean()))
        for_segnet, for_posenet = self._weigh(stage, seg_loss, distortion)
        if stage.kl and reference is not None:
            for_segnet = for_segnet + stage.kl * losses.kl(logits, reference, stage.temperature).mean()
        other, values = self._others(stage, shown, index, found, salient, scheme, weights)
        values |= {"seg_loss": float(for_segnet.detach()), "pose_loss": float(for_posenet.detach())}
        return Terms(segnet=for_segnet, posenet=for_posenet, other=other, values=values)

    def _weigh(
        self, stage: Stage, seg_loss: torch.Tensor, distortion: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        pose = distortion.mean()
        if stage.weighting == "contribution":
            seg_term, pose_term = self.running.terms(self.formula)
            total = max(seg_term + pose_term, 1e-9)
            return (
                stage.seg * seg_term / total * seg_loss / max(self.running.seg_loss, 1e-9),
                stage.pose * pose_term / total * pose / max(self.running.posenet, 1e-9),
            )
        if not stage.pose:
            return stage.seg * seg_loss, 0.0 * pose
        if stage.weighting == "marginal":
            slope = 0.5 * (stage.pose / max(self.running.posenet, 1e-9)) ** 0.5
            return stage.seg * seg_loss, slope * pose
        return stage.seg * seg_loss, losses.pose_term(distortion, stage.pose)

    def _others(
        self,
        stage: Stage,
        shown: torch.Tensor,
        index: torch.Tensor,
        found: list[torch.Tensor],
        salient: torch.Tensor | None,
        scheme: Scheme,
        weights: Mapping[str, torch.Tensor],
    ) -> tuple[torch.Tensor, dict[str, float]]:
        total = shown.new_zeros(())
        values: dict[str, float] = {}
        if stage.pixel or stage.feature:
            source = self.targets.frames[index].float().to(self.device)
        if stage.pixel:
            gap = (shown - source).abs()
            gap = gap if salient is None else gap * (1.0 + stage.alpha * salient)[:, None, None]
            term = stage.pixel * gap.mean()
            total, values["pixel_loss"] = total + term, float(term.detach())
        if stage.feature:
            with torch.no_grad(), _Taps(self.segnet, self.posenet, True) as taps:
                answers(source, self.targets.size, self.segnet, self.posenet)
                reference = taps.take()
            term = stage.feature * losses.feature_distance(found, reference)
            total, values["feature_loss"] = total + term, float(term.detach())
        if stage.rate:
            term = stage.rate * self.byte_price / 8.0 * scheme.rate_bits(weights, stage.law)
            total, values["rate_loss"] = total + term, float(term.detach())
        if self.own_bits is not None and (stage.seg or stage.pose):
            term = self.byte_price / 8.0 * self.own_bits(weights, index)
            total, values["rate_loss"] = total + term, values.get("rate_loss", 0.0) + float(term.detach())
        return total, values


class _Taps:
    """Listens to three inner layers of each network, evenly spaced, while it is open."""

    def __init__(self, segnet: nn.Module, posenet: nn.Module, active: bool) -> None:
        self._networks = (segnet, posenet) if active else ()
        self._heard: list[torch.Tensor] = []
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> _Taps:
        for network in self._networks:
            layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)][:-1]
            picked = {len(layers) * part // 4 for part in (1, 2, 3)} if layers else set()
            for at in sorted(picked):
                self._handles.append(layers[at].register_forward_hook(self._hear))
        return self

    def _hear(self, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        self._heard.append(output)

    def take(self) -> list[torch.Tensor]:
        """What was heard since last taken, in order."""
        heard, self._heard = self._heard, []
        return heard

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
