"""Weights of a small network as bytes: integer codes, their steps, and vectors in half precision.

The names and shapes are not sent: the decoder knows them from the architecture in the header. A section is

    codes length | steps length | vectors length (varints) | codes | steps | vectors

    codes     of all matrices and convolutions in the model's order: int8, or four-bit pairs, or `depth` bits each
    steps     half precision in two byte planes, high bytes first; for `rows` exponents, then depths
    vectors   half precision in two byte planes: biases

Each stream is stored as it is, as raw LZMA or, codes only, by our own models (`lab.entropy.weightstream`), whichever is
smallest; a leading byte says which. `values` rebuilds code times step in float32, exactly the value that was trained.
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Reader, Section, varint
from lab.entropy import weightstream
from lab.errors import BitstreamError, UnknownSyntax

KINDS = ("tensor", "channel", "fp4", "rows")
_FP4_LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_FP4_BLOCK = 32
_MAX_DEPTH = 8
_STREAMS = ("codes", "steps", "vectors")
_STORED, _LZMA, _MODELLED = 0, 1, 2
_NAMES = {_STORED: "stored", _LZMA: "lzma", _MODELLED: "entropy coded"}
_FILTERS = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 20, "lc": 0, "lp": 0, "pb": 0}]


class StoredTensor(Protocol):
    """A tensor as a quantizer packs it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; vectors are stored in half precision."""

    @property
    def codes(self) -> NDArray[Any]:
        """Integer codes, or the half-precision values of a vector."""

    @property
    def steps(self) -> NDArray[np.float16]:
        """Steps of tensor, rows or blocks."""

    @property
    def exponents(self) -> NDArray[np.int8]:
        """Of the steps of `rows`."""

    @property
    def depths(self) -> NDArray[np.uint8]:
        """Bits per code of `rows`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A tensor as it was read back; fields as in `StoredTensor`."""

    shape: tuple[int, ...]
    codes: NDArray[Any]
    steps: NDArray[np.float16]
    exponents: NDArray[np.int8]
    depths: NDArray[np.uint8]


def kind_of(scheme: str) -> str:
    """How a quantizer's scheme is stored.

    Raises:
        ValueError: no such scheme.
    """
    table = {"int8-tensor": "tensor", "int8-channel": "channel", "lsq": "tensor", "lsq-channel": "channel"}
    table |= {"fp4": "fp4", "depth": "rows"}
    if scheme not in table:
        raise ValueError(f"weight scheme must be one of {', '.join(table)}, got {scheme!r}")
    return table[scheme]


def write(tensors: Iterable[StoredTensor], kind: str) -> bytes:
    """The section of these tensors, in the model's order.

    Args:
        kind: one of KINDS.
    """
    codes, exponents, depths = bytearray(), bytearray(), bytearray()
    integers: list[NDArray[Any]] = []
    steps: list[NDArray[np.float16]] = []
    vectors: list[NDArray[np.float16]] = []
    for tensor in tensors:
        if len(tensor.shape) < 2:
            vectors.append(tensor.codes.astype(np.float16).reshape(-1))
            continue
        if kind == "fp4":
            codes += _nibbles(tensor.codes.astype(np.uint8).reshape(-1))
            integers.append(weightstream.ordered_fp4(tensor.codes.astype(np.uint8).reshape(tensor.shape)))
        elif kind == "rows":
            rows = tensor.codes.astype(np.int8).reshape(tensor.shape[0], -1)
            codes += _pack_rows(rows, tensor.depths)
            integers.append(rows[tensor.depths > 0])
            exponents += tensor.exponents.tobytes()
            depths += tensor.depths.tobytes()
        else:
            codes += tensor.codes.astype(np.int8).tobytes()
            integers.append(tensor.codes.astype(np.int8))
        steps.append(tensor.steps)
    streams = (bytes(codes), bytes(exponents + depths) if kind == "rows" else _planes(steps), _planes(vectors))
    coded = [_squeeze(stream) for stream in streams]
    own = bytes([_MODELLED]) + weightstream.encode(integers, methods=("tensors",)).payload
    coded[0] = min(coded[0], own, key=len)
    return b"".join(varint(len(stream)) for stream in coded) + b"".join(coded)


def read(section: bytes, kind: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Stored]:
    """Every tensor's codes and steps by name.

    Args:
        kind: one of KINDS.
        shapes: of every parameter of the model, in its order.

    Raises:
        BitstreamError: not a section of weights for these shapes.
    """
    coded = _streams(section)
    big = {name: shape for name, shape in shapes.items() if len(shape) >= 2}
    n_vector = sum(math.prod(shape) for shape in shapes.values() if len(shape) < 2)
    steps = _expand(coded[1], _step_bytes(kind, big), "steps")
    vectors = _unplanes(_expand(coded[2], 2 * n_vector, "vectors"))
    rows = _rows(steps, big) if kind == "rows" else {}
    codes = _integers(coded[0], kind, big, rows)
    halves = np.empty(0, np.float16) if kind == "rows" else _unplanes(steps)
    for what, values in (("steps", halves), ("vectors", vectors)):
        if not np.isfinite(values).all():
            raise UnknownSyntax(f"weights, {what}", expected="finite values", found="others")
    out: dict[str, Stored] = {}
    at_step = at_vector = 0
    none = np.empty(0, np.int8), np.empty(0, np.uint8)
    for name, shape in shapes.items():
        if name in big:
            exponents, depths = rows.get(name, none)
            step = halves[at_step : at_step + _n_steps(kind, shape)]
            integer = codes[name]
            at_step += len(step)
        else:
            n = math.prod(shape)
            (exponents, depths), step, integer = none, halves[:0], vectors[at_vector : at_vector + n].reshape(shape)
            at_vector += n
        out[name] = Stored(shape=shape, codes=integer, steps=step, exponents=exponents, depths=depths)
    return out


def values(tensor: StoredTensor) -> NDArray[np.float32]:
    """The float32 values of a tensor: code times step, exactly as they were trained."""
    shape = tensor.shape
    if len(shape) < 2:
        return tensor.codes.astype(np.float32)
    if len(tensor.depths):
        scale = np.exp2(tensor.exponents.astype(np.float32))
    elif tensor.codes.dtype == np.uint8:
        table = np.array(_FP4_LEVELS + tuple(-level for level in _FP4_LEVELS), np.float32) + np.float32(0.0)
        repeated = np.repeat(tensor.steps.astype(np.float32), _FP4_BLOCK)[: math.prod(shape)]
        four: NDArray[np.float32] = (table[tensor.codes.reshape(-1)] * repeated).reshape(shape)
        return four
    else:
        scale = tensor.steps.astype(np.float32)
    out: NDArray[np.float32] = (tensor.codes.reshape(shape[0], -1).astype(np.float32) * scale[:, None]).reshape(shape)
    return out


def children(section: bytes, tensors: Iterable[Stored]) -> tuple[Section, ...]:
    """What the anatomy says inside of a section, counted from its start; ideal bits are the order-0 entropies."""
    coded = _streams(section)
    at = len(section) - sum(map(len, coded))
    ideal = sum(_entropy_bits(tensor.codes) for tensor in tensors if len(tensor.shape) >= 2)
    out = [Section(name="lengths", kind="varints", offset=0, n_bytes=at)]
    for name, stream in zip(_STREAMS, coded, strict=True):
        kind = _NAMES[stream[0]]
        bits = ideal if name == "codes" else None
        out.append(Section(name=name, kind=kind, offset=at, n_bytes=len(stream), ideal_bits=bits))
        at += len(stream)
    return tuple(out)


def _streams(section: bytes) -> list[bytes]:
    reader = Reader(section, "weights")
    lengths = [reader.varint(f"length of {name}") for name in _STREAMS]
    coded = [reader.take(length, name) for name, length in zip(_STREAMS, lengths, strict=True)]
    reader.end()
    return coded


def _integers(
    stream: bytes,
    kind: str,
    big: Mapping[str, tuple[int, ...]],
    rows: Mapping[str, tuple[NDArray[np.int8], NDArray[np.uint8]]],
) -> dict[str, NDArray[Any]]:
    """The integer codes of every matrix and convolution, by name."""
    none = np.empty(0, np.uint8)
    depths = {name: rows[name][1] if name in rows else none for name in big}
    if stream[:1] != bytes([_MODELLED]):
        codes = Reader(_expand(stream, _code_bytes(kind, big, rows), "codes"), "codes")
        out = {name: _codes(kind, codes, shape, depths[name]) for name, shape in big.items()}
        codes.end()
        return out
    sent = dict(big)
    if kind == "rows":
        sent = {name: (int((depths[name] > 0).sum()), math.prod(shape[1:])) for name, shape in big.items()}
    lowest, highest = (0, 15) if kind == "fp4" else (-128, 127)
    out = {}
    for (name, shape), found in zip(big.items(), weightstream.decode(stream[1:], list(sent.values())), strict=True):
        if found.size and not lowest <= int(found.min()) <= int(found.max()) <= highest:
            raise UnknownSyntax("weights, codes", expected=f"{lowest} to {highest}", found="others")
        if kind == "fp4":
            out[name] = weightstream.fp4_of(found)
        elif kind == "rows":
            whole = np.zeros((shape[0], math.prod(shape[1:])), np.int16)
            whole[depths[name] > 0] = found
            out[name] = whole.reshape(shape)
        else:
            out[name] = found.astype(np.int8)
    return out


def _codes(kind: str, codes: Reader, shape: tuple[int, ...], depths: NDArray[np.uint8]) -> NDArray[Any]:
    """The integer codes of one tensor."""
    n = math.prod(shape)
    if kind == "fp4":
        return _unnibbles(codes.take((n + 1) // 2, "four-bit codes"), n).reshape(shape)
    if kind == "rows":
        return _unpack_rows(codes, depths, math.prod(shape[1:])).reshape(shape)
    return np.frombuffer(codes.take(n, "codes"), np.int8).reshape(shape)


def _n_steps(kind: str, shape: tuple[int, ...]) -> int:
    if kind == "fp4":
        return -(-math.prod(shape) // _FP4_BLOCK)
    return {"tensor": 1, "channel": shape[0], "rows": 0}[kind]


def _step_bytes(kind: str, big: Mapping[str, tuple[int, ...]]) -> int:
    if kind == "rows":
        return 2 * sum(shape[0] for shape in big.values())
    return 2 * sum(_n_steps(kind, shape) for shape in big.values())


def _rows(steps: bytes, big: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[NDArray[np.int8], NDArray[np.uint8]]]:
    """(exponents, depths) of every tensor."""
    half = len(steps) // 2
    exponents, depths = np.frombuffer(steps[:half], np.int8), np.frombuffer(steps[half:], np.uint8)
    if len(depths) and depths.max() > _MAX_DEPTH:
        raise UnknownSyntax("weights, depths", expected=f"at most {_MAX_DEPTH} bits", found=str(int(depths.max())))
    if len(exponents) and (exponents.min() < -24 or exponents.max() > 8):
        raise UnknownSyntax("weights, exponents", expected="-24 to 8", found="others")
    out, at = {}, 0
    for name, shape in big.items():
        out[name] = exponents[at : at + shape[0]], depths[at : at + shape[0]]
        at += shape[0]
    return out


def _code_bytes(
    kind: str,
    big: Mapping[str, tuple[int, ...]],
    rows: Mapping[str, tuple[NDArray[np.int8], NDArray[np.uint8]]],
) -> int:
    if kind == "fp4":
        return sum((math.prod(shape) + 1) // 2 for shape in big.values())
    if kind == "rows":
        return sum(
            (int(rows[name][1].astype(np.int64).sum()) * math.prod(shape[1:]) + 7) // 8 for name, shape in big.items()
        )
    return sum(math.prod(shape) for shape in big.values())


def _pack_rows(codes: NDArray[np.int8], depths: NDArray[np.uint8]) -> bytes:
    """Each row's codes in its own number of bits, most significant first, the tensor padded to whole bytes."""
    bits: list[NDArray[np.uint8]] = []
    for row, depth in zip(codes, depths.tolist(), strict=True):
        if depth:
            raised = (row.astype(np.int16) + (1 << depth - 1)).astype(np.uint8)
            bits.append(np.unpackbits(raised[:, None], axis=1)[:, 8 - depth :].reshape(-1))
    return np.packbits(np.concatenate(bits)).tobytes() if bits else b""


def _unpack_rows(codes: Reader, depths: NDArray[np.uint8], per_row: int) -> NDArray[np.int16]:
    n_bits = int(depths.astype(np.int64).sum()) * per_row
    bits = np.unpackbits(np.frombuffer(codes.take((n_bits + 7) // 8, "codes"), np.uint8))
    out = np.zeros((len(depths), per_row), np.int16)
    at = 0
    for index, depth in enumerate(depths.tolist()):
        if depth:
            part = bits[at : at + depth * per_row].reshape(per_row, depth)
            out[index] = part.astype(np.int16) @ (1 << np.arange(depth - 1, -1, -1, dtype=np.int16)) - (1 << depth - 1)
            at += depth * per_row
    return out


def _nibbles(code: NDArray[np.uint8]) -> bytes:
    padded = np.append(code, np.uint8(0)) if len(code) % 2 else code
    return (padded[0::2] << 4 | padded[1::2]).astype(np.uint8).tobytes()


def _unnibbles(data: bytes, n: int) -> NDArray[np.uint8]:
    both = np.frombuffer(data, np.uint8)
    return np.stack([both >> 4, both & 15], axis=1).reshape(-1)[:n]


def _planes(parts: list[NDArray[np.float16]]) -> bytes:
    """Half-precision values as all high bytes, then all low ones."""
    whole = np.concatenate(parts) if parts else np.empty(0, np.float16)
    raw = np.frombuffer(whole.astype("<f2").tobytes(), np.uint8).reshape(-1, 2)
    return raw[:, 1].tobytes() + raw[:, 0].tobytes()


def _unplanes(data: bytes) -> NDArray[np.float16]:
    raw = np.frombuffer(data, np.uint8).reshape(2, -1)
    return np.frombuffer(np.stack([raw[1], raw[0]], axis=1).tobytes(), "<f2").astype(np.float16)


def _squeeze(data: bytes) -> bytes:
    packed = lzma.compress(data, format=lzma.FORMAT_RAW, filters=_FILTERS)
    return bytes([_LZMA]) + packed if len(packed) < len(data) else bytes([_STORED]) + data


def _expand(coded: bytes, n_bytes: int, what: str) -> bytes:
    """Exactly `n_bytes` from a stream; never more is made than asked for."""
    method, body = coded[:1], coded[1:]
    if method == bytes([_STORED]):
        data = body
    elif method == bytes([_LZMA]):
        try:
            data = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_FILTERS).decompress(body, n_bytes + 1)
        except (lzma.LZMAError, EOFError) as error:
            raise BitstreamError(f"weights, {what}", expected="an LZMA stream", found=str(error)) from None
    else:
        raise UnknownSyntax(f"weights, {what}", expected="method 0 or 1", found=method.hex() or "nothing")
    if len(data) != n_bytes:
        raise BitstreamError(f"weights, {what}", expected=f"{n_bytes:,} bytes", found=f"{len(data):,}")
    return data


def _entropy_bits(codes: NDArray[Any]) -> float:
    _, counts = np.unique(codes, return_counts=True)
    share = counts / counts.sum()
    return float(-(counts * np.log2(share)).sum())
