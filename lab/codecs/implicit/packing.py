"""Integer arrays of a trained decoder as bytes, and back: weight codes, latents, steps.

Every function here is one choice of entropy coder; swapping a coder changes one line. Weights go through our own
models where that is shorter than brotli, which it is on every network so far.

References: the public HNeRV entries pack zigzag weights and latent deltas with brotli in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import brotli
import numpy as np
from numpy.typing import NDArray

from lab.entropy import weightstream
from lab.errors import Truncated, UnknownSyntax

Codes = NDArray[np.int8]
_RAW, _BROTLI, _MODELLED = 0, 1, 2
_DIRECT, _DELTA = 0, 1


def squeeze(plain: bytes) -> bytes:
    """Bytes behind one flag, through brotli where that is shorter; nothing stays nothing."""
    if not plain:
        return b""
    packed = brotli.compress(plain, quality=11, lgwin=24)
    return bytes([_RAW]) + plain if len(plain) <= len(packed) else bytes([_BROTLI]) + packed


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
    if not packed or packed[0] not in (_RAW, _BROTLI):
        raise UnknownSyntax(where, expected="a flag of 0 or 1", found=packed[:1].hex() or "nothing")
    if packed[0] == _RAW:
        plain, complete = packed[1:], True
    else:
        decoder = brotli.Decompressor()
        try:
            plain = decoder.process(packed[1:], output_buffer_limit=most + 1)
            while len(plain) <= most and not decoder.is_finished() and not decoder.can_accept_more_data():
                plain += decoder.process(b"", output_buffer_limit=most + 1)
        except brotli.error as error:
            raise UnknownSyntax(where, expected="a brotli stream", found=str(error)) from None
        complete = decoder.is_finished()
    if len(plain) > most:
        raise UnknownSyntax(where, expected=f"{most:,} bytes", found="more")
    if len(plain) < least or not complete:
        raise Truncated(where, expected=f"{least:,} bytes", found=f"{len(plain):,}", fix="the archive is damaged")
    return bytes(plain)


def pack_weights(tensors: Sequence[Codes]) -> bytes:
    """Weight codes of all tensors in order."""
    general = squeeze(b"".join(_zigzag(codes).tobytes() for codes in tensors))
    own = bytes([_MODELLED]) + weightstream.encode(tensors, methods=("tensors",)).payload
    return min(general, own, key=len)


def unpack_weights(packed: bytes, shapes: Sequence[tuple[int, ...]]) -> list[Codes]:
    """Weight codes of tensors of these shapes."""
    if packed[:1] == bytes([_MODELLED]):
        return [_int8(codes) for codes in weightstream.decode(packed[1:], shapes)]
    sizes = [int(np.prod(shape)) for shape in shapes]
    plain = _unzigzag(stretch(packed, sum(sizes), "section weights"))
    parts = np.split(plain, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def pack_latents(codes: NDArray[np.uint8]) -> bytes:
    """Latents, bytes (dimensions, pairs): each dimension as it is or as wrapped differences along time, by size."""
    first = np.zeros((len(codes), 1), np.uint8)
    difference = np.diff(codes, axis=1, prepend=first)  # modulo 256
    planes = {_DIRECT: codes, _DELTA: difference}
    packed = {mode: squeeze(_zigzag(plane.view(np.int8)).tobytes()) for mode, plane in planes.items()}
    mode = min(packed, key=lambda candidate: len(packed[candidate]))
    return bytes([mode]) + packed[mode]


def unpack_latents(packed: bytes, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Latents, bytes (dimensions, pairs)."""
    if packed[:1] not in (bytes([_DIRECT]), bytes([_DELTA])):
        raise UnknownSyntax("section latents", expected="a mode of 0 or 1", found=packed[:1].hex() or "nothing")
    plain = _unzigzag(stretch(packed[1:], shape[0] * shape[1], "section latents")).view(np.uint8).reshape(shape)
    return plain if packed[0] == _DIRECT else np.cumsum(plain, axis=1, dtype=np.uint8)


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


def _int8(codes: NDArray[np.int64]) -> Codes:
    if codes.size and not -128 <= int(codes.min()) <= int(codes.max()) <= 127:
        raise UnknownSyntax("section weights", expected="int8", found=f"{codes.min()} to {codes.max()}")
    return codes.astype(np.int8)


def _zigzag(codes: Codes) -> NDArray[np.uint8]:
    wide = codes.astype(np.int16)
    return np.where(wide >= 0, 2 * wide, -2 * wide - 1).astype(np.uint8)


def _unzigzag(plain: bytes) -> Codes:
    coded = np.frombuffer(plain, np.uint8).astype(np.int16)
    return np.where(coded & 1, -(coded + 1) // 2, coded // 2).astype(np.int8)
