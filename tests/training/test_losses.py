"""Laws of the losses: each falls where the answer gets better, and its gradient says so."""

from __future__ import annotations

import itertools

import pytest
import torch

from lab.training import losses, rate, surgery

KINDS = losses.SEGMENTATION_LOSSES


def of(kind: str, logits: torch.Tensor, classes: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    return losses.segmentation(kind, logits, classes, reference, temperature=2.0, tau=0.3, gamma=2.0)


def drawn(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, the classes of a reference, and its logits."""
    generator = torch.Generator().manual_seed(seed)
    reference = 3.0 * torch.randn(2, 5, 6, 7, generator=generator)
    logits = reference + 2.0 * torch.randn(2, 5, 6, 7, generator=generator)
    return logits, reference.argmax(dim=1), reference


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_down_the_gradient_turns_answers_towards_the_reference(kind: str) -> None:
    logits, classes, reference = drawn()
    logits.requires_grad_(True)
    of(kind, logits, classes, reference).mean().backward()
    before = losses.margin(logits.detach(), classes).clamp(max=1.0).mean()
    after = losses.margin(logits.detach() - 20.0 * logits.grad, classes).clamp(max=1.0).mean()
    assert after > before


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_has_one_value_per_pixel(kind: str) -> None:
    logits, classes, reference = drawn()
    assert of(kind, logits, classes, reference).shape == classes.shape


def test_an_unknown_loss_is_refused_with_the_known_ones() -> None:
    logits, classes, reference = drawn()
    with pytest.raises(ValueError, match=r"cross-entropy.*'dice'"):
        of("dice", logits, classes, reference)


def test_the_margin_is_negative_exactly_where_the_answer_flips() -> None:
    logits, classes, _ = drawn()
    assert torch.equal(losses.margin(logits, classes) < 0, losses.wrong(logits, classes).bool())


def test_focal_straight_through_is_the_true_flip_rate_in_value() -> None:
    logits, classes, _ = drawn()
    found = losses.focal_straight_through(logits.requires_grad_(True), classes, 2.0)
    assert torch.equal(found.detach(), (logits.argmax(dim=1) != classes).float())
    found.sum().backward()
    # Also pixels that are right carry gradient: the value cannot, the focal cross-entropy does.
    right = ~losses.wrong(logits, classes).bool()
    assert logits.grad.abs().sum(dim=1)[right].min() > 0


def test_the_flip_rate_tends_to_the_true_one_as_it_sharpens() -> None:
    logits, classes, _ = drawn()
    true = losses.wrong(logits, classes).mean()
    assert abs(losses.flip_rate(logits, classes, 1e-4).mean() - true) < 1e-3
    assert abs(losses.flip_rate(logits, classes, 3.0).mean() - true) > 1e-3


def test_kl_is_zero_only_for_the_same_answer_and_keeps_its_gradient_over_temperatures() -> None:
    logits, _, reference = drawn()
    assert losses.kl(reference, reference, 2.0).abs().max() < 1e-6
    assert losses.kl(logits, reference, 2.0).min() >= -1e-6
    norms = []
    for temperature in (2.0, 20.0):
        x = logits.clone().requires_grad_(True)
        losses.kl(x, reference, temperature).sum().backward()
        norms.append(float(x.grad.norm()))
    assert 0.3 < norms[1] / norms[0] < 3.0


def test_an_error_boost_of_nine_counts_a_wrong_pixel_ten_times() -> None:
    classes = torch.tensor([[[0, 1], [2, 3]]])
    flips = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    weights = losses.pixel_weights(classes, flips, boost=9.0, class_weights=(1.0, 15.0, 1.0, 1.0, 1.0))
    assert weights is not None
    assert weights.tolist() == [[[10.0, 15.0], [1.0, 1.0]]]
    assert losses.weighted_mean(torch.ones(1, 2, 2), weights) == 27.0 / 4
    assert losses.pixel_weights(classes, flips, boost=0.0) is None


def test_pose_distortion_scores_six_outputs_and_its_root_has_a_gradient_at_zero() -> None:
    found = torch.zeros(2, 12)
    found[:, 6:] = 100.0
    assert losses.pose_distortion(found, torch.zeros(2, 12)).tolist() == [0.0, 0.0]
    at_zero = torch.zeros(3, requires_grad=True)
    losses.pose_term(at_zero, 10.0).backward()
    assert torch.isfinite(at_zero.grad).all()
    assert abs(float(losses.pose_term(torch.tensor([0.1, 0.3]), 10.0)) - 2.0**0.5) < 1e-6


def test_feature_distance_is_relative_to_the_reference() -> None:
    reference = [torch.full((2, 3), 4.0), torch.full((2, 3), 0.4)]
    off_by_half = [x * 0.5 for x in reference]
    assert abs(float(losses.feature_distance(off_by_half, reference)) - 0.25) < 1e-4
    with pytest.raises(ValueError, match="at least one layer"):
        losses.feature_distance([], [])


def test_laplace_bits_are_a_code_length() -> None:
    """The cells' probabilities of one law add up to one, so the estimate is what a coder could reach."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codes = torch.distributions.Laplace(0.0, 6.0).sample((4000,)).round().requires_grad_(True)
    bits = rate.laplace_bits(codes)
    _, counts = codes.detach().unique(return_counts=True)
    share = counts / counts.sum()
    entropy = float(-(counts * share.log2()).sum())
    assert 0.98 * entropy < float(bits.detach()) < 1.05 * entropy
    bits.backward()
    assert bool((codes.grad[codes.detach() > 1] > 0).all())


def test_laplace_bits_are_continuous_where_the_branches_meet() -> None:
    base = torch.tensor([3.0, -2.0, 1.0, 0.0])
    below, above = (float(rate.laplace_bits(torch.cat([base, torch.tensor([0.5 + e])]))) for e in (-1e-4, 1e-4))
    assert abs(below - above) < 1e-2


@pytest.mark.parametrize("seed", range(4))
def test_surgery_leaves_no_task_worse_off_than_its_own_projection(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    one, other = ([torch.randn(4, 3, generator=generator), torch.randn(5, generator=generator)] for _ in range(2))
    if surgery.dot(one, other) > 0:
        other = [-x for x in other]
    combined, conflict = surgery.combine([one, other])
    assert conflict
    for task in (one, other):
        assert surgery.dot(combined, task) >= -1e-4
    plain = [a + b for a, b in zip(one, other, strict=True)]
    assert not all(torch.allclose(a, b) for a, b in zip(plain, combined, strict=True))


def test_surgery_adds_gradients_that_agree() -> None:
    one = [torch.tensor([1.0, 0.0])]
    other = [torch.tensor([1.0, 1.0])]
    combined, conflict = surgery.combine([one, other])
    assert not conflict
    assert combined[0].tolist() == [2.0, 1.0]


def test_every_pair_of_losses_differs() -> None:
    """No name of the table is an alias of another."""
    logits, classes, reference = drawn()
    values = {kind: of(kind, logits, classes, reference) for kind in KINDS}
    for one, other in itertools.combinations(KINDS, 2):
        assert not torch.allclose(values[one], values[other]), (one, other)
