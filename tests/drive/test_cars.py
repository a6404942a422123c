"""What the painters leave out could not have changed anything."""

from __future__ import annotations

import numpy as np
import pytest

from lab.drive import cars
from lab.drive.dataset import draw_scene


def rows() -> np.ndarray:
    scenes = [draw_scene(np.random.default_rng(seed)) for seed in range(6)]
    found = np.concatenate([scene.cars(1.0) for scene in scenes])
    assert set(found[:, 7]) == {0.0, 1.0, 2.0}
    return found


def test_the_distance_to_a_car_is_the_least_over_all_its_parts_to_the_bit() -> None:
    rng = np.random.default_rng(8)
    for car in rows()[:30]:
        for scale in (0.3, 1.0, 4.0):
            for x, y, z in rng.uniform(-1, 1, (80, 3)) * scale * car[[5, 6, 4]] + [0.0, 0.5 * car[6], 0.0]:
                assert cars.nearest(car, x, y, z) == min(cars.body_distance(car, x, y, z))


def test_within_the_clear_way_no_car_darkens_the_ground() -> None:
    rng = np.random.default_rng(9)
    found = rows()
    clear = 0
    for _ in range(400):
        x, z = found[rng.integers(len(found)), :2] + rng.uniform(-40, 40, 2)
        way = cars.clear_way(found, x, z)
        if way > 0.0:
            clear += 1
            part = rng.uniform(-1.0, 1.0)
            dx, dz = way * part, way * (1.0 - abs(part)) * rng.choice([-1.0, 1.0])
            assert cars.under_car(found, x + dx, z + dz, 0.8, -1.1) == 1.0
    assert clear > 50
    assert cars.under_car(found, *found[0, :2], 0.8, -1.1) == pytest.approx(0.18)
