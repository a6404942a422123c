"""From a payload of the family `implicit` to pairs of frames.

    codes x steps -> weights, latents -> decoder -> bias, round -> aligned up-sampling -> uint8

Everything that runs here ships in a packet; it sees the payload and nothing else. Pairs go through the decoder in
batches of one fixed size and on one thread, since both decide the last bits of a convolution.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from lab.bitstream import Bitstream
from lab.codecs.implicit import format as syntax
from lab.codecs.implicit.content import Content, Head
from lab.codecs.implicit.model import Decoder
from lab.codecs.pixels import one_thread, rounded
from lab.video import resample

_BATCH_PAIRS = 4


def decode(payload: bytes) -> Iterator[NDArray[np.uint8]]:
    """The pairs of a payload, uint8 (2, H, W, 3) RGB, display order; exactly as many as its header says.

    Raises:
        BitstreamError: not a payload of this family, cut short, or damaged.
    """
    content = syntax.read(payload)
    for frames in rendered(content):
        yield from enlarge(frames, content.head)


def anatomy(payload: bytes) -> Bitstream:
    """The payload's sections."""
    return syntax.anatomy(payload)


def rendered(content: Content, pairs: NDArray[np.int64] | None = None) -> Iterator[torch.Tensor]:
    """Batches of pairs on the decoder's grid, float (n, 2, 3, h, w), unrounded.

    Args:
        pairs: which pairs to render; all of them by default. A pair comes out the same whatever its company.
    """
    decoder = build(content)
    latents = torch.from_numpy(content.latent_values())
    fields = fields_of(content)
    biases = torch.from_numpy(content.biases())
    order = np.arange(content.head.n_pairs) if pairs is None else pairs
    for start in range(0, len(order), _BATCH_PAIRS):
        chosen = order[start : start + _BATCH_PAIRS]
        # The last batch is filled up, so that every pair is computed in a batch of the same size.
        filled = np.resize(chosen, _BATCH_PAIRS)
        with torch.no_grad(), one_thread():
            field = None if fields is None else fields[filled]
            frames = (decoder(latents[filled], field) + biases)[: len(chosen)]
        yield frames


def fields_of(content: Content) -> torch.Tensor | None:
    """Fields as the decoder takes them, float (n_pairs, planes, rows, columns); None where it takes none."""
    return torch.from_numpy(content.fields).float() if content.head.shape.planes else None


def build(content: Content) -> Decoder:
    """The decoder with its weights."""
    with torch.device("meta"):
        decoder = Decoder(content.head.shape)
    weights = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in content.values().items()}
    decoder.load_state_dict(weights, assign=True)
    return decoder.eval().requires_grad_(False)


def enlarge(frames: torch.Tensor, head: Head) -> Iterator[NDArray[np.uint8]]:
    """Every pair at the size of a decoded frame, uint8 (2, H, W, 3).

    Args:
        frames: float (n, 2, 3, h, w), unrounded.
    """
    for pair in frames:
        if head.up == "bicubic":
            large = rounded(resample.bicubic(pair, head.size))
        else:
            large = rounded(pair)
            if head.up == "aligned":
                large = resample.aligned_up(large, head.size)
        yield np.ascontiguousarray(large.movedim(1, -1).numpy())
