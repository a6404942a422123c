"""Resampling: the evaluator's own resize, its exact inverse, and the classical kernels.

The evaluator shrinks a frame bilinearly without antialiasing. At a scale of two or more each pixel of the model grid
reads two rows and two columns of its own and no other pixel reads them. `aligned_up` copies every model pixel onto
exactly those rows and columns, hence

    resize(aligned_up(x)) == x      for uint8 x,

at no cost in bytes: bit for bit at the cameras' sizes (tested for every grey level at every position), at other scales
up to float32 rounding, two units in the last place at most. Rows and columns that nobody reads are free; they are
interpolated so that frames look good.

Every function takes planes, (..., H, W), rows and columns last. The kernels are sums of taps in one fixed order of
float32 multiplications and additions, so a decoder gives the same bytes on every machine.

References: C. Duchon, "Lanczos filtering in one and two dimensions", 1979; R. Keys, "Cubic convolution
interpolation for digital image processing", 1981.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

Size = tuple[int, int]
Taps = tuple[tuple[torch.Tensor, torch.Tensor], ...]

# How close to a whole number a source position counts as whole: the evaluator computes positions in float32.
_WHOLE = 1e-3


def resize(x: torch.Tensor, size: Size) -> torch.Tensor:
    """The evaluator's own resize: bilinear, corners not aligned, no antialiasing.

    Args:
        x: uint8 or float (..., H, W).
        size: (height, width) of the result.

    Returns:
        float32 (..., height, width).
    """
    planes = x.float()
    if tuple(planes.shape[-2:]) == tuple(size):
        return planes
    # Plane by plane, as in the evaluator: torch then takes its separable kernel, which rounds least.
    flat = planes.reshape(-1, 1, *planes.shape[-2:])
    out = F.interpolate(flat, size=size, mode="bilinear", align_corners=False)
    return out.reshape(*planes.shape[:-2], *size)


def aligned_down(x: torch.Tensor, size: Size) -> torch.Tensor:
    """What the networks see of a frame, rounded: uint8 (..., height, width)."""
    return resize(x, size).round().clamp(0.0, 255.0).to(torch.uint8)


def aligned_up(x: torch.Tensor, size: Size) -> torch.Tensor:
    """The frame of which the evaluator's resize gives back `x`.

    Args:
        x: uint8 (..., h, w), the model grid.
        size: (height, width) of the frame; each at least twice the grid's, or equal to it.

    Returns:
        uint8 (..., height, width).

    Raises:
        ValueError: a scale lies between one and two, where neighbours share taps and no frame gives back every `x`;
            or `x` is not uint8.
    """
    if x.dtype != torch.uint8:
        raise ValueError(f"aligned_up takes rounded pixels, uint8, got {x.dtype}")
    out = x
    for axis, length in ((-2, size[0]), (-1, size[1])):
        if out.shape[axis] != length:
            out = _stretch(out, axis, _aligned_axis(out.shape[axis], length))
    return out


def _stretch(x: torch.Tensor, axis: int, lines: Lines) -> torch.Tensor:
    """One axis enlarged: every line a copy, then the free ones blended from both sides."""
    out = x.index_select(axis, lines.source)
    if len(lines.free):
        before, after = (x.index_select(axis, side).float() for side in (lines.before, lines.after))
        weight = lines.weight if axis == -1 else lines.weight[:, None]
        out.index_copy_(axis, lines.free, (before + (after - before) * weight).round_().to(torch.uint8))
    return out


class Lines(NamedTuple):
    """How one axis is enlarged: what each line copies; the free lines with what lies on both sides of them."""

    source: torch.Tensor
    free: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    weight: torch.Tensor


@lru_cache(maxsize=32)
def _aligned_axis(n_small: int, n_large: int) -> Lines:
    owner = aligned_owner(n_small, n_large)
    read, free = np.flatnonzero(owner >= 0), np.flatnonzero(owner < 0)
    place = np.searchsorted(read, free)
    # Before the first and after the last line that is read there is one neighbour only.
    left, right = read[np.maximum(place - 1, 0)], read[np.minimum(place, len(read) - 1)]
    weight = np.where(right > left, (free - left) / np.maximum(right - left, 1), 0.0)
    source = owner.copy()
    source[free] = owner[left]
    return Lines(
        source=torch.from_numpy(source),
        free=torch.from_numpy(free),
        before=torch.from_numpy(owner[left]),
        after=torch.from_numpy(owner[right]),
        weight=torch.from_numpy(weight.astype(np.float32)),
    )


def aligned_owner(n_small: int, n_large: int) -> NDArray[np.int64]:
    """Which model row reads each row of the frame, -1 where none does.

    Args:
        n_small, n_large: lengths of one axis on the model grid and in the frame.

    Raises:
        ValueError: the scale is below two.
    """
    if n_large < 2 * n_small:
        raise ValueError(
            f"{n_small} to {n_large} is a scale of {n_large / n_small:.3f}: below two, neighbours on the model grid "
            "read the same rows, so no up-sampling is inverted exactly; use a smaller grid, or bicubic"
        )
    owner = np.full(n_large, -1, dtype=np.int64)
    for index in range(n_small):
        source = (index + 0.5) * n_large / n_small - 0.5
        first, last = math.floor(source - _WHOLE), math.floor(source + _WHOLE) + 1
        owner[max(first, 0) : min(last, n_large - 1) + 1] = index
    return owner


def bicubic(x: torch.Tensor, size: Size) -> torch.Tensor:
    """Keys' cubic with a = -0.75, as the common `bicubic` up-samplers use it; widened when shrinking.

    Args:
        x: uint8 or float (..., H, W).
        size: (height, width) of the result.

    Returns:
        float32 (..., height, width), neither clamped nor rounded.
    """
    return _separable(x, size, "bicubic")


def lanczos(x: torch.Tensor, size: Size) -> torch.Tensor:
    """Lanczos windowed sinc with three lobes; widened when shrinking. Arguments as `bicubic`."""
    return _separable(x, size, "lanczos")


def area(x: torch.Tensor, size: Size) -> torch.Tensor:
    """Mean over the area that each pixel covers; repeats pixels when enlarging. Arguments as `bicubic`."""
    return _separable(x, size, "area")


def _separable(x: torch.Tensor, size: Size, kernel: str) -> torch.Tensor:
    height, width = x.shape[-2:]
    # The axis in hand lies first, so that every tap is a copy of whole rows. The shape goes (N, H, W) to (W, N, H)
    # to (H, W, N): colour channels end up last, as an interleaved picture wants them.
    out = x.reshape(-1, height, width).float().movedim(2, 0).contiguous()
    if width != size[1]:
        out = _sum_taps(out, _taps(width, size[1], kernel))
    out = out.movedim(2, 0).contiguous()
    if height != size[0]:
        out = _sum_taps(out, _taps(height, size[0], kernel))
    return out.movedim(2, 0).reshape(*x.shape[:-2], *size)


def _sum_taps(x: torch.Tensor, taps: Taps) -> torch.Tensor:
    # Multiply, then add, as two operations: a fused one would round once and differ between machines.
    (first, weight), *others = taps
    total = x.index_select(0, first).mul_(weight[:, None, None])
    for index, weight in others:
        total += x.index_select(0, index).mul_(weight[:, None, None])
    return total


def _cubic(t: float) -> float:
    a, t = -0.75, abs(t)
    if t < 1.0:
        return ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    return a * (((t - 5.0) * t + 8.0) * t - 4.0) if t < 2.0 else 0.0


def _lanczos3(t: float) -> float:
    if t == 0.0:
        return 1.0
    if abs(t) >= 3.0:
        return 0.0
    return 3.0 * math.sin(math.pi * t) * math.sin(math.pi * t / 3.0) / (math.pi * t) ** 2


_KERNELS: dict[str, tuple[Callable[[float], float], float]] = {"bicubic": (_cubic, 2.0), "lanczos": (_lanczos3, 3.0)}


@lru_cache(maxsize=32)
def _taps(n_in: int, n_out: int, kernel: str) -> Taps:
    """(source index, weight) of every tap, each a tensor over the output; weights of one output sum to one."""
    scale = n_in / n_out
    rows: list[dict[int, float]] = []
    for index in range(n_out):
        weights: dict[int, float] = {}
        if kernel == "area":
            start, end = index * scale, (index + 1) * scale
            for at in range(math.floor(start), min(math.ceil(end), n_in)):
                weights[at] = max(min(end, at + 1) - max(start, at), 0.0)
        else:
            function, support = _KERNELS[kernel]
            widened = max(scale, 1.0)
            centre = (index + 0.5) * scale - 0.5
            for at in range(math.ceil(centre - support * widened), math.floor(centre + support * widened) + 1):
                clamped = min(max(at, 0), n_in - 1)
                weights[clamped] = weights.get(clamped, 0.0) + function((at - centre) / widened)
        total = sum(weights.values())
        rows.append({at: weight / total for at, weight in weights.items()})
    n_taps = max(map(len, rows))
    indices = np.zeros((n_taps, n_out), dtype=np.int64)
    values = np.zeros((n_taps, n_out), dtype=np.float32)
    for index, row in enumerate(rows):
        for tap, (at, weight) in enumerate(sorted(row.items())):
            indices[tap, index], values[tap, index] = at, weight
    return tuple(
        (torch.from_numpy(index), torch.from_numpy(value)) for index, value in zip(indices, values, strict=True)
    )
