"""Weights that stand alone: names and shapes, a step per tensor, the codes of `weightstream`; one checksum for all."""

from __future__ import annotations

from collections.abc import Mapping

import brotli
import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Reader, Section, varint
from lab.entropy import weightstream
from lab.entropy.bounds import Account
from lab.entropy.weightstream import MOST_CODES, CodedWeights, Shape
from lab.errors import EntropyError, UnknownSyntax

_SCHEMA_LIMIT = 1 << 20


def encode(codes: Mapping[str, NDArray[np.int8]], steps: Mapping[str, np.float32]) -> CodedWeights:
    """A payload that stands alone: names and shapes, a float32 step per tensor, and the codes.

    Layout: schema length (varint) | schema (brotli of one line per tensor: name, axes) | steps (f32) | codes.
    """
    schema = "\n".join(" ".join([name, *map(str, tensor.shape)]) for name, tensor in codes.items())
    if not codes or schema.count(" ") != sum(tensor.ndim for tensor in codes.values()):
        raise EntropyError("weights, names", expected="one tensor or more, names without spaces", found="others")
    packed = brotli.compress(schema.encode(), quality=11)
    head = varint(len(packed)) + packed + np.array([steps[name] for name in codes], "<f4").tobytes()
    coded = weightstream.encode(list(codes.values()), sealed=head)
    names = Section(name="names, shapes and steps", kind="brotli, f32", offset=0, n_bytes=len(head))
    account = Account(
        n_bytes=len(head) + len(coded.payload),
        ideal_bits=8 * len(head) + coded.account.ideal_bits,
        bound_bits=coded.account.bound_bits,
        bound=coded.account.bound,
    )
    sections = (names, *(section.shifted(len(head)) for section in coded.sections))
    return CodedWeights(payload=head + coded.payload, account=account, sections=sections)


def decode(payload: bytes) -> tuple[dict[str, NDArray[np.int8]], dict[str, np.float32]]:
    """Codes and steps by name, from what `encode` wrote.

    Raises:
        BitstreamError: not such a payload, cut short, or damaged.
    """
    reader = Reader(payload, "weights")
    shapes = _schema(reader.take(reader.varint("length of the schema"), "schema"))
    steps = np.frombuffer(reader.take(4 * len(shapes), "steps"), "<f4").astype(np.float32)
    head = payload[: reader.offset]
    tensors = weightstream.decode(reader.take(reader.remaining, "codes"), list(shapes.values()), sealed=head)
    for tensor in tensors:
        if tensor.size and not -128 <= int(tensor.min()) <= int(tensor.max()) <= 127:
            raise UnknownSyntax("weights, codes", expected="int8", found=f"{tensor.min()} to {tensor.max()}")
    codes = {name: tensor.astype(np.int8) for name, tensor in zip(shapes, tensors, strict=True)}
    return codes, dict(zip(shapes, steps, strict=True))


def _schema(packed: bytes) -> dict[str, Shape]:
    """Names and shapes of tensors."""
    try:
        plain = brotli.Decompressor().process(packed, output_buffer_limit=_SCHEMA_LIMIT)
        lines = bytes(plain).decode().split("\n")
        shapes = {line.split(" ")[0]: tuple(int(axis) for axis in line.split(" ")[1:]) for line in lines}
    except (brotli.error, UnicodeDecodeError, ValueError) as error:
        raise UnknownSyntax("weights, schema", expected="lines of names and axes", found=str(error)[:80]) from None
    if len(shapes) != len(lines) or any(not 0 <= axis <= MOST_CODES for shape in shapes.values() for axis in shape):
        raise UnknownSyntax("weights, schema", expected="names once, axes within limits", found="others")
    return shapes
