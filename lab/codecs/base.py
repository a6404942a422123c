"""The protocol that carries every codec family, and what a family's card says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Bitstream
from lab.contract import Contract
from lab.recipe import Recipe

Pair = NDArray[np.uint8]
Monitor = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """A monitor that reports nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecSpec:
    """A family as its card states it."""

    family: str
    code: int
    title: str
    idea: str
    reference: str
    sections: tuple[tuple[str, str], ...]
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClip:
    """What an encoder may look at: the contract with its source, its frozen networks and a folder for its caches.

    `cache` holds what can be computed again; `work` holds checkpoints of this run. Families whose
    training room knows devices train on `device`: "cpu", "cuda" or "mps". `start` is the payload of the recorded run
    that a recipe says to begin with, empty where it says none.
    """

    contract: Contract
    cache: Path
    work: Path
    device: str = "cpu"
    start: bytes = b""

    def pairs(self) -> Iterator[Pair]:
        """The source's pairs in display order, uint8 (2, H, W, 3) RGB."""
        from lab.video.frames import read_pairs

        return read_pairs(self.contract.source_path, n_pairs=self.contract.n_pairs, size=self.contract.frame_size)


@runtime_checkable
class Codec(Protocol):
    """A concrete encoder-decoder pair."""

    spec: CodecSpec

    def check(self, recipe: Recipe) -> None:
        """Return only if the recipe's parameters make sense to this family; raises RecipeError."""

    def encode(self, source: SourceClip, recipe: Recipe, monitor: Monitor) -> Bitstream:
        """The bitstream of a source under a recipe."""

    def decode(self, payload: bytes) -> Iterator[Pair]:
        """The decoded pairs, uint8 (2, H, W, 3) RGB, display order."""

    def anatomy(self, payload: bytes) -> Bitstream:
        """The payload's sections as far as they can be parsed."""

    def runtime_files(self) -> tuple[Path, ...]:
        """The decoder closure: every file of this package that decoding needs."""
