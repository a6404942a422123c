"""A second decode of the source, and training against both: for scores that hold on more than one axis.

The contest's readers disagree: its CPU path interpolates chroma, a hardware decoder repeats samples or filters them
otherwise, and resampling differs in the last bit between processors. The second decode here repeats chroma; the noise
moves a third of all pixels one grey level up and a third down.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch
from torch import nn

from lab.codecs.base import Pair, SourceClip
from lab.codecs.implicit import decode
from lab.codecs.implicit.content import Content
from lab.codecs.implicit.judge import Judge
from lab.contract import Contract
from lab.errors import VideoError
from lab.training import targets
from lab.training.targets import Targets
from lab.video import colour, frames


def pairs(source: SourceClip) -> Iterator[Pair]:
    """The source's pairs with chroma repeated instead of interpolated, uint8 (2, H, W, 3) RGB.

    Raises:
        VideoError: the source is not 4:2:0, or has too few frames.
    """
    contract = source.contract
    height, width = contract.frame_size
    pending: list[Pair] = []
    n_pairs = 0
    with av.open(str(contract.source_path)) as container:
        for frame in container.decode(video=0):
            if frame.format.name not in ("yuv420p", "yuvj420p"):
                raise VideoError(contract.source.file, expected="4:2:0 samples", found=frame.format.name)
            full_range = frame.format.name == "yuvj420p" or int(frame.color_range) == 2
            rgb = colour.yuv_to_rgb(*frames.planes(frame), full_range=full_range, nearest=True)
            pending.append(colour.to_uint8(rgb)[:height, :width])
            if len(pending) == 2:
                yield np.stack(pending)
                pending.clear()
                n_pairs += 1
                if n_pairs == contract.n_pairs:
                    return
    raise VideoError(contract.source.file, expected=f"{contract.n_pairs} pairs", found=str(n_pairs))


def answers(source: SourceClip, segnet: nn.Module, posenet: nn.Module) -> Targets:
    """What the networks say of the second decode."""
    return targets.compute(pairs(source), source.contract.model_size, segnet, posenet)


def joined(first: Targets, second: Targets) -> Targets:
    """The answers on both decodes, those of the first before those of the second."""
    parts = {name: (getattr(first, name), getattr(second, name)) for name in ("logits", "classes", "pose", "frames")}
    return Targets(size=first.size, **{name: torch.cat(pair) for name, pair in parts.items()})


def report(content: Content, judge: Judge, second: Targets, contract: Contract, path: Path) -> None:
    """Write `axis,segnet,posenet,score` of a content: on the evaluator's decode, on the second, and under noise."""
    payload_bytes = judge.payload_bytes(content)
    other = Judge(second, judge.segnet, judge.posenet, contract)
    seen = [judge.seen(batch, content.head) for batch in decode.rendered(content)]
    noise = torch.Generator().manual_seed(0)
    moved = [(batch + torch.randint(-1, 2, batch.shape, generator=noise)).clamp(0.0, 255.0) for batch in seen]
    lines = ["axis,segnet,posenet,score"]
    for axis, who, batches in (("evaluator", judge, seen), ("chroma repeated", other, seen), ("noise", judge, moved)):
        found = who.worth(who.measure(iter(batches)), payload_bytes)
        lines.append(f"{axis},{found.segnet!r},{found.posenet!r},{found.score!r}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
