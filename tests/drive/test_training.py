"""Training repeats, resumes to the same weights, and a whole small build gives the same digests twice."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch

from lab import contract
from lab.drive import ahead, build, bursts, dataset, training, workers
from lab.drive.bursts import Bursts
from lab.drive.dataset import Pairs
from lab.drive.motion import OUTPUT_UNITS
from lab.drive.training import Plan
from lab.errors import TrainingError
from lab.evaluator.preprocess import posenet_input, to_planes

TINY = Plan(steps=4, batch=2, rate=1e-3, warmup=2, save_every=2)


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Two drives at the model grid."""
    return dataset.paint_pairs(range(400, 402), (192, 256))


@pytest.fixture(scope="module")
def moments() -> Bursts:
    """Bursts of one drive at the model grid."""
    return bursts.paint_bursts(range(410, 411), (192, 256))


@pytest.mark.parametrize("name", ["segnet", "posenet"])
def test_a_run_cut_short_ends_with_the_same_weights(
    name: str, pairs: Pairs, moments: Bursts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(folder: str) -> dict[str, torch.Tensor]:
        cache = tmp_path / folder
        cache.mkdir(exist_ok=True)
        if name == "segnet":
            return training.train_segnet(pairs, seed=4, cache=cache, plan=TINY)
        return training.train_posenet(moments, seed=4, cache=cache, plan=TINY)

    whole = train("whole")
    loss = getattr(training, f"_{name}_loss")
    calls = iter(range(100))

    def fails_at_the_fourth(outputs: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        if next(calls) == 3:
            raise KeyboardInterrupt
        result: torch.Tensor = loss(outputs, truth)
        return result

    monkeypatch.setattr(training, f"_{name}_loss", fails_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        train("cut")
    assert torch.load(next((tmp_path / "cut").glob("*.pt")), weights_only=True)["step"] == 2
    monkeypatch.setattr(training, f"_{name}_loss", loss)
    resumed = train("cut")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_the_learning_rate_warms_up_and_comes_down() -> None:
    plan = Plan(steps=1000, batch=1, rate=1e-3, warmup=100)
    assert plan.rate_at(0) == pytest.approx(1e-5)
    assert plan.rate_at(100) > 0.95e-3
    assert plan.rate_at(999) < 2e-5


def test_perfect_answers_have_perfect_figures(pairs: Pairs) -> None:
    class Oracle(torch.nn.Module):
        """Answers the truth, pair by pair in order."""

        def __init__(self, answers: torch.Tensor) -> None:
            super().__init__()
            self.answers, self.at = answers, 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.at += len(x)
            return self.answers[self.at - len(x) : self.at]

    logits = torch.nn.functional.one_hot(torch.from_numpy(pairs.classes[:, 1].astype(np.int64)), 5).movedim(-1, 1)
    assert np.allclose(training.class_iou(Oracle(logits.float()), pairs), 1.0)
    poses = torch.cat([torch.from_numpy(pairs.poses) / torch.tensor(OUTPUT_UNITS)] * 2, 1)
    r2, rmse = training.pose_r2(Oracle(poses), pairs)
    assert np.allclose(r2, 1.0)
    assert np.allclose(rmse, 0.0, atol=1e-5)
    assert (training.pose_r2(Oracle(torch.zeros_like(poses)), pairs)[0] < 1e-6).all()


def test_planes_of_training_are_those_of_the_evaluator(moments: Bursts) -> None:
    frames = moments.frames[:, :2]
    expected = posenet_input(to_planes(torch.from_numpy(frames)), (192, 256))
    found = training.pose_planes(frames)
    assert found.shape == expected.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_maker_of_batches_that_dies_is_named() -> None:
    def make(step: int) -> tuple[np.ndarray]:
        if step == 2:
            raise SystemExit(3)
        return (np.full(2, step),)

    with ahead.ahead(make, range(5)) as batches:
        assert [next(batches)[0][0] for _ in range(2)] == [0, 1]
        with pytest.raises(TrainingError, match=r"batch of step 2.*exit code 3"):
            next(batches)


def test_a_training_that_dies_is_named_while_another_is_waited_for(tmp_path: Path) -> None:
    with workers.Trainings() as trainings:
        trainings.start("posenet", [tmp_path / "missing.npz"], 1, tmp_path, TINY)
        with pytest.raises(TrainingError, match=r"training of posenet.*exit code 1"):
            trainings.wait(lambda *_: None)
        trainings.start("segnet", [tmp_path / "missing.npz"], 1, tmp_path, TINY)
        with pytest.raises(TrainingError, match="training of posenet"):
            trainings.wait(lambda *_: None, "segnet")


def test_batches_come_in_order_and_a_block_left_early_leaves_no_process() -> None:
    before = set(multiprocessing.active_children())
    with ahead.ahead(lambda step: (np.full(1, step),), range(40, 1000)) as batches:
        assert [int(next(batches)[0][0]) for _ in range(9)] == list(range(40, 49))
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.slow
def test_two_small_builds_agree_to_the_digest(tmp_path: Path) -> None:
    effort = build.Effort(
        shards=1, burst_shards=1, held_out_shards=1, drives=1, n_frames=4, part_frames=2, segnet=TINY, posenet=TINY
    )  # fmt: skip
    first = build.build(tmp_path / "a", seed=5, cache=tmp_path / "ca", effort=effort, workers=2)
    second = build.build(
        tmp_path / "b", seed=5, cache=tmp_path / "cb", effort=effort, workers=1, compare_to=tmp_path / "a"
    )
    assert first.digests == second.digests
    assert second.agrees
    assert second.same == dict.fromkeys(build.FILES, True)
    text = (tmp_path / "a" / "contract.toml").read_text(encoding="utf-8")
    made = contract.parse(text, tmp_path / "a", "tiny build")
    assert made.n_pairs == 2
    assert made.networks["segnet"].sha256 == first.digests["segnet.safetensors"]
