"""What the bits of class maps are spent on: every pixel's cost under `mapmodel`, by what happens there.

Events, told from what a decoder knows and from what it then reads:

* `flat, the same again`: neighbours above and on the left and the last map around the pixel agree, and so does it;
* `flat, a surprise`: they agree, and it does not;
* `border, where it was`: they do not agree, and the pixel keeps the label of the last map;
* `border, moved by one`: it takes a label that a direct neighbour had in the last map;
* `border, something else`: none of these;
* `first map`: there is no last map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.entropy.mapwriter import costs

EVENTS = (
    "flat, the same again",
    "flat, a surprise",
    "border, where it was",
    "border, moved by one",
    "border, something else",
    "first map",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Pixels and bits by event and by pair of labels, and bits of every map."""

    events: tuple[tuple[str, int, float], ...]
    pairs: tuple[tuple[int, int, int, float], ...]
    map_bits: tuple[float, ...]


def spending(
    labels: NDArray[np.uint8], *, monitor: Callable[[str, int, int], None] = lambda stage, done, total: None
) -> Spending:
    """Where the bits of maps go.

    Args:
        labels: uint8 (T, H, W) of 2 to 16 distinct labels.
    """
    pixels, bits = np.zeros(len(EVENTS), np.int64), np.zeros(len(EVENTS))
    pair_pixels, pair_bits = np.zeros((256, 256), np.int64), np.zeros((256, 256))
    map_bits = []
    for index, cost in enumerate(costs(labels, monitor=monitor)):
        plane = labels[index]
        event = events(plane, labels[index - 1] if index else None)
        pixels += np.bincount(event.reshape(-1), minlength=len(EVENTS))
        bits += np.bincount(event.reshape(-1), cost.reshape(-1), minlength=len(EVENTS))
        other = _other(plane)
        low, high = np.minimum(plane, other), np.maximum(plane, other)
        np.add.at(pair_pixels, (low, high), 1)
        np.add.at(pair_bits, (low, high), cost)
        map_bits.append(float(cost.sum()))
    pairs = [(int(a), int(b), int(pair_pixels[a, b]), float(pair_bits[a, b])) for a, b in np.argwhere(pair_pixels)]
    return Spending(
        events=tuple((name, int(n), float(b)) for name, n, b in zip(EVENTS, pixels, bits, strict=True)),
        pairs=tuple(sorted(pairs, key=lambda pair: -pair[3])),
        map_bits=tuple(map_bits),
    )


def events(plane: NDArray[np.uint8], last: NDArray[np.uint8] | None) -> NDArray[np.int64]:
    """Index among `EVENTS` of every pixel, int64 (H, W)."""
    if last is None:
        return np.full(plane.shape, EVENTS.index("first map"))
    here, before = np.pad(plane, 1, mode="edge"), np.pad(last, 1, mode="edge")
    near = [here[:-2, :-2], here[:-2, 1:-1], here[:-2, 2:], here[1:-1, :-2]]
    around = [before[y : y + plane.shape[0], x : x + plane.shape[1]] for y in range(3) for x in range(3)]
    flat = np.logical_and.reduce([other == near[0] for other in near + around])
    moved = np.logical_or.reduce([around[k] == plane for k in (1, 3, 5, 7)])
    border = np.where(last == plane, 2, np.where(moved, 3, 4))
    return np.where(flat, np.where(plane == near[0], 0, 1), border)


def _other(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A different label among the direct neighbours, or the own one."""
    padded = np.pad(plane, 1, mode="edge")
    other = plane.copy()
    for near in (padded[1:-1, 2:], padded[1:-1, :-2], padded[2:, 1:-1], padded[:-2, 1:-1]):
        other = np.where(near != plane, near, other)
    return other
