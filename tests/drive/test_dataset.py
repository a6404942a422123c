"""Painted pairs repeat from their seed, hold all five classes, and wear keeps what labels mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab.drive import augment, bursts, dataset
from lab.drive.dataset import Pairs
from lab.drive.motion import Nudge, nudged, pose_change

SIZE = (96, 128)


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Four small drives."""
    return dataset.paint_pairs(range(300, 304), SIZE)


def test_a_seed_paints_the_same_bytes_twice(pairs: Pairs) -> None:
    again = dataset.paint_pairs(range(302, 303), SIZE)
    n = dataset.PAIRS_PER_DRIVE
    assert np.array_equal(again.frames, pairs.frames[2 * n : 3 * n])
    assert np.array_equal(again.classes, pairs.classes[2 * n : 3 * n])
    assert np.array_equal(again.poses, pairs.poses[2 * n : 3 * n])


def test_every_class_is_drawn(pairs: Pairs) -> None:
    share = np.bincount(pairs.classes.ravel(), minlength=5) / pairs.classes.size
    assert len(share) == 5
    assert (share > 0.002).all()


def test_sky_is_undrivable_and_the_bottom_is_bonnet_or_road(pairs: Pairs) -> None:
    top, bottom = pairs.classes[:, :, 2], pairs.classes[:, :, -2]
    assert (top >= 2).all()
    assert np.isin(bottom, (0, 1, 2, 4)).mean() > 0.95
    assert (bottom == 4).any()


def test_frames_use_the_range_of_a_picture(pairs: Pairs) -> None:
    assert pairs.frames.std() > 30
    assert 40 < pairs.frames.mean() < 215


def test_a_shard_is_painted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dataset.paint_shard(tmp_path, 900, (48, 64), drives=1)
    monkeypatch.setattr(dataset, "paint_pairs", lambda *_: pytest.fail("painted again"))
    assert dataset.paint_shard(tmp_path, 900, (48, 64), drives=1) == path
    assert len(dataset.load_shards([path, path])) == 2 * dataset.PAIRS_PER_DRIVE


def test_every_two_frames_of_a_burst_are_a_pair_with_its_own_motion() -> None:
    drawn = bursts.paint_bursts(range(500, 502), (48, 64))
    assert drawn.frames.shape == (4, 4, 48, 64, 3)
    assert drawn.poses.shape == (4, 6, 6)
    speed = drawn.poses[..., 0]
    column = {pair: k for k, pair in enumerate(bursts.PAIRS)}
    whole, parts = speed[:, column[0, 3]], sum(speed[:, column[k, k + 1]] for k in range(3))
    assert np.allclose(whole, parts, rtol=0.05, atol=0.3)  # ways add up, whatever the nudges
    assert (speed[:, column[0, 3]] >= speed[:, column[0, 1]] - 0.3).all()
    assert np.ptp(drawn.poses[..., 1]) > 3.0


def test_a_nudge_changes_the_motion_by_itself() -> None:
    view = (np.array([1.0, 1.3, 5.0]), np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]]))
    nudge = Nudge(yaw=0.01, pitch=0.0, roll=0.0, right=0.02, down=-0.01)
    pose = pose_change(view, nudged(view, nudge), 0.05)
    assert np.allclose(pose, [0, np.degrees(0.01) / 0.05, 0, 0, 0.4, 0.2], atol=1e-9)


def test_no_car_stands_in_the_camera() -> None:
    for seed in range(40):
        scene = dataset.draw_scene(np.random.default_rng(seed))
        for t in (0.0, 2.0, dataset.SPAN_S):
            for vehicle in scene.traffic:
                s, d = vehicle.at(t)
                apart = abs(s - scene.drive.along(t)) - vehicle.size[0] / 2
                assert apart > 3.0 or abs(d - scene.drive.across(t)) > 1.8


def test_wear_repeats_from_its_generator_and_treats_both_frames_alike(pairs: Pairs) -> None:
    pool = augment.noise_pool(1)
    once, twice = (augment.wear(pairs.frames[0], np.random.default_rng(5), pool) for _ in range(2))
    assert np.array_equal(once, twice)
    assert once.shape == pairs.frames[0].shape
    assert once.dtype == np.uint8
    changed = [augment.wear(pairs.frames[0], np.random.default_rng(s), pool) for s in range(20)]
    shift = [frames.reshape(2, -1).mean(1) for frames in changed]
    assert max(abs(a - b) for a, b in shift) < 12.0  # the same curve for both frames of a pair
    assert np.std([a for a, _ in shift]) > 5.0  # and another curve for another pair


def test_reframing_moves_labels_with_the_picture(pairs: Pairs) -> None:
    classes = pairs.classes[0, 0]
    coded = np.repeat(classes[..., None] * 50, 3, axis=-1).astype(np.uint8)
    for seed in range(12):
        picture, labels = augment.reframe(coded, classes, np.random.default_rng(seed))
        assert picture.shape == coded.shape
        assert (np.abs(picture[..., 0] / 50.0 - labels) < 0.5).mean() > 0.96
