"""Archives of the public HNeRV entries: read to the byte, and packed again as ours.

    u32 length, brotli(JSON: n_pairs, latent_dim, base_channels, eval_size)
    u32 length, brotli(u32 count, then per tensor: name, shape, float32 scale, zigzag int8)
    u32 length, brotli(u32 pairs, u32 dimensions, float16 minima and scales, low and high plane of deltas)

References: pull requests 95 and 104 of the contest's repository, whose archives have this layout.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import brotli
import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Bitstream, Reader, Section
from lab.codecs.implicit import format as syntax
from lab.codecs.implicit.content import Content, Head
from lab.codecs.implicit.model import Shape, published_shape, tensor_shapes
from lab.errors import Truncated, UnknownSyntax

_META_LIMIT, _DECODER_LIMIT, _LATENTS_LIMIT = 1 << 16, 1 << 24, 1 << 24
_META_KEYS = {"n_pairs", "latent_dim", "base_channels", "eval_size"}


class Published(NamedTuple):
    """What an archive of the public layout holds.

    Attributes:
        meta: n_pairs, latent_dim, base_channels, eval_size.
        codes, scales: int8 and float32 of every tensor, by name, in the archive's order.
        latents: uint8 (latent_dim, n_pairs).
        minima, latent_scales: float16 (latent_dim,).
        sections: every byte of the member.
    """

    meta: dict[str, Any]
    codes: dict[str, NDArray[np.int8]]
    scales: dict[str, np.float32]
    latents: NDArray[np.uint8]
    minima: NDArray[np.float16]
    latent_scales: NDArray[np.float16]
    sections: tuple[Section, ...]


def parse(member: bytes) -> Published:
    """The content of a member in the public layout.

    Raises:
        BitstreamError: it is not in that layout, or its parts contradict each other.
    """
    reader = Reader(member, "published archive")
    sections: list[Section] = []
    plain: list[bytes] = []
    limits = (("meta", _META_LIMIT), ("decoder", _DECODER_LIMIT), ("latents", _LATENTS_LIMIT))
    for name, limit in limits:
        start = reader.offset
        packed = reader.take(int(reader.fixed("u32", f"length of {name}")), name)
        sections.append(Section(name=f"length of {name}", kind="u32", offset=start, n_bytes=4))
        sections.append(Section(name=name, kind="brotli", offset=start + 4, n_bytes=len(packed)))
        plain.append(_unpacked(packed, limit, name))
    reader.end()
    meta = _meta(plain[0])
    codes, scales = _tensors(plain[1])
    minima, latent_scales, latents = _latents(plain[2])
    found = {name: tensor.shape for name, tensor in codes.items()}
    shape = published_shape(meta["latent_dim"], meta["base_channels"], tuple(meta["eval_size"]))
    if found != tensor_shapes_in(shape, found) or latents.shape != (meta["latent_dim"], meta["n_pairs"]):
        raise UnknownSyntax(
            "published archive", expected=f"tensors of {meta}", found=f"{len(found)} others, latents {latents.shape}"
        )
    return Published(meta, codes, scales, latents, minima, latent_scales, tuple(sections))


def tensor_shapes_in(shape: Shape, order: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The architecture's tensors in another order; those that it lacks are left out."""
    expected = tensor_shapes(shape)
    return {name: expected[name] for name in order if name in expected} if set(order) == set(expected) else expected


def repack(found: Published, size: tuple[int, int] | None = None) -> Bitstream:
    """The same decoder and latents as a payload of ours; nothing is lost.

    Args:
        size: (height, width) of a decoded frame, up-sampled as the public entries do; the decoder's own by default.
    """
    shape = published_shape(found.meta["latent_dim"], found.meta["base_channels"], tuple(found.meta["eval_size"]))
    names = list(tensor_shapes(shape))
    head = Head(
        size=size or shape.size,
        n_pairs=found.meta["n_pairs"],
        up="bicubic" if size else "none",
        shape=shape,
        granularity="tensor",
        step_kind="single",
        vectors="codes",
        latent_kind="unsigned",
    )
    return syntax.write(
        Content(
            head=head,
            codes={name: found.codes[name] for name in names},
            steps={name: np.array([found.scales[name]], np.float32) for name in names},
            vectors={},
            latents=found.latents,
            fields=np.empty((found.meta["n_pairs"], 0, *shape.grid), np.int8),
            latent_steps=np.concatenate([found.latent_scales, found.minima]).astype(np.float32),
            sidecar=np.empty((0, 2), np.int8),
            constants=np.empty(0, np.int8),
        )
    )


def _unpacked(packed: bytes, limit: int, name: str) -> bytes:
    decoder = brotli.Decompressor()
    try:
        plain = decoder.process(packed, output_buffer_limit=limit)
        while len(plain) < limit and not decoder.is_finished() and not decoder.can_accept_more_data():
            plain += decoder.process(b"", output_buffer_limit=limit)
    except brotli.error as error:
        raise UnknownSyntax(f"published {name}", expected="a brotli stream", found=str(error)) from None
    if not decoder.is_finished():
        raise Truncated(f"published {name}", expected=f"a whole stream of up to {limit:,} bytes", found="another")
    return bytes(plain)


def _meta(plain: bytes) -> dict[str, Any]:
    try:
        meta = json.loads(plain)
        pairs, dimension, base = (int(meta[name]) for name in ("n_pairs", "latent_dim", "base_channels"))
        height, width = (int(side) for side in meta["eval_size"])
        sane = set(meta) == _META_KEYS and 0 < pairs <= 1 << 16 and 0 < dimension <= 126 and 2 <= base <= 255
        sane = sane and 64 <= height <= 4096 and 64 <= width <= 4096 and height % 64 == 0 and width % 64 == 0
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnknownSyntax("published meta", expected=f"JSON of {sorted(_META_KEYS)}", found=str(error)) from None
    if not sane:
        raise UnknownSyntax("published meta", expected="sizes that can be", found=str(meta)[:120])
    return {"n_pairs": pairs, "latent_dim": dimension, "base_channels": base, "eval_size": [height, width]}


def _tensors(plain: bytes) -> tuple[dict[str, NDArray[np.int8]], dict[str, np.float32]]:
    reader = Reader(plain, "published decoder")
    codes: dict[str, NDArray[np.int8]] = {}
    scales: dict[str, np.float32] = {}
    for _ in range(int(reader.fixed("u32", "count"))):
        name = reader.take(int(reader.fixed("u32", "length of a name")), "name").decode("utf-8", "replace")
        n_axes = int(reader.fixed("u32", "axes"))
        if n_axes > 4 or name in codes:
            raise UnknownSyntax("published decoder", expected="up to 4 axes and names once", found=f"{name[:40]!r}")
        shape = tuple(int(reader.fixed("u32", "length of an axis")) for _ in range(n_axes))
        scales[name] = np.float32(reader.fixed("f32", "scale"))
        size = int(reader.fixed("u32", "size"))
        if size != math.prod(shape):
            raise UnknownSyntax(f"published decoder, {name[:40]!r}", expected=f"{shape} weights", found=f"{size:,}")
        zigzag = np.frombuffer(reader.take(size, name), np.uint8).astype(np.int16)
        codes[name] = np.where(zigzag & 1, -(zigzag + 1) // 2, zigzag // 2).astype(np.int8).reshape(shape)
    reader.end()
    return codes, scales


def _latents(plain: bytes) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.uint8]]:
    reader = Reader(plain, "published latents")
    pairs, dimension = int(reader.fixed("u32", "pairs")), int(reader.fixed("u32", "dimensions"))
    minima, scales = (
        np.frombuffer(reader.take(2 * dimension, what), "<f2").astype(np.float16) for what in ("minima", "scales")
    )
    low, high = (
        np.frombuffer(reader.take(pairs * dimension, what), np.uint8).astype(np.int32)
        for what in ("low plane", "high plane")
    )
    reader.end()
    zigzag = (high << 8) | low
    deltas = np.where(zigzag & 1, -(zigzag + 1) // 2, zigzag // 2).reshape(pairs, dimension)
    values = np.cumsum(deltas, axis=0)
    if values.size and (values.min() < 0 or values.max() > 255):
        raise UnknownSyntax(
            "published latents", expected="codes of 0 to 255", found=f"{values.min()} to {values.max()}"
        )
    return minima, scales, np.ascontiguousarray(values.T.astype(np.uint8))
