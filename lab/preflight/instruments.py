"""Preflight of the networks: frozen, exact, alive, and silent about nothing.

The traps are public history: gradients that a no-grad conversion zeroes, stale answers of an earlier source, networks
left in training mode.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lab.evaluator import measure, preprocess
from lab.preflight.subject import Subject, refuse

# Answers of another batch size differ in the last bits of fp32.
ANSWER_TOLERANCE = 1e-3


def _seen(subject: Subject) -> torch.Tensor:
    """The first pairs as planes, float (N, 2, 3, H, W)."""
    return preprocess.to_planes(torch.from_numpy(subject.pairs)).float()


def _answers(subject: Subject, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    segnet, posenet = subject.networks
    grid = subject.contract.model_size
    return segnet(preprocess.segnet_input(seen, grid)), posenet(preprocess.posenet_input(seen, grid))


def _plain(subject: Subject) -> tuple[torch.Tensor, torch.Tensor]:
    def answer() -> tuple[torch.Tensor, torch.Tensor]:
        with torch.inference_mode():
            return _answers(subject, _seen(subject))

    return subject.observe("answers", answer)


def networks_are_frozen(subject: Subject) -> str:
    """No weight of a network asks for a gradient."""
    loose = sum(weight.requires_grad for network in subject.networks for weight in network.parameters())
    if loose:
        raise refuse("networks", expected="frozen weights", found=f"{loose} that would train")
    return f"{sum(weight.numel() for network in subject.networks for weight in network.parameters()):,} weights"


def networks_are_in_evaluation_mode(subject: Subject) -> str:
    """No part of a network is in training mode."""
    training = sum(part.training for network in subject.networks for part in network.modules())
    if training:
        raise refuse("networks", expected="evaluation mode", found=f"{training} parts in training mode")
    return "evaluation mode"


def networks_are_full_precision(subject: Subject) -> str:
    """Every weight is a 32-bit float."""
    kinds = {str(weight.dtype) for network in subject.networks for weight in network.parameters()}
    if kinds != {"torch.float32"}:
        raise refuse("networks", expected="torch.float32", found=", ".join(sorted(kinds)) or "no weights")
    return "fp32"


def weights_are_finite(subject: Subject) -> str:
    """No weight is infinite or not a number."""
    wrong = sum(not bool(torch.isfinite(weight).all()) for net in subject.networks for weight in net.parameters())
    if wrong:
        raise refuse("networks", expected="finite weights", found=f"{wrong} tensors with others")
    return "finite"


def segnet_answers_on_its_grid(subject: Subject) -> str:
    """SegNet gives one score per class and pixel of the model grid."""
    shape = tuple(_plain(subject)[0].shape[1:])
    wanted = (len(subject.contract.classes), *subject.contract.model_size)
    if shape != wanted:
        raise refuse("SegNet", expected=str(wanted), found=shape)
    return str(shape)


def posenet_answers_enough(subject: Subject) -> str:
    """PoseNet gives at least the outputs that are scored."""
    count = int(_plain(subject)[1].shape[1])
    if count < measure.SCORED_POSE_OUTPUTS:
        raise refuse("PoseNet", expected=f"{measure.SCORED_POSE_OUTPUTS} outputs", found=count)
    return f"{count} outputs"


def answers_are_finite(subject: Subject) -> str:
    """Both networks answer the source with finite numbers."""
    if not all(bool(torch.isfinite(answer).all()) for answer in _plain(subject)):
        raise refuse("answers", expected="finite numbers", found="others")
    return "finite"


def answers_repeat(subject: Subject) -> str:
    """The same pairs get the same answers, bit for bit."""
    with torch.inference_mode():
        again = _answers(subject, _seen(subject))
    if not all(torch.equal(one, other) for one, other in zip(_plain(subject), again, strict=True)):
        raise refuse("answers", expected="the same twice", found="others", fix="a network draws random numbers")
    return "the same twice"


def segnet_sees_more_than_one_class(subject: Subject) -> str:
    """SegNet finds at least two classes on the source."""
    found = sorted(set(_plain(subject)[0].argmax(1).flatten().tolist()))
    if len(found) < 2:
        raise refuse("SegNet", expected="two classes or more", found=found, fix="is the input 0-255 RGB?")
    return f"{len(found)} classes"


def posenet_hears_a_difference(subject: Subject) -> str:
    """PoseNet answers a damaged pair differently."""
    with torch.inference_mode():
        damaged = _answers(subject, 255.0 - _seen(subject))[1]
    if torch.allclose(damaged, _plain(subject)[1]):
        raise refuse("PoseNet", expected="another answer to another picture", found="the same")
    return "different"


def _gradient(subject: Subject, network: int) -> torch.Tensor:
    seen = _seen(subject)[:1].clone().requires_grad_()
    answer = _answers(subject, seen)[network]
    if not answer.requires_grad:
        raise refuse("gradient", expected="one", found="none", fix="something on the way runs without gradients")
    (gradient,) = torch.autograd.grad(answer.square().mean(), seen, allow_unused=True)
    if gradient is None:
        raise refuse("gradient", expected="one", found="none", fix="something on the way runs without gradients")
    return gradient


def gradients_reach_both_frames_through_posenet(subject: Subject) -> str:
    """A loss on PoseNet moves both frames of a pair."""
    sizes = [float(_gradient(subject, 1)[:, frame].abs().max()) for frame in range(2)]
    if not all(size > 0 for size in sizes):
        raise refuse("PoseNet gradient", expected="above 0 on both frames", found=sizes, fix="see preprocess.py")
    return ", ".join(f"{size:.2e}" for size in sizes)


def gradients_reach_the_last_frame_through_segnet(subject: Subject) -> str:
    """A loss on SegNet moves the last frame of a pair, and the first not at all."""
    first, last = (float(_gradient(subject, 0)[:, frame].abs().max()) for frame in range(2))
    if not (last > 0 and first == 0):
        raise refuse("SegNet gradient", expected="above 0 on the last frame only", found=(first, last))
    return f"{last:.2e}"


def preprocessing_is_the_contests(subject: Subject) -> str:
    """SegNet's input is a bilinear resize of the last frame without antialiasing, and nothing else."""
    seen = _seen(subject)
    ours = preprocess.segnet_input(seen, subject.contract.model_size)
    plain = F.interpolate(seen[:, -1], size=subject.contract.model_size, mode="bilinear", align_corners=False)
    gap = float((ours - plain).abs().max())
    if not gap <= ANSWER_TOLERANCE:
        raise refuse("SegNet input", expected=f"within {ANSWER_TOLERANCE} of torch's own resize", found=gap)
    return f"within {gap:.1e} grey levels"


def _as_answers(subject: Subject, answers: tuple[torch.Tensor, torch.Tensor]) -> measure.Answers:
    classes, pose = answers
    return measure.Answers(classes=classes.argmax(1).to(torch.uint8).numpy(), pose=pose.float().numpy())


def distortion_of_the_source_is_nothing(subject: Subject) -> str:
    """The source compared with itself has no distortion."""
    own = _as_answers(subject, _plain(subject))
    found = measure.compare(own, own)
    if found.segnet != 0.0 or found.posenet != 0.0:
        raise refuse("distortion", expected="0 of both kinds", found=(found.segnet, found.posenet))
    return "0 and 0"


def distortion_of_damage_is_something(subject: Subject) -> str:
    """Damage to the picture is measured as distortion of both kinds."""
    with torch.inference_mode():
        damaged = _answers(subject, 255.0 - _seen(subject))
    found = measure.compare(_as_answers(subject, _plain(subject)), _as_answers(subject, damaged))
    if not (found.segnet > 0.0 and found.posenet > 0.0):
        raise refuse("distortion", expected="above 0 of both kinds", found=(found.segnet, found.posenet))
    return f"{found.segnet:.3g} and {found.posenet:.3g}"


def kept_answers_are_fresh(subject: Subject) -> str:
    """Reference answers in the cache are what the networks say now."""
    evaluator = measure.Evaluator(subject.contract, axis="cpu", cache=subject.cache)
    path: Any = subject.cache / "answers" / f"{evaluator._answers_key()}.npz"
    if not path.is_file():
        return "none kept"
    kept = evaluator.reference(lambda *_: None)
    fresh = _as_answers(subject, _plain(subject))
    count = len(fresh.pose)
    differing = float((kept.classes[:count] != fresh.classes).mean())
    gap = float(np.abs(kept.pose[:count] - fresh.pose).max())
    if len(kept.pose) != subject.contract.n_pairs or differing > ANSWER_TOLERANCE or not gap <= ANSWER_TOLERANCE:
        raise refuse(
            "cache", expected="answers of today", found=f"{differing:.1%} other pixels", fix="delete .cache/answers"
        )
    return f"{len(kept.pose)} pairs"


CHECKS = (
    networks_are_frozen,
    networks_are_in_evaluation_mode,
    networks_are_full_precision,
    weights_are_finite,
    segnet_answers_on_its_grid,
    posenet_answers_enough,
    answers_are_finite,
    answers_repeat,
    segnet_sees_more_than_one_class,
    posenet_hears_a_difference,
    gradients_reach_both_frames_through_posenet,
    gradients_reach_the_last_frame_through_segnet,
    preprocessing_is_the_contests,
    distortion_of_the_source_is_nothing,
    distortion_of_damage_is_something,
    kept_answers_are_fresh,
)
