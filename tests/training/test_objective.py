"""Laws of the objective: both networks' gradients arrive, and weightings say what the score says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rooms
import torch

from lab.codecs.filtered.model import build_postfilter
from lab.contract import Formula
from lab.evaluator import preprocess
from lab.training import sensitivity, targets
from lab.training.objective import Objective
from lab.training.quantize import Scheme
from lab.training.schedule import Stage

FORMULA = Formula(segnet=100.0, posenet=10.0, rate=25.0)
STAGE = Stage(name="fit", steps=1)


def objective(**options: object) -> Objective:
    segnet, posenet = rooms.networks()
    return Objective(
        segnet=segnet,
        posenet=posenet,
        targets=rooms.reference(),
        formula=FORMULA,
        byte_price=1e-5,
        device=torch.device("cpu"),
        **options,  # type: ignore[arg-type]
    )


def terms(stage: Stage, frames: torch.Tensor, made: Objective | None = None) -> object:
    model = build_postfilter("standard", hidden=4)
    weights = dict(model.named_parameters())
    scheme = Scheme("int8-channel", {name: tuple(value.shape) for name, value in weights.items()})
    return (made or objective()).terms(stage, frames, torch.arange(len(frames)), scheme, weights)


def damaged() -> torch.Tensor:
    return targets.planes_of(rooms.damaged(), rooms.GRID)


def test_posenet_gradients_reach_both_frames_through_the_preprocessing() -> None:
    """The public evaluator's own conversion loses them silently; five published entries trained on nothing."""
    frames = damaged().requires_grad_(True)
    terms(STAGE, frames).posenet.backward()
    per_frame = frames.grad.abs().flatten(2).sum(dim=2)
    assert per_frame.shape == (rooms.N_PAIRS, 2)
    assert float(per_frame.min()) > 0.0
    assert torch.count_nonzero(frames.grad) > 0.5 * frames.numel()


def test_segnet_gradients_reach_the_last_frame_only() -> None:
    frames = damaged().requires_grad_(True)
    terms(STAGE, frames).segnet.backward()
    assert float(frames.grad[:, 0].abs().max()) == 0.0
    assert float(frames.grad[:, 1].abs().min(dim=0).values.max()) > 0.0


def test_training_reads_frames_as_the_evaluator_does_to_the_bit() -> None:
    """Camera frames through the evaluator's own chain give the very logits and poses that targets hold."""
    segnet, posenet = rooms.networks()
    camera = torch.from_numpy(rooms.source()).repeat_interleave(3, dim=2).repeat_interleave(3, dim=3)
    planes = preprocess.to_planes(camera)
    pose = posenet(preprocess.posenet_input(planes, rooms.GRID))
    logits = segnet(preprocess.segnet_input(planes, rooms.GRID))
    found = targets.compute(list(camera.numpy()), rooms.GRID, segnet, posenet)
    assert torch.equal(found.classes, logits.argmax(dim=1).to(torch.uint8))
    assert torch.allclose(found.pose, pose, atol=1e-5)


def test_the_terms_of_the_plain_weighting_are_those_of_the_score() -> None:
    stage = replace(STAGE, seg_loss="focal")
    made = objective()
    found = terms(stage, damaged(), made)
    segnet, posenet = rooms.networks()
    true = targets.measure([damaged().round()], rooms.reference(), segnet, posenet)
    score = FORMULA.score(segnet=true.segnet, posenet=true.posenet, archive_bytes=1, source_bytes=10**9)
    assert abs(found.segnet.item() - score.segnet_term) < 1e-4
    assert abs(found.posenet.item() - score.posenet_term) < 1e-4
    assert abs(sum(made.running.terms(FORMULA)) - score.total) < 1e-4


def test_the_marginal_weighting_has_the_slope_of_the_score() -> None:
    made = objective()
    terms(replace(STAGE, seg_loss="focal"), damaged(), made)
    frames = damaged().requires_grad_(True)
    slope = terms(replace(STAGE, weighting="marginal"), frames, made).posenet
    plain = damaged().requires_grad_(True)
    root = terms(replace(STAGE, weighting="score"), plain, objective()).posenet
    slope.backward()
    root.backward()
    # At the running mean both are derivatives of the same root.
    assert torch.allclose(frames.grad, plain.grad, rtol=1e-3, atol=1e-9)


def test_the_contribution_weighting_shares_by_the_score() -> None:
    made = objective()
    found = terms(replace(STAGE, weighting="contribution", seg=1.0, pose=1.0), damaged(), made)
    seg_term, pose_term = made.running.terms(FORMULA)
    assert abs(found.segnet.item() - seg_term / (seg_term + pose_term)) < 1e-5
    assert abs(found.posenet.item() - pose_term / (seg_term + pose_term)) < 1e-5


def test_further_terms_appear_only_when_asked_for() -> None:
    found = terms(STAGE, damaged())
    assert found.other.item() == 0.0
    found = terms(replace(STAGE, pixel=1.0, feature=1.0, rate=1.0), damaged())
    assert {"pixel_loss", "feature_loss", "rate_loss"} <= set(found.values)
    assert found.other.item() == pytest.approx(sum(found.values[f"{k}_loss"] for k in ("pixel", "feature", "rate")))
    source = targets.planes_of(rooms.source(), rooms.GRID)
    at_home = terms(replace(STAGE, pixel=1.0, feature=1.0), source)
    assert at_home.values["pixel_loss"] == 0.0
    assert at_home.values["feature_loss"] < 1e-9


def test_saliency_weighs_pixels_by_where_the_networks_look() -> None:
    segnet, posenet = rooms.networks()
    found = sensitivity.of(rooms.reference(), segnet, posenet)
    saliency = found.saliency()
    assert saliency.shape == (rooms.N_PAIRS, *rooms.GRID)
    assert abs(float(saliency.mean()) - 1.0) < 1e-4
    plain = terms(replace(STAGE, pixel=1.0), damaged()).values["pixel_loss"]
    weighted = terms(replace(STAGE, pixel=1.0, alpha=5.0), damaged(), objective(saliency=saliency)).values["pixel_loss"]
    assert weighted > 2.0 * plain
