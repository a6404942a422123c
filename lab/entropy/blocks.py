"""How one block of a file is coded: a choice of byte order, and a codec or a model of ours.

Blocks hold up to MOST_BLOCK bytes and know nothing of each other, so that memory does not grow with the file. A profile
names the candidates; the smallest result wins. Our models learn bit by bit and are slow: they take blocks of up to
MOST_MODELLED bytes, are tried on a sample first, and expand at most MOST_EXPANSION times, so that a short damaged block
cannot keep a decoder busy.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass

import brotli
import numpy as np
import zstandard
from numpy.typing import NDArray

from lab.bitstream import Reader, varint
from lab.errors import BitstreamError, UnknownSyntax

MOST_BLOCK = 1 << 22
MOST_MODELLED = 1 << 20
MOST_EXPANSION = 64
METHODS = ("stored", "zstandard", "brotli", "lzma", "context tree", "mixing")
ORDERS = ("as it is", "2 planes", "4 planes", "8 planes")
_MODELLED = METHODS[4:]
_PLANES = {"as it is": 1, "2 planes": 2, "4 planes": 4, "8 planes": 8}
_SAMPLE = 1 << 15
_TREE_DEPTH = 5
_MOST_STRIDE = 64
_WINDOW_LOG = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is tried for each block, from fast to small.

    Attributes:
        codecs: (method, level) pairs.
        planes: whether byte planes are tried, where a sample says that they help.
        models: whether our models are tried.
    """

    codecs: tuple[tuple[str, int], ...]
    planes: bool = False
    models: bool = False
    about: str = ""


PROFILES = {
    "fast": Profile(codecs=(("zstandard", 3),), about="hundreds of megabytes a second"),
    "balanced": Profile(codecs=(("zstandard", 12), ("brotli", 5)), planes=True, about="tens of megabytes a second"),
    "small": Profile(
        codecs=(("zstandard", 19), ("brotli", 9), ("lzma", 6)), planes=True, about="about a megabyte a second"
    ),
    "smallest": Profile(
        codecs=(("brotli", 11), ("lzma", 9 | lzma.PRESET_EXTREME)),
        planes=True,
        models=True,
        about="under a megabyte a second; where our models win, a tenth of that, each way",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A coded block: `method` of METHODS, `order` of ORDERS, how many bytes it stands for, and its payload."""

    method: str
    order: str
    raw_bytes: int
    payload: bytes


def code(data: bytes, profile: Profile) -> list[Block]:
    """The blocks that `data` becomes, the smallest of what the profile tries; stored where nothing helps.

    Args:
        data: 1 to MOST_BLOCK bytes.
        profile: one of PROFILES.
    """
    order = _order(data) if profile.planes else ORDERS[0]
    arranged = _arrange(data, _PLANES[order])
    best = _best_codec(arranged, len(data), order, profile)
    if not profile.models or not _models_promise(data, profile):
        return [best]
    pieces = [_best_piece(data[at : at + MOST_MODELLED], profile) for at in range(0, len(data), MOST_MODELLED)]
    return pieces if sum(len(piece.payload) + 12 for piece in pieces) < len(best.payload) + 12 else [best]


def decode(block: Block) -> bytes:
    """The bytes of a block, `raw_bytes` of them.

    Raises:
        BitstreamError: the payload is not one of such a block.
    """
    if not 0 < block.raw_bytes <= MOST_BLOCK:
        raise UnknownSyntax("block", expected=f"1 to {MOST_BLOCK:,} bytes", found=f"{block.raw_bytes:,}")
    where = f"block of {block.method}"
    if block.method in _MODELLED:
        data = _unmodelled(block)
    else:
        data = _DECODERS[block.method](block.payload, block.raw_bytes, where)
    if len(data) != block.raw_bytes:
        raise BitstreamError(where, expected=f"{block.raw_bytes:,} bytes", found=f"{len(data):,} or more")
    return _rearrange(data, _PLANES[block.order])


def _best_codec(arranged: bytes, raw_bytes: int, order: str, profile: Profile) -> Block:
    tried = [(method, _compress(arranged, method, level)) for method, level in profile.codecs]
    method, payload = min(tried, key=lambda one: len(one[1]))
    if len(payload) >= raw_bytes:
        return Block(
            method="stored", order=ORDERS[0], raw_bytes=raw_bytes, payload=_rearrange(arranged, _PLANES[order])
        )
    return Block(method=method, order=order, raw_bytes=raw_bytes, payload=payload)


def _best_piece(piece: bytes, profile: Profile) -> Block:
    order = _order(piece)
    tried = [_best_codec(_arrange(piece, _PLANES[order]), len(piece), order, profile)]
    for method in _MODELLED:
        payload = _modelled(piece, method)
        if len(piece) <= MOST_EXPANSION * len(payload):
            tried.append(Block(method=method, order=ORDERS[0], raw_bytes=len(piece), payload=payload))
    return min(tried, key=lambda block: len(block.payload))


def _models_promise(data: bytes, profile: Profile) -> bool:
    """Whether a model of ours beats the profile's codecs on a sample from the middle."""
    middle = max(len(data) // 2 - _SAMPLE // 2, 0)
    piece = _best_piece(data[middle : middle + _SAMPLE], profile)
    return piece.method in _MODELLED


def _compress(data: bytes, method: str, level: int) -> bytes:
    if method == "zstandard":
        parameters = zstandard.ZstdCompressionParameters.from_level(
            level, source_size=len(data), window_log=_WINDOW_LOG, write_content_size=False, write_checksum=False
        )
        return zstandard.ZstdCompressor(compression_params=parameters).compress(data)
    if method == "brotli":
        return bytes(brotli.compress(data, quality=level, lgwin=_WINDOW_LOG))
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=_filters(level))


def _filters(level: int) -> list[dict[str, int]]:
    return [{"id": lzma.FILTER_LZMA1, "preset": level, "dict_size": 1 << _WINDOW_LOG}]


def _stored(payload: bytes, n_bytes: int, where: str) -> bytes:
    return payload


def _unzstandard(payload: bytes, n_bytes: int, where: str) -> bytes:
    try:
        decoder = zstandard.ZstdDecompressor(max_window_size=1 << _WINDOW_LOG)
        with decoder.stream_reader(payload) as stream:
            return bytes(stream.read(n_bytes + 1))
    except zstandard.ZstdError as error:
        raise BitstreamError(where, expected="a Zstandard frame", found=str(error)) from None


def _unbrotli(payload: bytes, n_bytes: int, where: str) -> bytes:
    decoder = brotli.Decompressor()
    try:
        data = decoder.process(payload, output_buffer_limit=n_bytes + 1)
        while len(data) <= n_bytes and not decoder.is_finished() and not decoder.can_accept_more_data():
            data += decoder.process(b"", output_buffer_limit=n_bytes + 1)
    except brotli.error as error:
        raise BitstreamError(where, expected="a brotli stream", found=str(error)) from None
    return bytes(data)


def _unlzma(payload: bytes, n_bytes: int, where: str) -> bytes:
    try:
        decoder = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_filters(6))
        return decoder.decompress(payload, n_bytes + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise BitstreamError(where, expected="a raw LZMA stream", found=str(error)) from None


_DECODERS = {"stored": _stored, "zstandard": _unzstandard, "brotli": _unbrotli, "lzma": _unlzma}


def _arrange(data: bytes, planes: int) -> bytes:
    """All first bytes of `planes` in a row, then all second ones, ...; what is left over stays at the end."""
    whole = len(data) // planes * planes
    rows: NDArray[np.uint8] = np.frombuffer(data, np.uint8, whole).reshape(-1, planes)
    return data if planes == 1 else rows.T.tobytes() + data[whole:]


def _rearrange(data: bytes, planes: int) -> bytes:
    """The inverse of `_arrange`."""
    whole = len(data) // planes * planes
    rows: NDArray[np.uint8] = np.frombuffer(data, np.uint8, whole).reshape(planes, -1)
    return data if planes == 1 else rows.T.tobytes() + data[whole:]


def _order(data: bytes) -> str:
    """The arrangement whose sample is smallest; planes must save three percent."""
    middle = max(len(data) // 2 - _SAMPLE, 0) // 8 * 8
    sample = data[middle : middle + 2 * _SAMPLE]
    sizes = {order: len(_compress(_arrange(sample, planes), "zstandard", 3)) for order, planes in _PLANES.items()}
    best = min(sizes, key=lambda order: sizes[order])
    return best if sizes[best] < 0.97 * sizes[ORDERS[0]] else ORDERS[0]


def _modelled(data: bytes, method: str) -> bytes:
    """The payload of a model of ours: for mixing, the bytes of a record come first."""
    from lab.entropy.contextmodels import Mixing
    from lab.entropy.streams import Stream
    from lab.entropy.treemodels import ContextTree

    symbols = np.frombuffer(data, np.uint8)
    if method == "context tree":
        return Stream(model=ContextTree(depth=_TREE_DEPTH)).encode(symbols).payload
    stride = _stride(symbols)
    return varint(stride) + Stream(model=Mixing(groups=((len(data), stride),))).encode(symbols).payload


def _unmodelled(block: Block) -> bytes:
    from lab.entropy.contextmodels import Mixing
    from lab.entropy.models import Model
    from lab.entropy.streams import Stream
    from lab.entropy.treemodels import ContextTree

    where = f"block of {block.method}"
    if block.raw_bytes > min(MOST_MODELLED, MOST_EXPANSION * len(block.payload)):
        raise UnknownSyntax(
            where, expected=f"up to {MOST_EXPANSION} x {len(block.payload):,} bytes", found=f"{block.raw_bytes:,}"
        )
    reader = Reader(block.payload, where)
    chosen: Model = ContextTree(depth=_TREE_DEPTH)
    if block.method == "mixing":
        stride = reader.varint("bytes of a record")
        if not 1 <= stride <= _MOST_STRIDE:
            raise UnknownSyntax(where, expected=f"records of 1 to {_MOST_STRIDE} bytes", found=f"{stride:,}")
        chosen = Mixing(groups=((block.raw_bytes, stride),))
    symbols = Stream(model=chosen).decode(reader.take(reader.remaining, "symbols"), block.raw_bytes)
    if int(symbols.min()) < 0 or int(symbols.max()) > 255:
        raise UnknownSyntax(where, expected="bytes", found=f"{symbols.min()} to {symbols.max()}")
    return symbols.astype(np.uint8).tobytes()


def _stride(symbols: NDArray[np.uint8]) -> int:
    """The distance at which bytes agree most often, 1 to 64: the length of a record, if there are any."""
    if len(symbols) <= 4 * _MOST_STRIDE:
        return 1
    sample = symbols[: 1 << 16]
    agree = [float(np.mean(sample[step:] == sample[:-step])) for step in range(1, _MOST_STRIDE + 1)]
    return int(np.argmax(agree)) + 1
