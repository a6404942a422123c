"""Integer arrays of a trained decoder as bytes, and back: weight codes, latents, fields, steps.

Weights go through the weight coder and latents, predicted dimension by dimension, through that of side information;
fields through logistic mixing, of rows or of what lies around each code. Numbers too few to learn from are stored, or
go through LZMA.
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lab.entropy import sideinfo, weightstream
from lab.entropy.contextmodels import Mixing
from lab.entropy.fieldmodel import FieldMixing
from lab.entropy.streams import Stream
from lab.errors import Truncated, UnknownSyntax

Codes = NDArray[np.int8]
FieldCoder = Literal["rows", "around"]
# From (pairs, planes, rows, columns) to the order of symbols.
_ORDERS: dict[FieldCoder, tuple[int, ...]] = {"rows": (1, 0, 2, 3), "around": (0, 2, 3, 1)}
_RAW, _LZMA = 0, 1
_FILTERS = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 20, "lc": 0, "lp": 0, "pb": 0}]


def squeeze(plain: bytes) -> bytes:
    """Bytes behind one flag, through LZMA where that is shorter; nothing stays nothing."""
    if not plain:
        return b""
    packed = lzma.compress(plain, format=lzma.FORMAT_RAW, filters=_FILTERS)
    return bytes([_RAW]) + plain if len(plain) <= len(packed) else bytes([_LZMA]) + packed


def stretch(packed: bytes, n_bytes: int, where: str) -> bytes:
    """The `n_bytes` that `squeeze` packed."""
    return stretch_any(packed, n_bytes, n_bytes, where)


def stretch_any(packed: bytes, least: int, most: int, where: str) -> bytes:
    """What `squeeze` packed, if it is `least` to `most` bytes long; never takes more memory than that.

    Raises:
        Truncated, UnknownSyntax: fewer or more bytes, or an unknown flag.
    """
    if not least and not packed:
        return b""
    if not packed or packed[0] not in (_RAW, _LZMA):
        raise UnknownSyntax(where, expected="a flag of 0 or 1", found=packed[:1].hex() or "nothing")
    plain = packed[1:]
    if packed[0] == _LZMA:
        try:
            plain = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_FILTERS).decompress(plain, most + 1)
        except (lzma.LZMAError, EOFError) as error:
            raise UnknownSyntax(where, expected="an LZMA stream", found=str(error)) from None
    if len(plain) > most:
        raise UnknownSyntax(where, expected=f"{most:,} bytes", found="more")
    if len(plain) < least:
        raise Truncated(where, expected=f"{least:,} bytes", found=f"{len(plain):,}", fix="the archive is damaged")
    return plain


def pack_weights(tensors: Sequence[Codes]) -> bytes:
    """Weight codes of all tensors in order."""
    return weightstream.encode(tensors).payload


def unpack_weights(packed: bytes, shapes: Sequence[tuple[int, ...]]) -> list[Codes]:
    """Weight codes of tensors of these shapes.

    Raises:
        BitstreamError: cut short, damaged, or codes beyond eight bits.
    """
    return [_narrow(codes, "section weights") for codes in weightstream.decode(packed, shapes)]


def pack_latents(codes: NDArray[np.uint8], *, signed: bool) -> bytes:
    """Latents, bytes (dimensions, pairs), in two's complement where `signed`."""
    rows = np.ascontiguousarray(codes.T)
    return (sideinfo.encode_latents(rows.view(np.int8)) if signed else sideinfo.encode_latents(rows)).payload


def unpack_latents(packed: bytes, shape: tuple[int, int], *, signed: bool) -> NDArray[np.uint8]:
    """Latents, bytes (dimensions, pairs).

    Raises:
        BitstreamError: cut short, damaged, or of another shape.
    """
    found = sideinfo.decode_latents(packed, signed=signed, most_values=max(shape[0] * shape[1], 1))
    if found.shape != shape[::-1]:
        raise UnknownSyntax("section latents", expected=f"{shape[::-1]}", found=f"{found.shape}")
    return np.ascontiguousarray(found.T.astype(np.int64) & 0xFF).astype(np.uint8)


def pack_fields(codes: Codes, coder: FieldCoder) -> bytes:
    """Fields, int8 (pairs, planes, rows, columns); nothing where there are no planes.

    Args:
        coder: `rows`: plane by plane, every pair a row; `around`: pair by pair, from what lies around each code.
    """
    if not codes.size:
        return b""
    ordered = codes.transpose(_ORDERS[coder]).astype(np.int64).reshape(-1)
    return _fields(codes.shape, coder).encode(ordered).payload


def unpack_fields(packed: bytes, shape: tuple[int, int, int, int], coder: FieldCoder) -> Codes:
    """Fields of this shape.

    Raises:
        BitstreamError: cut short, damaged, or something where nothing belongs.
    """
    count = math.prod(shape)
    if not count:
        if packed:
            raise UnknownSyntax("section fields", expected="nothing", found=f"{len(packed):,} bytes")
        return np.empty(shape, np.int8)
    order = _ORDERS[coder]
    flat = _narrow(_fields(shape, coder).decode(packed, count), "section fields")
    return np.ascontiguousarray(flat.reshape([shape[axis] for axis in order]).transpose(np.argsort(order)))


def pack_numbers(values: NDArray[np.float16] | NDArray[np.float32] | NDArray[np.int8]) -> bytes:
    """Steps or vectors, byte planes one after the other, so that exponents lie together."""
    if values.dtype == np.int8:
        return squeeze(values.tobytes())
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
    planes = little.view(np.uint8).reshape(-1, little.itemsize).T
    return squeeze(np.ascontiguousarray(planes).tobytes())


def unpack_numbers(packed: bytes, count: int, kind: str, where: str) -> NDArray[np.float32]:
    """Numbers that `pack_numbers` packed, as float32. `kind`: half, single, or exponent of two."""
    if kind == "exponent":
        exponents = np.frombuffer(stretch(packed, count, where), np.int8)
        return np.ldexp(np.float32(1.0), exponents.astype(np.int32))
    layout = np.dtype("<f2" if kind == "half" else "<f4")
    planes = np.frombuffer(stretch(packed, count * layout.itemsize, where), np.uint8).reshape(layout.itemsize, count)
    values = np.ascontiguousarray(planes.T).view(layout).reshape(count).astype(np.float32)
    if not np.isfinite(values).all():
        raise UnknownSyntax(where, expected="finite numbers", found="one that is not")
    return values


def _fields(shape: tuple[int, ...], coder: FieldCoder) -> Stream:
    """How fields (pairs, planes, rows, columns) are coded; with `rows`, a group per plane and a row per pair."""
    pairs, planes, rows, columns = shape
    if coder == "rows":
        return Stream(model=Mixing(groups=((pairs * rows * columns, rows * columns),) * planes))
    return Stream(model=FieldMixing(shape=(pairs, rows, columns, planes)))


def _narrow(codes: NDArray[np.int64], where: str) -> Codes:
    if codes.size and (codes.min() < -128 or codes.max() > 127):
        raise UnknownSyntax(where, expected="codes of eight bits", found=f"{codes.min()} to {codes.max()}")
    return codes.astype(np.int8)
