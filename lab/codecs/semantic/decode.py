"""From a payload of the family `semantic` to pairs of frames.

    m -> class maps -> renderer, conditioned by p -> actions of r -> round -> aligned up-sampling -> uint8

Everything that runs here ships in a packet; it sees the payload and nothing else. Pairs are drawn in batches of one
fixed size and on one thread, since both decide the last bits of a convolution.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from lab.bitstream import Bitstream
from lab.codecs import weights
from lab.codecs.pixels import one_thread, rounded
from lab.codecs.semantic import actions
from lab.codecs.semantic import format as syntax
from lab.codecs.semantic.content import Content
from lab.codecs.semantic.model import Renderer
from lab.video import resample

BATCH_PAIRS = 4


def decode(payload: bytes) -> Iterator[NDArray[np.uint8]]:
    """The pairs of a payload, uint8 (2, H, W, 3) RGB, display order; as many as it has class maps.

    Raises:
        BitstreamError: not a payload of this family, cut short, or damaged.
    """
    content = syntax.read(payload)
    for frames in rendered(content):
        for pair in rounded(frames):
            yield np.ascontiguousarray(resample.aligned_up(pair, content.head.size).movedim(1, -1).numpy())


def anatomy(payload: bytes) -> Bitstream:
    """The payload's sections."""
    return syntax.anatomy(payload)


def rendered(content: Content, pairs: NDArray[np.int64] | None = None) -> Iterator[torch.Tensor]:
    """Batches of pairs on the grid with every action done, float (n, 2, 3, h, w), unrounded.

    Args:
        pairs: which pairs to render; all of them by default. A pair comes out the same whatever its company.
    """
    renderer = build(content)
    order = np.arange(content.n_pairs) if pairs is None else pairs
    for start in range(0, len(order), BATCH_PAIRS):
        chosen = order[start : start + BATCH_PAIRS]
        # The last batch is filled up, so that every pair is computed in a batch of the same size.
        filled = np.resize(chosen, BATCH_PAIRS)
        maps = torch.from_numpy(content.maps.labels[filled])
        poses = torch.from_numpy(content.conditions()[filled])
        tails = {tail: content.actions.of(tail, filled) for tail in actions.TAILS}
        with torch.no_grad(), one_thread():
            frames = renderer(maps, poses * actions.factors(tails["factor"]))
            acted = actions.act(frames, tails["seed"], tails["control"])
            routed = actions.route(acted, tails["router"])[: len(chosen)]
        yield routed


def build(content: Content) -> Renderer:
    """The renderer with its weights."""
    with torch.device("meta"):
        renderer = Renderer(content.head.shape)
    values = {name: torch.from_numpy(weights.values(tensor)) for name, tensor in content.weights.items()}
    renderer.load_state_dict(values, assign=True)
    return renderer.eval().requires_grad_(False)
