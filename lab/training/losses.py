"""What a decode loses in the eyes of the frozen networks, as quantities that can be minimized.

A segmentation loss maps logits to one value per pixel, so that weights (classes, errors, saliency) apply before the
mean. The margin of a pixel is the logit of the right class minus the largest other one: its answer flips where the
margin is negative.

References: G. Hinton et al., "Distilling the knowledge in a neural network", 2015 (temperature); T.-Y. Lin et al.,
"Focal loss for dense object detection", ICCV 2017; Y. Bengio et al., "Estimating or propagating gradients through
stochastic neurons", 2013 (straight-through).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from lab.training.quantize import straight_through

SCORED_POSE_OUTPUTS = 6
SEGMENTATION_LOSSES = ("cross-entropy", "kl", "agreement", "softplus", "hinge", "flip", "focal")
NEEDS_LOGITS = ("kl", "agreement")


def margin(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Logit of the right class minus the largest other, float (N, h, w).

    Args:
        logits: float (N, C, h, w).
        classes: int64 (N, h, w).
    """
    index = classes.unsqueeze(1)
    own = logits.gather(1, index).squeeze(1)
    other = logits.scatter(1, index, float("-inf")).amax(dim=1)
    return own - other


def cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to hard labels per pixel, float (N, h, w), nats."""
    return F.cross_entropy(logits, classes, reduction="none")


def kl(logits: torch.Tensor, reference: torch.Tensor, temperature: float) -> torch.Tensor:
    """Kullback-Leibler divergence from the reference's softened answer per pixel, float (N, h, w), nats.

    Args:
        logits, reference: float (N, C, h, w).
        temperature: softening; the result is multiplied by its square, so that gradients keep their size.
    """
    target = F.log_softmax(reference / temperature, dim=1)
    found = F.log_softmax(logits / temperature, dim=1)
    return (target.exp() * (target - found)).sum(dim=1) * temperature**2


def agreement(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """One minus the inner product of the two answers' probabilities per pixel, float (N, h, w), 0-1.

    Notes:
        The probability that two answers drawn from the two distributions differ.
    """
    return 1.0 - (logits.softmax(dim=1) * reference.softmax(dim=1)).sum(dim=1)


def softplus_margin(logits: torch.Tensor, classes: torch.Tensor, tau: float) -> torch.Tensor:
    """tau * softplus(-margin / tau): a hinge at zero margin with a rounded corner, float (N, h, w)."""
    return tau * F.softplus(-margin(logits, classes) / tau)


def hinge(logits: torch.Tensor, classes: torch.Tensor, width: float) -> torch.Tensor:
    """max(0, width - margin), float (N, h, w)."""
    return F.relu(width - margin(logits, classes))


def flip_rate(logits: torch.Tensor, classes: torch.Tensor, tau: float) -> torch.Tensor:
    """sigmoid(-margin / tau): a smooth count of flipped pixels, float (N, h, w), 0-1."""
    return torch.sigmoid(-margin(logits, classes) / tau)


def focal_straight_through(logits: torch.Tensor, classes: torch.Tensor, gamma: float) -> torch.Tensor:
    """The true flips in value, the focal cross-entropy in gradient, float (N, h, w).

    Notes:
        Focal cross-entropy is (1 - p)^gamma * -log p with p the probability of the right class.
    """
    log_p = F.log_softmax(logits, dim=1).gather(1, classes.unsqueeze(1)).squeeze(1)
    soft = (1.0 - log_p.exp()) ** gamma * -log_p
    return straight_through(soft, wrong(logits, classes))


def wrong(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """1 where the answer differs from the reference, else 0, float (N, h, w), without gradient."""
    return (logits.detach().argmax(dim=1) != classes).float()


def segmentation(
    kind: str,
    logits: torch.Tensor,
    classes: torch.Tensor,
    reference: torch.Tensor | None,
    *,
    temperature: float,
    tau: float,
    gamma: float,
) -> torch.Tensor:
    """The segmentation loss of this name per pixel, float (N, h, w).

    Args:
        reference: logits of the source, for the losses in NEEDS_LOGITS.

    Raises:
        ValueError: no loss of this name.
    """
    if kind in NEEDS_LOGITS:
        if reference is None:
            raise ValueError(f"the loss {kind!r} needs the reference logits of the source")
        return kl(logits, reference, temperature) if kind == "kl" else agreement(logits, reference)
    if kind == "cross-entropy":
        return cross_entropy(logits, classes)
    if kind == "softplus":
        return softplus_margin(logits, classes, tau)
    if kind == "hinge":
        return hinge(logits, classes, tau)
    if kind == "flip":
        return flip_rate(logits, classes, tau)
    if kind == "focal":
        return focal_straight_through(logits, classes, gamma)
    raise ValueError(f"segmentation loss must be one of {', '.join(SEGMENTATION_LOSSES)}, got {kind!r}")


def pixel_weights(
    classes: torch.Tensor,
    flips: torch.Tensor,
    *,
    boost: float,
    class_weights: Sequence[float] = (),
    saliency: torch.Tensor | None = None,
    alpha: float = 0.0,
) -> torch.Tensor | None:
    """What each pixel counts in the mean, float (N, h, w); None where all count one.

    Args:
        classes: int64 (N, h, w), the reference.
        flips: float (N, h, w), 1 where the answer is wrong.
        boost: how much more a wrong pixel counts: 9 gives it weight 10 (the published x9), 49 the published x49.
        class_weights: one weight per class, or empty.
        saliency: float (N, h, w) of mean one, or None.
        alpha: weight 1 + alpha * saliency.
    """
    weights: torch.Tensor | None = None
    if boost:
        weights = 1.0 + boost * flips
    if len(class_weights):
        table = torch.tensor(tuple(class_weights), dtype=torch.float32, device=classes.device)
        by_class = table[classes]
        weights = by_class if weights is None else weights * by_class
    if saliency is not None and alpha:
        by_saliency = 1.0 + alpha * saliency
        weights = by_saliency if weights is None else weights * by_saliency
    return weights


def weighted_mean(values: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Mean over all elements; with weights, their weighted sum over the number of elements.

    Notes:
        Not divided by the sum of weights: a boost must raise the loss, not redistribute it.
    """
    return values.mean() if weights is None else (values * weights).mean()


def pose_distortion(found: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the scored pose outputs per pair, float (N,)."""
    gap = found[:, :SCORED_POSE_OUTPUTS] - reference[:, :SCORED_POSE_OUTPUTS]
    return gap.square().mean(dim=1)


def pose_term(distortion: torch.Tensor, weight: float, floor: float = 1e-12) -> torch.Tensor:
    """sqrt(weight * mean distortion), as the score has it; `floor` keeps the gradient finite at zero."""
    return (weight * distortion.mean() + floor).sqrt()


def feature_distance(found: Sequence[torch.Tensor], reference: Sequence[torch.Tensor]) -> torch.Tensor:
    """Squared distance of features relative to the reference's energy, mean over layers."""
    if not found:
        raise ValueError("feature matching needs at least one layer")
    terms = [
        (one - other).square().mean() / (other.square().mean() + 1e-8)
        for one, other in zip(found, reference, strict=True)
    ]
    return torch.stack(terms).mean()
