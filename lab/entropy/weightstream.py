"""Weights of a network as bytes: the integer codes of all tensors in one stream, in one of three ways.

* `mixing`: logistic mixing over all tensors, which shares what it learns between them;
* `tensors`: an order-0 model or a shape for each tensor, with one scale or one per row, chosen by size;
* `stored`: a byte per code, where codes hardly vary: the other two never expand further than EXPANSION, which bounds
  what a damaged payload can ask of a decoder.

Names and shapes are not sent here: a decoder knows them from its architecture. `weightstate` adds them, and the steps,
for a payload that stands alone. Four-bit floats are codes like others, once `ordered_fp4` has put them in the order of
their values; a step per block of 32 comes with them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Field, Reader, Section, Table
from lab.entropy.bounds import Account, order0_bits
from lab.entropy.coders import Coder, Shares, check_end, emit, joined, player
from lab.entropy.contextmodels import Mixing
from lab.entropy.models import Adaptive, Integers, Model
from lab.entropy.shapemodels import Gaussian, Laplace, Student
from lab.entropy.streams import check, checksum
from lab.errors import BitstreamError, EntropyError, UnknownSyntax

METHODS = ("tensors", "mixing", "stored")
MOST_CODES = 1 << 24
MOST_SIZE = 256  # values of a code
EXPANSION = 16  # codes per byte; half a bit per weight, below any network on record
_FREE_CODES = 4096  # for which that does not hold
HEADER = Table(
    "weights",
    (
        Field("method", METHODS, "how codes are modelled"),
        Field("checksum", "u32", "CRC-32 of all codes as int64, tensor by tensor"),
        Field("side", "varint", "bytes of side information"),
    ),
)
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedWeights:
    """The bytes of weights and what they are made of."""

    payload: bytes
    account: Account
    sections: tuple[Section, ...]


def tensor_models(columns: int) -> tuple[Model, ...]:
    """What a tensor of rows of `columns` codes may be coded with; its index is sent."""
    return (
        Adaptive(step=24),
        Adaptive(step=8, most=1 << 15),
        Adaptive(step=4, most=1 << 15),
        Laplace(),
        Gaussian(),
        Student(),
        Laplace(columns=columns),
        Gaussian(columns=columns),
        Student(columns=columns),
    )


def encode(
    tensors: Sequence[NDArray[Any]], *, sealed: bytes = b"", methods: Sequence[str] = METHODS[:2]
) -> CodedWeights:
    """The bytes of the codes of all tensors, by whichever method is shorter.

    Args:
        tensors: integers within 256 values, at most MOST_CODES of them; the last axes of each are its rows.
        sealed: bytes sent elsewhere that the checksum covers as well.
        methods: those to try besides storing.

    Raises:
        EntropyError: too many codes, or a wider range.
    """
    flat = [np.ascontiguousarray(tensor, np.int64).reshape(-1) for tensor in tensors]
    whole = np.concatenate(flat) if flat else np.empty(0, np.int64)
    if whole.size > MOST_CODES or (whole.size and int(whole.max()) - int(whole.min()) >= MOST_SIZE):
        raise EntropyError("weights", expected=f"up to {MOST_CODES:,} codes of {MOST_SIZE} values", found="others")
    columns = [_columns(tensor.shape) for tensor in tensors]
    tried = [_encode_one(method, flat, columns, checksum(whole, sealed)) for method in (*methods, "stored")]
    payload, at, ideal = min((one for one in tried if _allowed(whole.size, one[0])), key=lambda one: len(one[0]))
    account = Account(
        n_bytes=len(payload),
        ideal_bits=8.0 * at + ideal,
        bound_bits=sum(order0_bits(codes) for codes in flat),
        bound="order-0 entropy of each tensor",
    )
    sections = (
        Section(name="model", kind="side information", offset=0, n_bytes=at),
        Section(name="codes", kind="entropy coded", offset=at, n_bytes=len(payload) - at, ideal_bits=ideal),
    )
    return CodedWeights(payload=payload, account=account, sections=sections)


def decode(payload: bytes, shapes: Sequence[Shape], *, sealed: bytes = b"") -> list[Integers]:
    """The codes of tensors of these shapes, int64.

    Raises:
        BitstreamError: not a payload for these shapes, cut short, or damaged.
    """
    sizes = [math.prod(shape) for shape in shapes]
    if sum(sizes) > MOST_CODES or not _allowed(sum(sizes), payload):
        raise UnknownSyntax(
            "weights, shapes",
            expected=f"at most {EXPANSION} codes per byte",
            found=f"{sum(sizes):,} in {len(payload):,}",
        )
    reader = Reader(payload, "weights")
    head = HEADER.read(reader)
    side = Reader(reader.take(int(head["side"]), "side information"), "weights, side information")
    coded = reader.take(reader.remaining, "codes")
    if head["method"] == "stored":
        whole = _read_stored(side, coded, sum(sizes))
    else:
        tape = player(Coder.RANGE, coded)
        whole = _read_coded(str(head["method"]), side, tape, sizes, [_columns(shape) for shape in shapes])
        check_end(tape)
    side.end()
    check(whole, int(head["checksum"]), "weights", sealed)
    parts = np.split(whole, np.cumsum(sizes)[:-1]) if shapes else []
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def ordered_fp4(nibbles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Four-bit floats (sign in bit 3) in the order of their values, 0 to 15; -0 comes before 0."""
    return np.where(nibbles & 8, 15 - nibbles, 8 + nibbles).astype(np.uint8)


def fp4_of(ordered: NDArray[np.integer]) -> NDArray[np.uint8]:
    """The inverse of `ordered_fp4`."""
    return np.where(ordered < 8, 15 - ordered, ordered - 8).astype(np.uint8)


def _columns(shape: Shape) -> int:
    """Codes in a row of a tensor: all of one output; a vector has rows of one."""
    return max(math.prod(shape[1:]), 1)


def _allowed(n_codes: int, payload: bytes) -> bool:
    return n_codes <= _FREE_CODES + EXPANSION * len(payload)


def _encode_one(method: str, flat: list[Integers], columns: list[int], crc: int) -> tuple[bytes, int, float]:
    """A payload, where its coded symbols begin, and their ideal bits."""
    whole = np.concatenate(flat) if flat else np.empty(0, np.int64)
    shares = Shares(spans=np.empty(0, np.uint32))
    if method == "mixing":
        side, shares = Mixing(
            groups=tuple((len(codes), width) for codes, width in zip(flat, columns, strict=True))
        ).encode(whole)
    elif method == "tensors":
        parts = [_encode_tensor(codes, width) for codes, width in zip(flat, columns, strict=True) if codes.size]
        side, shares = b"".join(part for part, _ in parts), joined([found for _, found in parts])
    else:
        lowest = int(whole.min()) if whole.size else 0
        side = _LOWEST.write(lowest)
    head = HEADER.write({"method": method, "checksum": crc, "side": len(side)}) + side
    if method == "stored":
        return head + (whole - lowest).astype(np.uint8).tobytes(), len(head), 8.0 * whole.size
    return head + emit(Coder.RANGE, shares), len(head), shares.ideal_bits


_LOWEST = Field("lowest", "svarint", "smallest code")


def _encode_tensor(codes: Integers, columns: int) -> tuple[bytes, Shares]:
    """The index of the smallest model and what it sends, and the shares of a tensor."""
    best: tuple[float, bytes, Shares] | None = None
    for index, model in enumerate(tensor_models(columns)):
        side, shares = model.encode(codes)
        cost = 8 * len(side) + shares.ideal_bits
        if best is None or cost < best[0]:
            best = cost, bytes([index]) + side, shares
    assert best is not None
    return best[1:]


def _read_coded(method: str, side: Reader, tape: Any, sizes: list[int], columns: list[int]) -> Integers:
    if method == "mixing":
        return Mixing(groups=tuple(zip(sizes, columns, strict=True))).decode(side, tape, sum(sizes))
    parts = [np.empty(0, np.int64)]
    for size, width in zip(sizes, columns, strict=True):
        if size:
            index, models = side.take(1, "model")[0], tensor_models(width)
            if index >= len(models):
                raise UnknownSyntax(side.where, expected=f"a model below {len(models)}", found=str(index))
            parts.append(models[index].decode(side, tape, size))
    return np.concatenate(parts)


def _read_stored(side: Reader, coded: bytes, count: int) -> Integers:
    if len(coded) != count:
        raise BitstreamError("weights, stored", expected=f"{count:,} bytes", found=f"{len(coded):,}")
    return np.frombuffer(coded, np.uint8).astype(np.int64) + int(_LOWEST.read(side))
