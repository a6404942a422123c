"""What training needs of a source: the inner stream, what it shows the networks, and their answers on the source.

All of it can be computed again, so it is kept in the cache under the digest of everything that decides it; the
recipes of an ablation share one inner stream and one set of answers.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lab import codecs, custody
from lab.bitstream import Bitstream
from lab.closure import closure
from lab.codecs.base import Monitor, Pair, SourceClip
from lab.codecs.filtered import decode
from lab.codecs.filtered import format as syntax
from lab.evaluator import networks
from lab.recipe import Recipe
from lab.training import targets
from lab.training.targets import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The inner stream, the frames that it shows on the grid, uint8 or float (N, 2, 3, h, w), the answers on the
    source, and the frozen networks that gave them.
    """

    inner: Bitstream
    frames: torch.Tensor
    targets: Targets
    segnet: torch.nn.Module
    posenet: torch.nn.Module


@dataclass(frozen=True, slots=True, kw_only=True)
class LastFrames(SourceClip):
    """The last frames of a clip's pairs, two consecutive ones as a pair; an odd one is repeated."""

    whole: SourceClip

    def pairs(self) -> Iterator[Pair]:
        """Half as many pairs, uint8 (2, H, W, 3) RGB."""
        last: list[NDArray[np.uint8]] = []
        for pair in self.whole.pairs():
            last.append(pair[1])
            if len(last) == 2:
                yield np.stack(last)
                last = []
        if last:
            yield np.stack([last[0], last[0]])


def last_frames(source: SourceClip) -> LastFrames:
    """What the inner codec is given where first frames are not coded."""
    contract = dataclasses.replace(source.contract, n_pairs=-(-source.contract.n_pairs // 2))
    return LastFrames(contract=contract, cache=source.cache, work=source.work, whole=source)


def gather(source: SourceClip, inner: Recipe, head: syntax.Head, monitor: Monitor) -> Material:
    """Encode the inner stream and decode what it shows; compute or fetch the reference answers.

    Args:
        inner: recipe of the wrapped codec.
        head: sizes of the payload that will wrap it.
    """
    stream = _encoded(source if head.first == "coded" else last_frames(source), inner, monitor)
    shown = torch.cat(list(decode.inner_frames(head, stream.payload)))
    whole = shown.to(torch.uint8)
    segnet, posenet = networks.load(source.contract)
    return Material(
        inner=stream,
        frames=whole if bool((whole.float() == shown).all()) else shown,
        targets=reference(source, segnet, posenet, monitor),
        segnet=segnet,
        posenet=posenet,
    )


def _encoded(source: SourceClip, asked: Recipe, monitor: Monitor) -> Bitstream:
    """The inner stream, from the cache where neither its recipe, the clip nor the encoder's code has changed."""
    codec = codecs.get(asked.family)
    code = b"".join(path.read_bytes() for path in closure(f"lab.codecs.{asked.family}.encode"))
    decides = (asked.digest, custody.sha256_bytes(code), answers_key(source), source.contract.frame_size)
    path = source.cache / "inner" / f"{targets.key(*decides)}.bin"
    if path.is_file():
        return codec.anatomy(path.read_bytes())
    made = codec.encode(dataclasses.replace(source, work=source.work / "inner"), asked, monitor)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.part")
    temporary.write_bytes(made.payload)
    temporary.replace(path)
    return made


def reference(source: SourceClip, segnet: torch.nn.Module, posenet: torch.nn.Module, monitor: Monitor) -> Targets:
    """The networks' answers on the source, from the cache where nothing that decides them has changed."""
    contract = source.contract
    return targets.cached(
        source.cache / "targets" / f"{answers_key(source)}.safetensors",
        lambda: targets.compute(
            source.pairs(), contract.model_size, segnet, posenet, monitor=monitor, total=contract.n_pairs
        ),
    )


def answers_key(source: SourceClip) -> str:
    """A name for everything that decides the networks' answers on a source."""
    contract = source.contract
    return targets.key(
        contract.source.sha256,
        sorted((name, item.sha256) for name, item in contract.networks.items()),
        contract.model_size,
        contract.n_pairs,
        custody.versions(("torch", "av")),
        custody.machine()["processor"],
    )
