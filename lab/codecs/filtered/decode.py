"""From a payload of the family `filtered` to pairs of frames.

    inner payload -> inner decoder -> frames -> the evaluator's resize -> post-filter -> side -> uint8 -> up-sampling

Where first frames are not coded, a pair is its last frame twice, until the side codes move the first of the two.

Everything that runs here ships in a packet; it sees the payload and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from lab.bitstream import Bitstream
from lab.codecs import weights
from lab.codecs.conventional.decode import anatomy as conventional_anatomy
from lab.codecs.conventional.decode import decode as conventional_decode
from lab.codecs.filtered import format as syntax
from lab.codecs.filtered.model import RENDER_PAIRS, PostFilter, render
from lab.errors import Truncated, UnknownSyntax
from lab.video import resample

Pairs = Iterator[NDArray[np.uint8]]
# family code -> (family, decoder, anatomy) of what may be wrapped
INNER: dict[int, tuple[str, Callable[[bytes], Pairs], Callable[[bytes], Bitstream]]] = {
    1: ("conventional", conventional_decode, conventional_anatomy),
}


def decode(payload: bytes) -> Pairs:
    """The pairs of a payload, uint8 (2, H, W, 3) RGB, display order; exactly as many as its header says.

    Raises:
        BitstreamError: not a payload of this family, cut short, or damaged.
    """
    head, parts = syntax.read(payload)
    model = filter_of(head, parts.weights)
    side = None if parts.side is None else torch.from_numpy(parts.side)
    at = 0
    for batch in inner_frames(head, parts.inner):
        part = None if side is None else side[at : at + len(batch)]
        for pairs in render(model, batch, part):
            yield from enlarged(pairs, head.size)
        at += len(batch)


def enlarged(pairs: torch.Tensor, size: tuple[int, int]) -> Pairs:
    """Filtered pairs at camera size, uint8 (2, H, W, 3) each; the evaluator's resize gives them back.

    Args:
        pairs: uint8 (n, 2, 3, h, w).

    Notes:
        Where the grid is more than half of the frame no up-sampling is inverted exactly; then it is bicubic.
    """
    grid = pairs.shape[-2:]
    exact = all(small == large or 2 * small <= large for small, large in zip(grid, size, strict=True))
    for pair in pairs:
        if exact:
            large = resample.aligned_up(pair, size)
        else:
            large = resample.bicubic(pair, size).round_().clamp_(0.0, 255.0).to(torch.uint8)
        yield np.ascontiguousarray(large.movedim(1, -1).numpy())


def filter_of(head: syntax.Head, section: bytes) -> PostFilter:
    """The post-filter of a payload with its weights.

    Raises:
        BitstreamError: the weights are not this filter's.
    """
    model = PostFilter(head.architecture, head.hidden, head.view).eval()
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    found = weights.read(section, head.weights, shapes)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weights.values(found[name])))
    return model.requires_grad_(False)


def inner_frames(head: syntax.Head, inner: bytes) -> Iterator[torch.Tensor]:
    """What the filter is given, float (n, 2, 3, h, w) on the grid, in batches of fixed size.

    Where first frames are not coded it is one frame per pair, (n, 1, 3, h, w).

    Raises:
        BitstreamError: the inner payload is of no known family, or has another number or size of pairs.
    """
    kept: list[torch.Tensor] = []
    n_pairs = 0
    for pair in _inner_pairs(head, inner):
        small = resample.resize(torch.from_numpy(pair).movedim(-1, 1), head.grid)
        made = [small] if head.first == "coded" else [frame[None] for frame in small]
        made = made[: head.n_pairs - n_pairs]  # an odd number of last frames leaves one over
        n_pairs += len(made)
        kept += made
        if len(kept) >= RENDER_PAIRS:
            yield torch.stack(kept[:RENDER_PAIRS])
            kept = kept[RENDER_PAIRS:]
    if kept:
        yield torch.stack(kept)


def _inner_pairs(head: syntax.Head, inner: bytes) -> Pairs:
    """The inner codec's pairs, exactly as many and as large as they must be."""
    n_pairs = 0
    for pair in _inner(inner)[1](inner):
        if pair.shape != (2, *head.size, 3):
            raise UnknownSyntax(
                "filtered, inner", expected=f"frames of {head.size[0]}x{head.size[1]}", found=f"{pair.shape[1:3]}"
            )
        if n_pairs == head.n_inner:
            raise UnknownSyntax("filtered, inner", expected=f"{head.n_inner:,} pairs", found="more")
        n_pairs += 1
        yield pair
    if n_pairs != head.n_inner:
        raise Truncated("filtered, inner", expected=f"{head.n_inner:,} pairs", found=f"{n_pairs:,}")


def anatomy(payload: bytes) -> Bitstream:
    """The payload's sections; the inner payload's own nest inside."""
    head, parts = syntax.read(payload)
    inner = _inner(parts.inner)[2](parts.inner)
    model = PostFilter(head.architecture, head.hidden, head.view)
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    children = weights.children(parts.weights, weights.read(parts.weights, head.weights, shapes).values())
    return syntax.write(head, inner, parts.weights, children=children, side=parts.side)


def _inner(payload: bytes) -> tuple[str, Callable[[bytes], Pairs], Callable[[bytes], Bitstream]]:
    code = payload[1] if len(payload) > 1 and payload[0] == 0xA7 else -1
    if code not in INNER:
        known = ", ".join(name for name, _, _ in INNER.values())
        raise UnknownSyntax("filtered, inner", expected=f"a payload of {known}", found=payload[:2].hex() or "nothing")
    return INNER[code]
