"""The readable texts inside a file of any type: itself, members of archives, or the strings of a binary.

What cannot be opened within its limits is named instead of skipped, so that nothing passes because it was not seen.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from html import unescape
from io import BytesIO
from typing import NamedTuple

MEMBER_LIMIT_BYTES = 32 << 20
MEMBER_LIMIT = 10_000
DEPTH_LIMIT = 4
TABLE_LIMIT_BYTES = 128 << 20
_TEXT = (".html", ".css", ".js", ".json", ".csv", ".txt", ".toml", ".xml", ".svg", ".md", ".py", ".sh", ".webmanifest")
# fmt: off
_REFUSED = (
    ".map", ".ipynb", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".swp", ".swo", ".bak", ".orig", ".rej", "~", ".pem",
    ".p12", ".pfx", ".keystore", ".kdbx", ".env", ".ds_store", "id_rsa", "id_ed25519", ".pyc", ".log",
)
# fmt: on
_CLOSED = (".xz", ".bz2", ".7z", ".rar", ".zst", ".br", ".lzma")
_SHORTEST = {".mp4": 24, ".webp": 24}  # coded pictures hold short texts by chance; their tags are looked at one by one
_PICKLE = re.compile(rb"\A\x80[\x02-\x05](?:\x95.{8}|[\]}(c)]|X).*\.\Z", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/]))")


class Part(NamedTuple):
    """A text inside a file, as bytes to be read as UTF-8. `kind` is html, svg or text.

    `refused` names why a part must not be published at all.
    """

    path: str
    kind: str = "text"
    text: bytes = b""
    refused: str = ""


def parts(path: str, content: bytes, depth: int = 0) -> Iterator[Part]:
    """Every text in a file, containers opened to `DEPTH_LIMIT`."""
    lowered = path.lower()
    if lowered.endswith(_REFUSED):
        yield Part(path=path, refused="type that is never published")
    if lowered.endswith(_CLOSED) or depth > DEPTH_LIMIT:
        yield Part(path=path, refused="container that cannot be looked into")
    if content[:4] == b"PK\x03\x04":
        yield from _zip(path, content, depth)
    elif content[:3] == b"\x1f\x8b\x08":
        yield from _gzip(path, content, depth)
    elif content[:4] == content[-4:] == b"PAR1":
        yield from _table(path, content)
    elif lowered.endswith(_TEXT) or not content:
        yield from _readable(path, content)
    elif _PICKLE.match(content):
        yield Part(path=path, refused="pickle")
    else:
        yield Part(path=path, text=_strings(path, content))


def _readable(path: str, content: bytes) -> Iterator[Part]:
    """A text as it stands, and what a reader of its format sees besides: escapes and entities resolved, lines kept."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        content = _coded(content.decode("utf-16", "replace"))
    kind = "html" if path.endswith((".html", ".xml")) else "svg" if path.endswith(".svg") else "text"
    yield Part(path=path, kind=kind, text=content)
    mark, read = (b"\\", _json) if path.endswith(".json") else (b"&", unescape)
    if mark in content and (kind != "text" or mark != b"&"):
        lines = content.split(b"\n")
        seen = [_coded(read(line.decode("utf-8", "replace"))) if mark in line else b"" for line in lines]
        yield Part(path=path, text=b"\n".join(seen))


def _coded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _json(line: str) -> str:
    return _ESCAPE.sub(_unescaped, line)


def _unescaped(found: re.Match[str]) -> str:
    code, mark = found.groups()
    character = chr(int(code, 16)) if code else mark
    return character if character.isprintable() else " "


def _strings(path: str, content: bytes) -> bytes:
    least = _SHORTEST.get(path[path.rfind(".") :].lower(), 10)
    plain = re.findall(rb"[\x20-\x7e]{%d,}" % least, content)
    wide = [found.replace(b"\0", b"") for found in re.findall(rb"(?:[\x20-\x7e]\0){%d,}" % least, content)]
    return b"\n".join(plain + wide)


def _zip(path: str, content: bytes, depth: int) -> Iterator[Part]:
    left = MEMBER_LIMIT_BYTES
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            yield Part(path=f"{path}, comment", text=archive.comment)
            members = archive.infolist()
            if len(members) > MEMBER_LIMIT:
                yield Part(path=path, refused="container that cannot be looked into")
                return
            for info in members:
                words = _coded(info.filename) + b"\n" + info.comment
                yield Part(path=f"{path}, member name", text=words)
                with archive.open(info) as member:
                    data = member.read(left + 1)
                left -= len(data)
                if left < 0:
                    yield Part(path=path, refused="container that cannot be looked into")
                    return
                yield from parts(f"{path}/{info.filename}", data, depth + 1)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, ValueError, OSError):
        yield Part(path=path, refused="container that cannot be looked into")


def _gzip(path: str, content: bytes, depth: int) -> Iterator[Part]:
    yield Part(path=f"{path}, header", text=_strings("", content[10:1_000].partition(b"\0")[0] + b" " * 10))
    machine = zlib.decompressobj(wbits=31)
    try:
        data = machine.decompress(content, MEMBER_LIMIT_BYTES + 1)
    except zlib.error:
        yield Part(path=path, refused="container that cannot be looked into")
        return
    if len(data) > MEMBER_LIMIT_BYTES or not machine.eof or machine.unused_data:
        yield Part(path=path, refused="container that cannot be looked into")
        return
    yield from parts(path.removesuffix(".gz"), data, depth + 1)


def _table(path: str, content: bytes) -> Iterator[Part]:
    """What a Parquet table says: names of columns, remarks of its writer, every text once.

    Its bytes are packed numbers and texts cut by their lengths; among millions of them some look like a token.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:  # then no build wrote it
        yield Part(path=path, refused="container that cannot be looked into")
        return
    try:
        table = parquet.ParquetFile(BytesIO(content))
        known = table.metadata
        if sum(known.row_group(i).total_byte_size for i in range(known.num_row_groups)) > TABLE_LIMIT_BYTES:
            raise ValueError("more than may be read")
        said = [*map(_coded, (known.created_by or "", *known.schema.names))]
        said += [word for pair in (known.metadata or {}).items() for word in pair]
        for name, column in zip(known.schema.names, table.read().columns, strict=True):
            if not pyarrow.types.is_primitive(column.type):
                values = column.cast(pyarrow.string()).unique()
                yield Part(path=f"{path}, column {name}", text=_coded("\n".join(filter(None, values.to_pylist()))))
        yield Part(path=f"{path}, remarks", text=b"\n".join(said))
    except (pyarrow.ArrowException, OSError, ValueError):
        yield Part(path=path, refused="container that cannot be looked into")
