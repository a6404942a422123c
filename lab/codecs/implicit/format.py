"""Syntax of a payload of the family `implicit`: header, architecture, weights, latents, corrections.

A decoder's weights are named and shaped by its architecture, so no names are stored. A value is code times step;
latents of the unsigned kind have an offset as well.
"""

from __future__ import annotations

import math
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Bitstream, Field, Layout, Table
from lab.codecs.implicit import packing
from lab.codecs.implicit.content import Content, Head
from lab.codecs.implicit.model import ACTIVATIONS, KINDS, Shape, tensor_shapes
from lab.entropy.bounds import order0_bits
from lab.errors import UnknownSyntax

UP_SAMPLERS = ("aligned", "bicubic", "none")
STEP_KINDS = ("half", "single", "exponent")
GRANULARITY = ("tensor", "row")
AREA_LIMIT_PX = 1 << 23
WEIGHT_LIMIT = 1 << 22
LATENT_LIMIT = 1 << 22
# Activations of one pair at the widest stage; more would not fit a small machine.
ACTIVATION_LIMIT = 1 << 28
_AROUND = 8
HEADER = Table(
    "implicit header",
    (
        Field("height", "varint", "rows of a decoded frame"),
        Field("width", "varint", "columns of a decoded frame"),
        Field("n_pairs", "varint", "pairs of frames, one latent each"),
        Field("up", UP_SAMPLERS, "from the decoder's grid to the frame"),
        Field("kind", KINDS, "architecture of the decoder"),
        Field("activation", ACTIVATIONS, "between layers"),
        Field("latent_dim", "varint", "numbers per pair"),
        Field("grid_rows", "u8", "rows that the stem writes"),
        Field("grid_columns", "u8", "columns that the stem writes"),
        Field("n_stages", "u8", "stages, each doubles the grid"),
        Field("rank", "u8", "learned maps of a lean stem"),
        Field("refine", "u8", "channels inside the refinement, 0 for none"),
        Field("planes", "u8", "planes of a pair's field, 0 for none"),
        Field("fold", "u8", "rows of a field per row of the stem's grid"),
        Field("options", "u8", "1: gains; 2: shuffled head; 4: late field; 8: fields coded from what is around"),
        Field("granularity", GRANULARITY, "one step per weight tensor, or one per row of it"),
        Field("step_kind", STEP_KINDS, "how steps are stored; exponent: powers of two"),
        Field("vectors", ("half", "codes"), "vectors as half-precision numbers, or quantized like the rest"),
        Field("latent_kind", ("signed", "unsigned"), "signed codes, or unsigned ones with an offset per dimension"),
    ),
)
LAYOUT = Layout(
    family="implicit",
    code=4,
    header=HEADER,
    sections=("widths", "steps", "vectors", "weights", "latent steps", "latents", "fields", "side-car", "constants"),
)
KIND_OF = {
    "widths": "channels, kernels",
    "steps": "numbers",
    "vectors": "numbers",
    "weights": "int8 codes",
    "latent steps": "numbers",
    "latents": "8-bit codes",
    "fields": "8-bit codes",
    "side-car": "dimension, amount",
    "constants": "8-bit codes",
}


def write(content: Content) -> Bitstream:
    """The payload of a content.

    Raises:
        BitstreamError: the header claims what cannot be.
        ValueError: arrays do not fit the architecture.
    """
    head, shape = content.head, content.head.shape
    _check(head)
    quantized, vectors = _split(head)
    if list(content.codes) != quantized or list(content.vectors) != vectors:
        raise ValueError("the content's tensors are not those of its architecture, in order")
    sections = {
        "widths": bytes(shape.widths) + bytes(shape.kernels),
        "steps": _pack_steps([content.steps[name] for name in quantized], head.step_kind),
        "vectors": packing.pack_numbers(_joined([content.vectors[name] for name in vectors]).astype(np.float16)),
        "weights": packing.pack_weights([content.codes[name] for name in quantized]),
        "latent steps": _pack_steps([content.latent_steps], _latent_step_kind(head)),
        "latents": packing.pack_latents(content.latents, signed=head.latent_kind == "signed"),
        "fields": packing.pack_fields(content.fields, head.field_coder),
        "side-car": _pack_sidecar(content.sidecar),
        "constants": content.constants.tobytes() if content.constants.any() else b"",
    }
    return LAYOUT.write(_values(head), sections, kinds=KIND_OF, ideal_bits=_ideal_bits(content))


def read(payload: bytes) -> Content:
    """The content of a payload.

    Raises:
        BitstreamError: not a payload of this family, cut short, damaged, or one that claims what cannot be.
    """
    values, sections = LAYOUT.read(payload)
    head = _head(values, sections["widths"])
    _check(head)
    shapes = tensor_shapes(head.shape)
    quantized, vectors = _split(head)
    n_steps = [shapes[name][0] if head.granularity == "row" else 1 for name in quantized]
    steps = packing.unpack_numbers(sections["steps"], sum(n_steps), head.step_kind, "section steps")
    lengths = [math.prod(shapes[name]) for name in vectors]
    numbers = packing.unpack_numbers(sections["vectors"], sum(lengths), "half", "section vectors")
    codes = packing.unpack_weights(sections["weights"], [shapes[name] for name in quantized])
    dimension = head.shape.latent_dim
    n_latent_steps = 2 * dimension if head.latent_kind == "unsigned" else dimension if head.granularity == "row" else 1
    return Content(
        head=head,
        codes=dict(zip(quantized, codes, strict=True)),
        steps=dict(zip(quantized, np.split(steps, np.cumsum(n_steps)[:-1]), strict=True)),
        vectors=dict(zip(vectors, np.split(numbers, np.cumsum(lengths)[:-1]), strict=True)) if vectors else {},
        latents=packing.unpack_latents(
            sections["latents"], (dimension, head.n_pairs), signed=head.latent_kind == "signed"
        ),
        fields=packing.unpack_fields(sections["fields"], (head.n_pairs, *head.shape.field), head.field_coder),
        latent_steps=packing.unpack_numbers(
            sections["latent steps"], n_latent_steps, _latent_step_kind(head), "section latent steps"
        ),
        sidecar=_unpack_sidecar(sections["side-car"], head),
        constants=_unpack_constants(sections["constants"]),
    )


def anatomy(payload: bytes) -> Bitstream:
    """The payload's sections, as they stand."""
    content = read(payload)
    values, sections = LAYOUT.read(payload)
    return LAYOUT.write(values, sections, kinds=KIND_OF, ideal_bits=_ideal_bits(content))


def _ideal_bits(content: Content) -> dict[str, float]:
    """The order-0 entropy of each tensor's codes, and of latents or their differences along time."""
    difference = np.diff(content.latents, axis=1, prepend=np.zeros((len(content.latents), 1), np.uint8))
    return {
        "weights": sum(order0_bits(codes) for codes in content.codes.values()),
        "latents": min(order0_bits(content.latents), order0_bits(difference)),
    }


def _split(head: Head) -> tuple[list[str], list[str]]:
    """Names of quantized tensors and of vectors kept in half precision."""
    shapes = tensor_shapes(head.shape)
    vectors = [name for name, shape in shapes.items() if len(shape) < 2] if head.vectors == "half" else []
    return [name for name in shapes if name not in vectors], vectors


def _latent_step_kind(head: Head) -> str:
    return "half" if head.latent_kind == "unsigned" else head.step_kind


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([part.reshape(-1) for part in parts]) if parts else np.empty(0, np.float32)


def _pack_steps(steps: list[NDArray[np.float32]], kind: str) -> bytes:
    joined = _joined(steps)
    if kind == "exponent":
        return packing.pack_numbers(np.log2(joined).astype(np.int8))
    return packing.pack_numbers(joined.astype(np.float16) if kind == "half" else joined)


def _pack_sidecar(sidecar: NDArray[np.int8]) -> bytes:
    if not len(sidecar) or not sidecar[:, 0].any():
        return b""
    used = sidecar[:, 0] > 0
    return packing.squeeze(sidecar[:, 0].tobytes() + sidecar[used, 1].tobytes())


def _unpack_sidecar(packed: bytes, head: Head) -> NDArray[np.int8]:
    if not packed:
        return np.empty((0, 2), np.int8)
    plain = np.frombuffer(packing.stretch_any(packed, head.n_pairs, 2 * head.n_pairs, "section side-car"), np.int8)
    out = np.zeros((head.n_pairs, 2), np.int8)
    out[:, 0] = plain[: head.n_pairs]
    used = out[:, 0] != 0
    if out[:, 0].min() < 0 or out[:, 0].max() > head.shape.latent_dim or used.sum() != len(plain) - head.n_pairs:
        raise UnknownSyntax("section side-car", expected="a dimension for every amount", found="something else")
    out[used, 1] = plain[head.n_pairs :]
    return out


def _unpack_constants(packed: bytes) -> NDArray[np.int8]:
    if len(packed) not in (0, 7):
        raise UnknownSyntax("section constants", expected="0 or 7 bytes", found=str(len(packed)))
    return np.frombuffer(packed, np.int8)


def _values(head: Head) -> dict[str, object]:
    shape = head.shape
    return {
        "height": head.size[0],
        "width": head.size[1],
        "n_pairs": head.n_pairs,
        "up": head.up,
        "kind": shape.kind,
        "activation": shape.activation,
        "latent_dim": shape.latent_dim,
        "grid_rows": shape.grid[0],
        "grid_columns": shape.grid[1],
        "n_stages": len(shape.kernels),
        "rank": shape.rank,
        "refine": shape.refine,
        "planes": shape.planes,
        "fold": shape.fold,
        "options": int(shape.modulated)
        + 2 * int(shape.shuffled)
        + 4 * int(shape.late)
        + _AROUND * (head.field_coder == "around"),
        "granularity": head.granularity,
        "step_kind": head.step_kind,
        "vectors": head.vectors,
        "latent_kind": head.latent_kind,
    }


def _head(values: dict[str, int | float | str], widths: bytes) -> Head:
    number = {name: int(value) for name, value in values.items() if not isinstance(value, str)}
    n_stages = number["n_stages"]
    if len(widths) != 2 * n_stages + 1 or number["options"] >= 2 * _AROUND:
        raise UnknownSyntax(
            "implicit header", expected=f"{2 * n_stages + 1} widths and kernels", found=str(len(widths))
        )
    try:
        shape = Shape(
            kind=cast(Literal["lean", "published"], values["kind"]),
            latent_dim=number["latent_dim"],
            grid=(number["grid_rows"], number["grid_columns"]),
            widths=tuple(widths[: n_stages + 1]),
            kernels=tuple(widths[n_stages + 1 :]),
            rank=number["rank"],
            refine=number["refine"],
            planes=number["planes"],
            fold=number["fold"],
            modulated=bool(number["options"] & 1),
            shuffled=bool(number["options"] & 2),
            late=bool(number["options"] & 4),
            activation=cast(Literal["sin", "gelu"], values["activation"]),
        )
    except ValueError as error:
        raise UnknownSyntax("implicit header", expected="a decoder that can be", found=str(error)) from None
    return Head(
        size=(number["height"], number["width"]),
        n_pairs=number["n_pairs"],
        up=cast(Literal["aligned", "bicubic", "none"], values["up"]),
        shape=shape,
        granularity=cast(Literal["tensor", "row"], values["granularity"]),
        step_kind=cast(Literal["half", "single", "exponent"], values["step_kind"]),
        vectors=cast(Literal["half", "codes"], values["vectors"]),
        latent_kind=cast(Literal["signed", "unsigned"], values["latent_kind"]),
        field_coder="around" if number["options"] & _AROUND else "rows",
    )


def _check(head: Head) -> None:
    """Return only if a decoder of this header fits bounded memory; nothing was allocated for it yet."""
    shape, (rows, columns) = head.shape, head.shape.size
    where = "implicit header"
    if not (0 < head.size[0] * head.size[1] <= AREA_LIMIT_PX and rows * columns <= AREA_LIMIT_PX):
        raise UnknownSyntax(where, expected=f"1 to {AREA_LIMIT_PX:,} pixels", found=f"{head.size}, {shape.size}")
    if shape.latent_dim > 126 or not 0 < head.n_pairs * shape.latent_dim <= LATENT_LIMIT:
        raise UnknownSyntax(
            where, expected=f"1 to {LATENT_LIMIT:,} latents", found=f"{head.n_pairs}x{shape.latent_dim}"
        )
    if head.n_pairs * math.prod(shape.field) > LATENT_LIMIT:
        raise UnknownSyntax(where, expected=f"up to {LATENT_LIMIT:,} codes of fields", found=f"{shape.field}")
    widest = max(width * 4**number for number, width in enumerate(shape.widths)) * shape.grid[0] * shape.grid[1]
    if 4 * widest > ACTIVATION_LIMIT:
        raise UnknownSyntax(where, expected=f"activations up to {ACTIVATION_LIMIT // 4:,}", found=f"{widest:,}")
    n_weights = sum(math.prod(dims) for dims in tensor_shapes(shape).values())
    if n_weights > WEIGHT_LIMIT:
        raise UnknownSyntax(where, expected=f"up to {WEIGHT_LIMIT:,} weights", found=f"{n_weights:,}")
    if head.granularity == "tensor" and head.step_kind == "exponent":
        raise UnknownSyntax(where, expected="exponents per row", found="per tensor")
    if head.up == "none" and head.size != shape.size:
        raise UnknownSyntax(where, expected=f"frames of the decoder's size {shape.size}", found=str(head.size))
    if head.up == "aligned" and any(
        large != small and large < 2 * small for large, small in zip(head.size, shape.size, strict=True)
    ):
        raise UnknownSyntax(where, expected=f"a frame at least twice the grid {shape.size}", found=str(head.size))
