"""The `.tac` container: any file, exactly, block by block in bounded memory.

    HEADER | blocks | SHA-256 of the content (32 bytes)

A block starts with its method (u8). A coded one goes on with BLOCK and its payload; a stored one with its length (u64)
and the bytes, and stored blocks in a row are one. A block is coded only where that saves more than the heads of two
stored ones, so that a file never grows by more than OVERHEAD bytes, whatever is in it. Blocks end where the declared
size is reached: nothing past it is ever written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lab.bitstream import Field, Reader, Table
from lab.entropy import blocks
from lab.entropy.blocks import METHODS, MOST_BLOCK, ORDERS, PROFILES, Block
from lab.errors import ChecksumMismatch, EntropyError, Truncated, UnknownSyntax

Monitor = Callable[[str, int, int], None]
MAGIC = b"\xa7tac"
HEADER = Table("tac", (Field("size", "u64", "bytes of the content"),))
BLOCK = Table(
    "coded block",
    (
        Field("order", ORDERS, "how bytes are arranged"),
        Field("raw", "varint", "bytes that it stands for"),
        Field("coded", "varint", "bytes of its payload"),
    ),
)
OVERHEAD = 4 + 8 + 9 + 32
_STORED_HEAD = 9
_MOST_HEAD = 2 + 5 + 5
_CHUNK = 1 << 20


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a file.

    Attributes:
        n_bytes: of the content.
        coded_bytes: of the container.
        by_method: (content bytes, container bytes) of each method.
        sha256: of the content.
    """

    n_bytes: int
    coded_bytes: int = 0
    by_method: dict[str, tuple[int, int]] = field(default_factory=dict)
    sha256: str = ""

    def add(self, method: str, raw_bytes: int, coded_bytes: int) -> None:
        """Count one block."""
        raw, coded = self.by_method.get(method, (0, 0))
        self.by_method[method] = raw + raw_bytes, coded + coded_bytes


def compress(
    source: Path,
    out: Path,
    *,
    profile: str = "balanced",
    replace: bool = False,
    monitor: Monitor = lambda stage, done, total: None,
) -> Outcome:
    """Write `source` as a container at `out`, which appears only when it is whole.

    Raises:
        EntropyError: no such file or profile, `out` exists, or `source` changed meanwhile.
    """
    if profile not in PROFILES:
        raise EntropyError(f"profile {profile!r}", expected=f"one of {', '.join(PROFILES)}")
    size = _size_of(source)
    digest, outcome = hashlib.sha256(), Outcome(n_bytes=size)
    with source.open("rb") as content, _whole(out, replace) as target:
        target.write(MAGIC + HEADER.write({"size": size}))
        run, done = _Run(target), 0
        while data := content.read(MOST_BLOCK):
            digest.update(data)
            done += len(data)
            if done > size:
                break
            for block in blocks.code(data, PROFILES[profile]):
                _write_block(block, data, target, run, outcome)
                data = data[block.raw_bytes :]
            monitor("compress", done, size)
        if done != size:
            raise EntropyError(
                str(source), expected=f"{size:,} bytes", found="another number", fix="it changed; repeat"
            )
        run.close()
        target.write(digest.digest())
        outcome.coded_bytes = target.tell()
    outcome.sha256 = digest.hexdigest()
    return outcome


def decompress(
    source: Path,
    out: Path,
    *,
    replace: bool = False,
    most_bytes: int | None = None,
    monitor: Monitor = lambda stage, done, total: None,
) -> Outcome:
    """Write the content of a container at `out`, which appears only when its checksum is right.

    Args:
        source: a `.tac` file.
        out: where the content goes.
        replace: whether `out` may exist.
        most_bytes: refuse larger contents; by default what the disk has room for.

    Raises:
        BitstreamError: not a container, cut short, damaged, or larger than `most_bytes`.
        EntropyError: no such file, or `out` exists.
    """
    coded_bytes = _size_of(source)
    with source.open("rb") as coded:
        size = _read_head(coded)
        room = shutil.disk_usage(out.resolve().parent).free if most_bytes is None else most_bytes
        if size > room:
            raise UnknownSyntax("tac, size", expected=f"a content of at most {room:,} bytes", found=f"{size:,}")
        digest, outcome = hashlib.sha256(), Outcome(n_bytes=size, coded_bytes=coded_bytes)
        with _whole(out, replace) as target:
            done = 0
            for data in _contents(coded, size, outcome):
                digest.update(data)
                target.write(data)
                done += len(data)
                monitor("decompress", done, size)
            expected = _take(coded, 32, "checksum")
            if coded.read(1):
                raise UnknownSyntax("tac", expected="the end after the checksum", found="more bytes")
            if digest.digest() != expected:
                raise ChecksumMismatch("tac", expected=f"SHA-256 {expected.hex()}", found=digest.hexdigest())
    outcome.sha256 = digest.hexdigest()
    return outcome


class _Run:
    """Stored blocks in a row, whose common length is written when the run ends."""

    def __init__(self, target: IO[bytes]) -> None:
        self.target = target
        self.start = 0
        self.n_bytes = 0

    def add(self, data: bytes) -> int:
        """Write stored bytes; returns what they cost."""
        head = 0
        if not self.n_bytes:
            self.start, head = self.target.tell(), _STORED_HEAD
            self.target.write(bytes(_STORED_HEAD))
        self.target.write(data)
        self.n_bytes += len(data)
        return head + len(data)

    def close(self) -> None:
        """End the run, if there is one."""
        if self.n_bytes:
            end = self.target.tell()
            self.target.seek(self.start)
            self.target.write(bytes([METHODS.index("stored")]) + _LENGTH.write(self.n_bytes))
            self.target.seek(end)
            self.n_bytes = 0


_LENGTH = Field("length", "u64", "bytes of a stored run")


def _write_block(block: Block, data: bytes, target: IO[bytes], run: _Run, outcome: Outcome) -> None:
    """Write a block, stored where coding saves less than the heads around it."""
    if block.method == "stored" or len(block.payload) + _MOST_HEAD + 2 * _STORED_HEAD >= block.raw_bytes:
        outcome.add("stored", block.raw_bytes, run.add(data[: block.raw_bytes]))
        return
    run.close()
    head = bytes([METHODS.index(block.method)])
    head += BLOCK.write({"order": block.order, "raw": block.raw_bytes, "coded": len(block.payload)})
    target.write(head + block.payload)
    outcome.add(block.method, block.raw_bytes, len(head) + len(block.payload))


def _contents(coded: IO[bytes], size: int, outcome: Outcome) -> Iterator[bytes]:
    """The content, piece by piece, `size` bytes in all and never more."""
    left = size
    while left:
        method = _take(coded, 1, "method of a block")[0]
        if method >= len(METHODS):
            raise UnknownSyntax("tac, block", expected=f"a method below {len(METHODS)}", found=str(method))
        if METHODS[method] == "stored":
            length = int(_LENGTH.read(Reader(_take(coded, 8, "length of a block"), "tac, block")))
            _within(length, left)
            outcome.add("stored", length, _STORED_HEAD + length)
            left -= length
            while length:
                data = _take(coded, min(length, _CHUNK), "stored bytes")
                length -= len(data)
                yield data
            continue
        head, head_bytes = _read_block_head(coded)
        raw, n_coded = int(head["raw"]), int(head["coded"])
        _within(raw, left)
        if raw > MOST_BLOCK or n_coded >= raw:
            raise UnknownSyntax("tac, block", expected=f"fewer than {raw:,} coded bytes", found=f"{n_coded:,}")
        payload = _take(coded, n_coded, "payload of a block")
        yield blocks.decode(Block(method=METHODS[method], order=str(head["order"]), raw_bytes=raw, payload=payload))
        outcome.add(METHODS[method], raw, 1 + head_bytes + n_coded)
        left -= raw


def _read_block_head(coded: IO[bytes]) -> tuple[dict[str, int | float | str], int]:
    """The fields of a coded block and their length; the file stands behind them."""
    start = coded.tell()
    reader = Reader(coded.read(_MOST_HEAD - 1), "tac, block")
    head = BLOCK.read(reader)
    coded.seek(start + reader.offset)
    return head, reader.offset


def _within(length: int, left: int) -> None:
    if not 0 < length <= left:
        raise UnknownSyntax("tac, block", expected=f"1 to {left:,} bytes, as declared", found=f"{length:,}")


def _read_head(coded: IO[bytes]) -> int:
    magic = coded.read(len(MAGIC))
    if magic != MAGIC:
        raise UnknownSyntax(
            "tac", expected=f"magic {MAGIC.hex()}", found=magic.hex() or "an empty file", fix="not a .tac file"
        )
    return int(HEADER.read(Reader(_take(coded, 8, "size"), "tac"))["size"])


def _take(coded: IO[bytes], n_bytes: int, what: str) -> bytes:
    data = coded.read(n_bytes)
    if len(data) != n_bytes:
        raise Truncated(
            f"tac, {what}",
            expected=f"{n_bytes:,} bytes",
            found=f"{len(data):,}",
            fix="the file is cut short or damaged",
        )
    return data


def _size_of(source: Path) -> int:
    if not source.is_file():
        raise EntropyError(str(source), expected="a regular file", found="none")
    return source.stat().st_size


@contextmanager
def _whole(out: Path, replace: bool) -> Iterator[IO[bytes]]:
    """A file beside `out` that takes its name when all went well, and is removed otherwise."""
    if out.is_dir() or (out.exists() and not replace):
        raise EntropyError(
            str(out), expected="a name that is free", found="a file or folder", fix="choose another name"
        )
    if not out.resolve().parent.is_dir():
        raise EntropyError(str(out), expected="an existing folder", found="none")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as target:
            yield target
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
