"""What a payload of the family `semantic` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Section
from lab.codecs.semantic.actions import Actions
from lab.codecs.semantic.model import Shape
from lab.codecs.weights import StoredTensor


class Head(NamedTuple):
    """What opens stream w.

    Attributes:
        size: (height, width) of a decoded frame.
        shape: the renderer's architecture.
        pose_scale: codes of stream p per unit of what conditions the renderer.
    """

    size: tuple[int, int]
    shape: Shape
    pose_scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """Class maps and their bytes, which take seconds to make and are kept beside them.

    Attributes:
        labels: uint8 (n_pairs, h, w).
        coded: what `lab.entropy.mapwriter` made of them.
        sections: that tile these bytes.
    """

    labels: NDArray[np.uint8]
    coded: bytes
    sections: tuple[Section, ...]

    @property
    def grid(self) -> tuple[int, int]:
        """(height, width) of a map."""
        return int(self.labels.shape[1]), int(self.labels.shape[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a payload says.

    Attributes:
        head: sizes and architecture.
        maps: stream m.
        weights: stream w, every tensor of the renderer by name, in its order.
        poses: stream p, int64 (n_pairs, pose_dims).
        actions: stream r.
    """

    head: Head
    maps: Maps
    weights: Mapping[str, StoredTensor]
    poses: NDArray[np.int64]
    actions: Actions

    @property
    def n_pairs(self) -> int:
        """Pairs of frames."""
        return len(self.maps.labels)

    def conditions(self) -> NDArray[np.float32]:
        """What conditions the first frames, float32 (n_pairs, pose_dims)."""
        return self.poses.astype(np.float32) / np.float32(self.head.pose_scale)
