"""Per-pair actions: small changes that the decoder makes where stream r asks for them.

    router     3 bits per pair: one of eight changes of the decoded colours
    seed       4 bits per pair: a faint pattern laid over the first frame, 0 for none
    factor     3 bits per pair: what the pose is multiplied by before it conditions the first frame
    control    3 bits per six pairs: brightness and contrast of the last frame

The encoder tries them all on the real networks and keeps what pays; see `tails`.

References: the router of the contest's entry qzs3 range mask; the selector tails of kitchen_sink.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

BATCH_PAIRS = 6
FACTORS = (1.0, 0.97, 1.03, 0.9, 1.1, 0.8, 1.2, 0.0)
# (grey levels added, contrast about mid-grey) of the last frame.
CONTROLS = ((0.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (-2.0, 1.0), (0.0, 1.02), (0.0, 0.98), (0.0, 1.04))
# name -> how many values one code has
TAILS = {"router": 8, "seed": 16, "factor": 8, "control": 8}
_CELL_PX = 8
_PATTERN_LEVELS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """Codes of stream r, each uint8, each empty where the tail is not used.

    Attributes:
        router, seed, factor: (n_pairs,).
        control: (number of batches of six pairs,).
    """

    router: NDArray[np.uint8]
    seed: NDArray[np.uint8]
    factor: NDArray[np.uint8]
    control: NDArray[np.uint8]

    def of(self, tail: str, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """The codes of a tail for these pairs, 0 (no action) where it is not used, int64 (n,)."""
        codes: NDArray[np.uint8] = getattr(self, tail)
        if not len(codes):
            return np.zeros(len(pairs), np.int64)
        return codes[pairs // BATCH_PAIRS if tail == "control" else pairs].astype(np.int64)


def none() -> Actions:
    """No actions."""
    nothing = np.empty(0, np.uint8)
    return Actions(router=nothing, seed=nothing, factor=nothing, control=nothing)


def length(tail: str, n_pairs: int) -> int:
    """How many codes a tail has."""
    return -(-n_pairs // BATCH_PAIRS) if tail == "control" else n_pairs


def factors(codes: NDArray[np.int64]) -> torch.Tensor:
    """What poses are multiplied by, float (n, 1)."""
    return torch.tensor(FACTORS)[torch.from_numpy(codes)][:, None]


def act(frames: torch.Tensor, seed: NDArray[np.int64], control: NDArray[np.int64]) -> torch.Tensor:
    """Pairs with patterns and controls, float (n, 2, 3, h, w); codes int64 (n,)."""
    if not (seed.any() or control.any()):
        return frames
    first, last = frames.unbind(1)
    size = (frames.shape[-2], frames.shape[-1])
    patterns = torch.stack([pattern(int(code), size) for code in seed])
    table = torch.tensor(CONTROLS)[torch.from_numpy(control)]
    added, contrast = table[:, 0, None, None, None], table[:, 1, None, None, None]
    return torch.stack([first + patterns[:, None], last + (last - 127.5) * (contrast - 1.0) + added], dim=1)


def route(frames: torch.Tensor, router: NDArray[np.int64]) -> torch.Tensor:
    """Pairs under their router's action, float (n, 2, 3, h, w); codes int64 (n,)."""
    if not router.any():
        return frames
    return torch.stack([_routed(pair, int(code)) for pair, code in zip(frames, router, strict=True)])


def _routed(pair: torch.Tensor, code: int) -> torch.Tensor:
    """One pair (2, 3, h, w) under one of eight actions."""
    if code == 0:
        return pair
    if code == 4:
        return torch.stack([(pair[0] - 127.5) * 1.03 + 127.5, pair[1]])
    if code == 7:
        # A gamma of 1.04 as its parabola about mid-grey: powers differ between machines.
        unit = pair / 255.0
        return pair + 255.0 * 0.06 * unit * (1.0 - unit)
    added = {
        1: ((0.0, 0.0, -3.0), (0.0, 0.0, 0.0)),
        2: ((0.0, -3.0, 0.0), (0.0, -3.0, 0.0)),
        3: ((-2.0, -2.0, -2.0), (-2.0, -2.0, -2.0)),
        5: ((3.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        6: ((0.0, -4.0, 0.0), (0.0, 0.0, 0.0)),
    }[code]
    return pair + torch.tensor(added)[:, :, None, None]


def pattern(code: int, size: tuple[int, int]) -> torch.Tensor:
    """A smooth pattern of a few grey levels, float (h, w); code 0 is nothing.

    Notes:
        One of -1, 0, 1 for every cell of eight pixels, by an integer hash of code and cell, then interpolated.
    """
    if code == 0:
        return torch.zeros(size)
    rows, columns = -(-size[0] // _CELL_PX), -(-size[1] // _CELL_PX)
    cell = np.arange(rows * columns, dtype=np.uint64).reshape(rows, columns) + np.uint64(code << 32)
    mixed = (cell ^ (cell >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    signs = ((mixed >> np.uint64(33)) % np.uint64(3)).astype(np.float32) - 1.0
    small = torch.from_numpy(signs)[None, None]
    return _PATTERN_LEVELS * F.interpolate(small, size=size, mode="bilinear", align_corners=False)[0, 0]
