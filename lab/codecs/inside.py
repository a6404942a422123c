"""The integers inside a payload: how often each occurs in every coded stream, and the latents as a picture.

codes.csv      stream, code, count
latents.png    one column per pair, one row per number, grey 128 is zero; each row to the scale of its largest code

Evidence that explains an archive; no grade reads it. Four-bit weights are counted in the order of their values, with
zero at 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.codecs.weights import Stored, StoredTensor
from lab.entropy import weightstream

Codes = NDArray[np.int64]
COLUMN_PX = 4


def write(payload: bytes, folder: Path) -> tuple[Path, ...]:
    """Write both files of a payload of one of our families into a folder; none where it holds no integers.

    Raises:
        BitstreamError: not a payload of ours, cut short, or damaged.
    """
    streams, latents = read(payload)
    if not streams:
        return ()
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["stream,code,count"]
    for name, codes in streams.items():
        found, counts = np.unique(codes, return_counts=True)
        rows += [f"{name},{code},{count}" for code, count in zip(found.tolist(), counts.tolist(), strict=True)]
    table = folder / "codes.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    if latents is None:
        return (table,)
    picture = folder / "latents.png"
    Image.fromarray(_grey(latents).repeat(COLUMN_PX, 0).repeat(COLUMN_PX, 1)).save(picture, optimize=True)
    return table, picture


def read(payload: bytes) -> tuple[dict[str, Codes], Codes | None]:
    """The integers of every stream by its name, and the latents, (latent_dim, n_pairs); None where there are none.

    Raises:
        BitstreamError: not a payload of ours, cut short, or damaged.
    """
    from lab import codecs

    family = codecs.by_payload(payload).spec.family
    return {"semantic": _semantic, "implicit": _implicit, "filtered": _filtered}.get(family, _nothing)(payload)


def _nothing(_: bytes) -> tuple[dict[str, Codes], Codes | None]:
    return {}, None


def _semantic(payload: bytes) -> tuple[dict[str, Codes], Codes | None]:
    from lab.codecs.semantic import format as syntax

    streams = syntax.split(payload)
    _, tensors = syntax.read_renderer(streams["w"])
    return _weights(tensors), None


def _implicit(payload: bytes) -> tuple[dict[str, Codes], Codes | None]:
    from lab.codecs.implicit import format as syntax

    content = syntax.read(payload)
    signed = content.head.latent_kind == "signed"
    latents = (content.latents.view(np.int8) if signed else content.latents).astype(np.int64)
    if not signed:
        latents -= 128
    found = {"weights": _joined(list(content.codes.values())), "latents": latents.reshape(-1)}
    return found | ({"fields": _joined([content.fields])} if content.fields.size else {}), latents


def _filtered(payload: bytes) -> tuple[dict[str, Codes], Codes | None]:
    from lab.codecs import weights
    from lab.codecs.filtered import format as syntax
    from lab.codecs.filtered.model import PostFilter

    head, parts = syntax.read(payload)
    model = PostFilter(head.architecture, head.hidden, head.view)
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    found = _weights(weights.read(parts.weights, head.weights, shapes))
    return found | ({} if parts.side is None else {"side": _joined([parts.side])}), None


def _weights(tensors: Mapping[str, Stored] | Mapping[str, StoredTensor]) -> dict[str, Codes]:
    """The codes of all matrices and convolutions; four-bit ones are a stream of their own."""
    whole = [tensor.codes for tensor in tensors.values() if len(tensor.shape) > 1]
    small = [weightstream.ordered_fp4(codes).astype(np.int64) - 8 for codes in whole if codes.dtype == np.uint8]
    large = [codes for codes in whole if codes.dtype != np.uint8]
    return {name: _joined(parts) for name, parts in (("weights", large), ("four-bit weights", small)) if parts}


def _joined(parts: list[NDArray[Any]]) -> Codes:
    return np.concatenate([part.reshape(-1).astype(np.int64) for part in parts])


def _grey(latents: Codes) -> NDArray[np.uint8]:
    """Latents as grey levels, 128 for zero."""
    reach = np.maximum(np.abs(latents).max(axis=1, keepdims=True), 1)
    levels: NDArray[np.uint8] = (128 + np.rint(127 * latents / reach)).astype(np.uint8)
    return levels
