"""Models, transforms and series that several tests of this room share."""

from __future__ import annotations

import numpy as np

from lab.entropy.contextmodels import Mixing
from lab.entropy.fieldmodel import FieldMixing
from lab.entropy.models import Adaptive, GolombRice, Model, Static
from lab.entropy.shapemodels import Gaussian, Laplace, Student
from lab.entropy.transforms import Delta, Offset, Planes, Predict, Transform, Transpose, Zigzag
from lab.entropy.treemodels import ContextTree

MODELS: dict[str, Model] = {
    "static": Static(),
    "adaptive": Adaptive(),
    "order 1": Adaptive(order=1),
    "order 2": Adaptive(step=8, order=2),
    "laplace": Laplace(),
    "laplace per row": Laplace(columns=7),
    "gaussian": Gaussian(),
    "student": Student(centred=True),
    "golomb-rice": GolombRice(),
    "context tree": ContextTree(),
    "mixing": Mixing(),
    "field mixing": FieldMixing(grid=(1, 1, 1)),
}


def transforms(count: int) -> dict[str, tuple[Transform, ...]]:
    """Chains of transforms for `count` numbers (even); every transform stands in one of them."""
    return {
        "none": (),
        "differences": (Delta(),),
        "zigzag": (Zigzag(),),
        "two planes": (Zigzag(), Planes(2)),
        "transposed": (Transpose(2, count // 2),),
        "columns predicted": (Offset(3), Predict(2, ((29, 2), ()))),
        "all": (Transpose(2, count // 2), Predict(1, ((64, -32),)), Offset(-1), Delta(), Zigzag(), Planes(3)),
    }


def poses(pairs: int = 600) -> np.ndarray:
    """A drawn series of the contest's kind, float32 (pairs, 6).

    Dimension 0 is a speed of 23 to 35 m/s, smooth in time under an estimator's noise of 0.75 m/s, which makes its
    differences spread by 1.1 m/s, as those behind the published 839 bytes do. The rest are small, heavy-tailed and more
    or less correlated in time; on their int8 grids they cost what the published ones do, 6.2 to 6.9 bits.
    """
    rng = np.random.default_rng(7)
    time = np.arange(pairs)
    smooth = 29.2 + 4.2 * np.sin(2 * np.pi * time / 310 + 0.4) + 1.2 * np.sin(2 * np.pi * time / 97 + 2)
    columns = [np.clip(smooth + rng.normal(0, 0.75, pairs), 23.3, 35.1)]
    for memory, scale in ((0.9, 0.02), (0.2, 0.01), (0.5, 0.008), (0.0, 0.004), (0.75, 0.03)):
        column = rng.standard_t(4, pairs)
        for at in range(1, pairs):
            column[at] += memory * column[at - 1]
        columns.append(scale * column)
    return np.stack(columns, axis=1).astype(np.float32)


def weights(rng: np.random.Generator) -> list[np.ndarray]:
    """Tensors of a small convolutional network, int8 codes."""
    shapes = ((16, 8, 3, 3), (16,), (12, 16, 3, 3), (12,), (3, 12))
    return [np.clip(rng.normal(0, 9 + 5 * at, shape), -127, 127).astype(np.int8) for at, shape in enumerate(shapes)]
