"""The clip repeats to the byte and shows what a drive shows."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from lab.drive import clip
from lab.drive.build import SEED, clip_seed
from lab.drive.scene import Scene

Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def scene() -> Scene:
    """The shipped clip's scene."""
    return clip.compose(clip_seed(SEED))


@pytest.fixture(scope="module")
def painted(scene: Scene) -> list[tuple[Frames, Frames]]:
    """Two frames of it."""
    return [clip.paint_clip_frame(scene, clip_seed(SEED), number) for number in (30, 170)]


def test_a_frame_repeats(scene: Scene, painted: list[tuple[Frames, Frames]]) -> None:
    frame, label = clip.paint_clip_frame(clip.compose(clip_seed(SEED)), clip_seed(SEED), 170)
    assert np.array_equal(frame, painted[1][0])
    assert np.array_equal(label, painted[1][1])


def test_all_five_classes_are_in_sight(painted: list[tuple[Frames, Frames]]) -> None:
    share = np.bincount(np.stack([label for _, label in painted]).ravel(), minlength=5) / (2 * painted[0][1].size)
    road, line, undrivable, movable, own = share
    assert road > 0.15
    assert line > 0.003
    assert undrivable > 0.3
    assert movable > 0.01
    assert 0.12 < own < 0.27


def test_the_shipped_clip_is_this_clip(painted: list[tuple[Frames, Frames]]) -> None:
    path = Path(clip.__file__).parents[1] / "contracts" / "minidrive" / "0.mkv"
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == clip.N_FRAMES
    for number, (frame, _) in zip((30, 170), painted, strict=True):
        noise = (frames[number].astype(float) - frame).reshape(-1)
        assert np.sqrt((noise**2).mean()) < 8.0


def test_encoding_repeats_to_the_byte(tmp_path: Path, painted: list[tuple[Frames, Frames]]) -> None:
    for name in ("a.mkv", "b.mkv"):
        clip.encode([frame for frame, _ in painted], tmp_path / name)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_the_drive_changes_speed_light_and_lanes(scene: Scene) -> None:
    poses = clip.poses(scene)
    assert poses.shape == (150, 6)
    assert 12 < poses[:, 0].min() < poses[:, 0].max() < 36
    assert np.ptp(poses[:, 0]) > 2.0
    assert clip.light(scene.look, 14.9).sun[2] < 0.8 * clip.light(scene.look, 0.0).sun[2]
    start, end = scene.cars(0.0), scene.cars(10.0)
    assert any(car[11] > 0 for t in np.arange(0, 15, 0.5) for car in scene.cars(float(t)))  # somebody brakes
    assert start.shape == end.shape
