"""The drawn world is rigid: lane lines lie where they are labelled, and the ground moves as the pose says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lab.drive import dataset
from lab.drive.look import Lens
from lab.drive.motion import camera, draw_drive, pose_change
from lab.drive.painter import paint_instant
from lab.drive.road import lay_path, locate, place
from lab.drive.scene import Scene

SIZE = (192, 256)
DT = 1.0 / dataset.FPS


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A drawn drive with some speed and without a car close ahead."""
    for seed in range(60, 90):
        found = dataset.draw_scene(np.random.default_rng(seed))
        if found.drive.speed_m_s > 15 and found.look.texture > 0.5 and found.look.light > 1.0:
            return replace(found, traffic=())
    raise AssertionError("no seed gives a fast drive by day")


def project(scene: Scene, view: tuple[np.ndarray, np.ndarray], point: np.ndarray) -> tuple[float, float]:
    """Column and row of a world point."""
    eye, rot = view
    right, down, forward = rot.T @ (point - eye)
    focal = scene.lens.focal * SIZE[1]
    return focal * right / forward + SIZE[1] * 0.5, focal * down / forward + SIZE[0] * 0.44


def test_road_coordinates_invert() -> None:
    path = lay_path(np.random.default_rng(3), 600.0, 0.004)
    for s, d in [(50.0, 0.0), (120.3, -5.4), (310.7, 7.2), (480.2, 3.3)]:
        x, z, _, _ = place(path, s, d)
        found = locate(path, x, z, s + 2.0)
        assert np.allclose(found, (s, d), atol=0.02)


def test_heading_is_the_direction_of_the_path() -> None:
    path = lay_path(np.random.default_rng(4), 400.0, 0.005)
    steps = np.diff(path[:, :2], axis=0)
    assert np.allclose(np.hypot(steps[:, 0], steps[:, 1]), 0.5, atol=1e-9)
    assert np.allclose(path[:, 2] ** 2 + path[:, 3] ** 2, 1.0)


def test_straight_motion_reads_as_speed_alone() -> None:
    rot = np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]])
    first, second = (np.array([0.0, 1.3, 0.0]), rot), (np.array([0.0, 1.3, 1.25]), rot)
    assert np.allclose(pose_change(first, second, DT), [25.0, 0, 0, 0, 0, 0])


def test_turning_right_is_positive_yaw() -> None:
    def turned(angle: float) -> tuple[np.ndarray, np.ndarray]:
        c, s = math.cos(angle), math.sin(angle)
        return np.zeros(3), np.array([[c, 0, s], [0, -1, 0], [-s, 0, c]])

    pose = pose_change(turned(0.0), turned(math.radians(0.5)), DT)
    assert np.allclose(pose, [0, 10.0, 0, 0, 0, 0], atol=1e-9)


def test_speed_label_is_the_derivative_of_the_way() -> None:
    rng = np.random.default_rng(8)
    drive = draw_drive(rng, start_m=100.0, speed_m_s=24.0, rough=0.0, change_m=0.0)
    path = lay_path(rng, 600.0, 0.0)
    lens = Lens(focal=0.9, height_m=1.3, pitch=0.0, yaw=0.0, roll=0.0, exposure=1.0)
    first, second = camera(drive, lens, path, 2.0), camera(drive, lens, path, 2.0 + DT)
    assert pose_change(first, second, DT)[0] == pytest.approx(drive.speed(2.0 + DT / 2), rel=2e-3)


def test_pose_predicts_the_flow_of_ground_points(scene: Scene) -> None:
    first, second = (camera(scene.drive, scene.lens, scene.path, t) for t in (1.0, 1.0 + DT))
    forward, yaw, pitch, roll, right, up = pose_change(first, second, DT)
    shift = np.array([right, -up, forward]) * DT
    yaw, pitch, roll = np.radians([yaw, pitch, roll]) * DT
    turn = np.array([[1, -roll, yaw], [roll, 1, pitch], [-yaw, -pitch, 1]])  # small angles
    s = scene.drive.along(1.0)
    for ahead, d in [(8.0, -1.5), (12.0, 2.0), (25.0, 0.0), (60.0, -3.0)]:
        x, z, _, _ = place(scene.path, s + ahead, d)
        point = np.array([x, 0.0, z])
        local = turn.T @ (first[1].T @ (point - first[0]) - shift)
        focal = scene.lens.focal * SIZE[1]
        predicted = focal * local[:2] / local[2] + np.array([SIZE[1] * 0.5, SIZE[0] * 0.44])
        assert np.allclose(predicted, project(scene, second, point), atol=0.05)


def test_solid_lines_are_labelled_where_they_project(scene: Scene) -> None:
    """Line samples lie around every point of a line, and none lie around a point half a lane beside it."""
    _, label = paint_instant(scene, scene.look, 0.5, SIZE)
    view = camera(scene.drive, scene.lens, scene.path, 0.5)
    half = 0.5 * scene.look.lane_width
    near: dict[float, list[bool]] = {0.0: [], half: []}
    for line in scene.lines[scene.lines[:, 2] < 0.5]:
        for ahead in np.arange(6.0, 20.0, 0.5):
            for aside in near:
                d = float(line[0]) - aside * float(np.sign(line[0]))
                x, z, _, _ = place(scene.path, scene.drive.along(0.5) + ahead, d)
                column, row = (int(v) for v in project(scene, view, np.array([x, 0.0, z])))
                if 3 <= column < SIZE[1] - 3 and 1 <= row < SIZE[0] - 1 and label[row, column] < 2:
                    window = label[
                        row - 1 : row + 2, column - 3 : column + 4
                    ]  # one sample misses lines thinner than it
                    near[aside].append(bool((window == 1).any()))
    assert min(len(hits) for hits in near.values()) >= 10
    assert np.mean(near[0.0]) > 0.9
    assert np.mean(near[half]) < 0.1


def test_asphalt_moves_with_the_camera(scene: Scene) -> None:
    """Road pixels of a frame agree better with the next frame where the ground has gone than where it was."""
    (image_a, label_a), (image_b, _) = (paint_instant(scene, scene.look, t, SIZE) for t in (1.0, 1.0 + DT))
    first, second = (camera(scene.drive, scene.lens, scene.path, t) for t in (1.0, 1.0 + DT))
    focal = scene.lens.focal * SIZE[1]
    here, moved, still = [], [], []
    for row in range(100, 180):
        for column in range(60, 196, 2):
            if label_a[row, column] > 1:
                continue
            ray = first[1] @ np.array([(column + 0.5 - 128) / focal, (row + 0.5 - SIZE[0] * 0.44) / focal, 1.0])
            if ray[1] > -0.05:
                continue
            u, v = project(scene, second, first[0] - ray * first[0][1] / ray[1])
            if 0 <= u < SIZE[1] and 0 <= v < SIZE[0]:
                here.append(image_a[row, column, 1])
                moved.append(image_b[int(v), int(u), 1])
                still.append(image_b[row, column, 1])
    follows, stays = np.corrcoef(here, moved)[0, 1], np.corrcoef(here, still)[0, 1]
    assert len(here) > 400
    assert follows > 0.75
    assert follows > stays + 0.1
