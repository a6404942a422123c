"""Syntax of a payload of the family `semantic`: twelve bytes that address four streams.

    magic a7, code 03, length of m (u32), of w (u16), of p (u16), of r (u16) | m | w | p | r

    m   class maps of the last frames, see `lab.entropy.labelmap`
    w   the renderer: a table of its sizes, then its weights in two parts that are coded apart, four-bit and the rest
    p   poses: a table with a column per dimension, see `lab.entropy.columns`
    r   actions: a set of flags, then each tail's selectors, see `lab.entropy.sideinfo`

Every stream begins with its letter, so that one never passes for another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import MAGIC, Bitstream, Field, Reader, Section, Table, varint
from lab.codecs import weights
from lab.codecs.semantic.actions import TAILS, Actions, length
from lab.codecs.semantic.content import Content, Head, Maps
from lab.codecs.semantic.model import KINDS, Shape, tensor_shapes
from lab.codecs.weights import Stored, StoredTensor
from lab.entropy import columns, labelmap, sideinfo
from lab.errors import UnknownSyntax

CODE = 3
HEADER = Table(
    "semantic header",
    (
        Field("m", "u32", "bytes of the class maps"),
        Field("w", "u16", "bytes of the renderer"),
        Field("p", "u16", "bytes of the poses"),
        Field("r", "u16", "bytes of the actions"),
    ),
)
STREAMS = ("m", "w", "p", "r")
RENDERER = Table(
    "semantic renderer",
    (
        Field("height", "varint", "rows of a decoded frame"),
        Field("width", "varint", "columns of a decoded frame"),
        Field("classes", "u8", "classes that the renderer knows"),
        Field("embed", "u8", "numbers per class"),
        Field("trunk_width", "u8", "channels of the trunk"),
        Field("n_dilations", "u8", "residual convolutions of the trunk; one byte each follows the table"),
        Field("motion", KINDS, "how first frames are made"),
        Field("motion_width", "u8", "channels inside the motion branch"),
        Field("pose_dims", "u8", "numbers per pair that condition first frames"),
        Field("pose_scale", "u8", "codes per unit of these"),
        Field("four_bit_least", "varint", "weight tensors of at least so many values have four bits; 0 for none"),
        Field("packing", ("tensor", "channel", "rows"), "steps of all others"),
    ),
)
AREA_LIMIT_PX = 1 << 23
PIXEL_LIMIT = 1 << 28
# Activations of one pair at half the grid's sides; more would not fit a small machine.
ACTIVATION_LIMIT = 1 << 26
POSE_LIMIT = 1 << 20


def write(content: Content) -> Bitstream:
    """The payload of a content.

    Raises:
        BitstreamError: the content claims what cannot be.
        ValueError: arrays do not fit the architecture, or a stream is too long for its length field.
    """
    _check(content.head, content.maps.grid)
    shapes = tensor_shapes(content.head.shape)
    if list(content.weights) != list(shapes) or content.poses.shape != (content.n_pairs, content.head.shape.pose_dims):
        raise ValueError("the content's tensors or poses are not those of its architecture")
    made = {
        "m": (b"m" + content.maps.coded, content.maps.sections),
        "w": _renderer(content.head, content.weights),
        "p": _poses(content.poses),
        "r": pack_actions(content.actions),
    }
    head = MAGIC + bytes([CODE]) + HEADER.write({name: len(data) for name, (data, _) in made.items()})
    sections = [Section(name="header", kind="field table", offset=0, n_bytes=len(head))]
    at = len(head)
    for name, (data, children) in made.items():
        sections.append(_stream(name, data, children).shifted(at))
        at += len(data)
    return Bitstream(payload=head + b"".join(data for data, _ in made.values()), sections=tuple(sections))


def split(payload: bytes) -> dict[str, bytes]:
    """The four streams of a payload without their letters.

    Raises:
        BitstreamError: not a payload of this family, cut short, too long, or with its streams in another order.
    """
    reader = Reader(payload, "semantic")
    found = reader.take(2, "magic and family code")
    if found != MAGIC + bytes([CODE]):
        raise UnknownSyntax("semantic", expected=f"{MAGIC.hex()} {CODE:02x}", found=found.hex())
    lengths = HEADER.read(reader)
    streams = {name: reader.take(int(lengths[name]), f"stream {name}") for name in STREAMS}
    reader.end()
    for name, data in streams.items():
        if data[:1] != name.encode():
            raise UnknownSyntax(f"semantic, stream {name}", expected=f"the letter {name}", found=repr(data[:1]))
    return {name: data[1:] for name, data in streams.items()}


def read(payload: bytes) -> Content:
    """The content of a payload.

    Raises:
        BitstreamError: not a payload of this family, cut short, damaged, or one that claims what cannot be.
    """
    coded = split(payload)["m"]
    found = labelmap.read(coded, most_pixels=PIXEL_LIMIT)
    return read_beside(payload, Maps(labels=found.labels, coded=coded, sections=found.sections))


def read_beside(payload: bytes, maps: Maps) -> Content:
    """As `read`, for a reader that has decoded the class maps already, which is what takes the time."""
    streams = split(payload)
    head, tensors = read_renderer(streams["w"])
    _check(head, maps.grid)
    n_pairs = len(maps.labels)
    if streams["m"] != maps.coded or int(maps.labels.max()) >= head.shape.classes:
        raise UnknownSyntax("semantic, stream m", expected=f"classes below {head.shape.classes}", found="others")
    return Content(
        head=head,
        maps=maps,
        weights=tensors,
        poses=read_poses(streams["p"], (n_pairs, head.shape.pose_dims)),
        actions=read_actions(streams["r"], n_pairs),
    )


def _stream(name: str, data: bytes, children: tuple[Section, ...]) -> Section:
    kinds = {"m": "class maps", "w": "renderer", "p": "poses", "r": "actions"}
    letter = Section(name="letter", kind="tag", offset=0, n_bytes=1)
    known = [child.ideal_bits for child in children if child.ideal_bits is not None]
    ideal = sum(known) + 8.0 * (len(data) - sum(c.n_bytes for c in children if c.ideal_bits is not None))
    return Section(
        name=name,
        kind=kinds[name],
        offset=0,
        n_bytes=len(data),
        ideal_bits=ideal if known else None,
        children=(letter, *(child.shifted(1) for child in children)),
    )


def _renderer(head: Head, tensors: Mapping[str, StoredTensor]) -> tuple[bytes, tuple[Section, ...]]:
    shape = head.shape
    four = {name: tensor for name, tensor in tensors.items() if _is_four_bit(tensor)}
    rest = {name: tensor for name, tensor in tensors.items() if name not in four}
    least = min((math.prod(tensor.shape) for tensor in four.values()), default=0)
    if any(four_bit(tensor.shape, least) != (name in four) for name, tensor in tensors.items()):
        raise ValueError("four-bit tensors are all those of at least some size")
    packing = _packing(rest)
    table = RENDERER.write(
        {
            "height": head.size[0],
            "width": head.size[1],
            "classes": shape.classes,
            "embed": shape.embed,
            "trunk_width": shape.width,
            "n_dilations": len(shape.dilations),
            "motion": shape.motion,
            "motion_width": shape.motion_width,
            "pose_dims": shape.pose_dims,
            "pose_scale": head.pose_scale,
            "four_bit_least": least,
            "packing": packing,
        }
    ) + bytes(shape.dilations)
    parts = [("four-bit weights", four, "fp4"), ("weights", rest, packing)]
    coded = [weights.write(part.values(), kind) if part else b"" for _, part, kind in parts]
    table += varint(len(coded[0]))
    sections = [Section(name="table", kind="field table", offset=0, n_bytes=len(table))]
    at = len(table)
    for (name, part, kind), data in zip(parts, coded, strict=True):
        if data:
            stored = weights.read(data, kind, {key: tensor.shape for key, tensor in part.items()})
            children = weights.children(data, stored.values())
            ideal = sum(c.ideal_bits if c.ideal_bits is not None else 8.0 * c.n_bytes for c in children)
            whole = Section(name=name, kind=kind, offset=0, n_bytes=len(data), ideal_bits=ideal, children=children)
            sections.append(whole.shifted(at))
            at += len(data)
    return b"w" + table + b"".join(coded), tuple(sections)


def read_renderer(stream: bytes) -> tuple[Head, dict[str, Stored]]:
    """Sizes, architecture and weights of stream w."""
    reader = Reader(stream, "semantic, stream w")
    values = RENDERER.read(reader)
    number = {name: int(value) for name, value in values.items() if not isinstance(value, str)}
    dilations = tuple(reader.take(number["n_dilations"], "dilations"))
    try:
        shape = Shape(
            classes=number["classes"],
            embed=number["embed"],
            width=number["trunk_width"],
            dilations=dilations,
            motion=cast(Literal["film", "warp", "zoom"], values["motion"]),
            motion_width=number["motion_width"],
            pose_dims=number["pose_dims"],
        )
    except ValueError as error:
        raise UnknownSyntax("semantic, stream w", expected="a renderer that can be", found=str(error)) from None
    first = reader.take(reader.varint("length of four-bit weights"), "four-bit weights")
    second = reader.take(reader.remaining, "weights")
    shapes = tensor_shapes(shape)
    four = {name: dims for name, dims in shapes.items() if four_bit(dims, number["four_bit_least"])}
    rest = {name: dims for name, dims in shapes.items() if name not in four}
    if bool(four) != bool(first):
        raise UnknownSyntax("semantic, stream w", expected="four-bit weights where there are any", found="otherwise")
    found = weights.read(first, "fp4", four) if four else {}
    found |= weights.read(second, str(values["packing"]), rest)
    head = Head(size=(number["height"], number["width"]), shape=shape, pose_scale=number["pose_scale"])
    return head, {name: found[name] for name in shapes}


def four_bit(shape: tuple[int, ...], least: int) -> bool:
    """Whether a tensor of this shape has four-bit weights."""
    return bool(least) and len(shape) > 1 and math.prod(shape) >= least


def _is_four_bit(tensor: StoredTensor) -> bool:
    return len(tensor.shape) > 1 and tensor.codes.dtype == np.uint8


def _packing(tensors: Mapping[str, StoredTensor]) -> str:
    big = [tensor for tensor in tensors.values() if len(tensor.shape) > 1]
    if any(len(tensor.depths) for tensor in big):
        return "rows"
    return "channel" if any(len(tensor.steps) == tensor.shape[0] > 1 for tensor in big) else "tensor"


def _poses(poses: NDArray[np.int64]) -> tuple[bytes, tuple[Section, ...]]:
    coded = columns.encode(poses)
    return b"p" + coded.payload, coded.sections


def read_poses(stream: bytes, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Stream p, int64 (n_pairs, pose_dims)."""
    poses = columns.decode(stream, most_values=shape[0] * shape[1])
    if poses.shape != shape or np.abs(poses).max() > POSE_LIMIT:
        raise UnknownSyntax(
            "semantic, stream p", expected=f"{shape} codes up to {POSE_LIMIT:,}", found=f"{poses.shape}"
        )
    return poses


def pack_actions(actions: Actions) -> tuple[bytes, tuple[Section, ...]]:
    """Stream r and its sections, its letter first."""
    used = {tail: getattr(actions, tail) for tail in TAILS if len(getattr(actions, tail))}
    flags = sum(1 << number for number, tail in enumerate(TAILS) if tail in used)
    if not flags:
        return b"r", ()
    data, sections = b"r" + bytes([flags]), [Section(name="flags", kind="bits", offset=0, n_bytes=1)]
    for tail, codes in used.items():
        coded = sideinfo.encode_selectors(codes, _bits(tail))
        head = varint(len(coded.payload))
        inner = (
            Section(name="length", kind="varint", offset=0, n_bytes=len(head)),
            *(section.shifted(len(head)) for section in coded.sections),
        )
        whole = Section(
            name=tail,
            kind="selectors",
            offset=0,
            n_bytes=len(head) + len(coded.payload),
            ideal_bits=8.0 * len(head) + coded.account.ideal_bits,
            children=inner,
        )
        sections.append(whole.shifted(len(data) - 1))
        data += head + coded.payload
    return data, tuple(sections)


def read_actions(stream: bytes, n_pairs: int) -> Actions:
    """Stream r."""
    reader = Reader(stream, "semantic, stream r")
    flags = reader.take(1, "flags")[0] if reader.remaining else 0
    if flags >> len(TAILS) or (not flags and stream):
        raise UnknownSyntax("semantic, stream r", expected="flags of known tails", found=f"{flags:08b}")
    found: dict[str, NDArray[np.uint8]] = {}
    for number, tail in enumerate(TAILS):
        codes = np.empty(0, np.int64)
        if flags >> number & 1:
            coded = reader.take(reader.varint(f"length of {tail}"), tail)
            codes = sideinfo.decode_selectors(coded, _bits(tail), most_values=n_pairs).reshape(-1)
            if len(codes) != length(tail, n_pairs):
                raise UnknownSyntax(
                    f"semantic, {tail}", expected=f"{length(tail, n_pairs)} codes", found=str(len(codes))
                )
        found[tail] = codes.astype(np.uint8)
    reader.end()
    return Actions(**found)


def _bits(tail: str) -> int:
    return (TAILS[tail] - 1).bit_length()


def _check(head: Head, grid: tuple[int, int]) -> None:
    """Return only if frames of this header fit bounded memory and the grid."""
    where, shape = "semantic, stream w", head.shape
    if not 0 < head.size[0] * head.size[1] <= AREA_LIMIT_PX:
        raise UnknownSyntax(where, expected=f"frames of 1 to {AREA_LIMIT_PX:,} pixels", found=str(head.size))
    if head.pose_scale < 1:
        raise UnknownSyntax(where, expected="a pose scale of at least 1", found="0")
    if any(side % 2 or side < 2 for side in grid):
        raise UnknownSyntax("semantic, stream m", expected="maps with even sides", found=str(grid))
    if grid[0] * grid[1] // 4 * max(shape.width, shape.motion_width, 12) > ACTIVATION_LIMIT:
        raise UnknownSyntax(where, expected="activations that fit", found=f"{grid}, {shape.width} channels")
    if any(large != small and large < 2 * small for large, small in zip(head.size, grid, strict=True)):
        raise UnknownSyntax(where, expected=f"a frame at least twice the grid {grid}", found=str(head.size))


def anatomy(payload: bytes) -> Bitstream:
    """The payload's sections."""
    found = write(read(payload))
    if found.payload != payload:
        raise UnknownSyntax("semantic", expected="the bytes that this syntax gives", found="others")
    return found
