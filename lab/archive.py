"""archive.zip: written so that its bytes repeat, read so that it can do no harm, anatomized to the byte.

Our archives hold one stored member; entropy coding is the bitstream's business, so deflating again would only add
bytes. Reading accepts any ZIP and refuses unsafe names, encrypted or duplicate members, headers that disagree and
members that claim more than they may hold, before memory is taken.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.bitstream import Section, check_tiling
from lab.errors import PacketError

MEMBER = "0.bin"
ARCHIVE_LIMIT_BYTES = 1 << 30
MEMBER_LIMIT_BYTES = 1 << 28
MEMBER_LIMIT = 1024
NAME_LIMIT_BYTES = 200
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file inside an archive and where its stored bytes lie; the name of a folder ends with a slash."""

    name: str
    method: str
    crc32: int
    header_offset: int
    data_offset: int
    compressed_bytes: int
    content: bytes


def write(payload: bytes) -> bytes:
    """The archive of a payload: one stored member with fixed name, time and mode."""
    return stored({MEMBER: payload})


def stored(files: Mapping[str, bytes]) -> bytes:
    """An archive of stored members in the order given, with fixed time and mode.

    Notes:
        Byte for byte what repro-zipfile writes, except that no environment variable (SOURCE_DATE_EPOCH) gets into
        bytes that are charged.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression=zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, content)
    return out.getvalue()


def read(path: Path) -> list[Member]:
    """Every member of an archive, checked, in the order of their data.

    Raises:
        PacketError: not a ZIP, or one that is unsafe to unpack.
    """
    try:
        n_bytes = path.stat().st_size
        if n_bytes > ARCHIVE_LIMIT_BYTES:
            raise PacketError(path.name, expected=f"at most {ARCHIVE_LIMIT_BYTES:,} bytes", found=f"{n_bytes:,}")
        return parse(path.read_bytes(), path.name)
    except OSError as error:
        raise PacketError(path.name, expected="a readable archive", found=error.strerror or str(error)) from None


def payload_of(path: Path) -> bytes:
    """The payload of an archive of ours: the content of its only member.

    Raises:
        PacketError: more than one member, or not a safe ZIP.
    """
    members = read(path)
    if len(members) != 1:
        raise PacketError(
            path.name, expected="one member", found=f"{len(members)}: " + ", ".join(m.name for m in members)[:200]
        )
    return members[0].content


# What Python's reader raises on bytes that are no archive, or a damaged one.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError, OverflowError, OSError)


def parse(data: bytes, where: str) -> list[Member]:
    """Every member of archive bytes; see `read`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if not 0 < len(infos) <= MEMBER_LIMIT:
                raise PacketError(where, expected=f"1 to {MEMBER_LIMIT} members", found=str(len(infos)))
            _check_names([info.orig_filename for info in infos], where)
            if sum(info.file_size for info in infos) > MEMBER_LIMIT_BYTES:
                raise PacketError(
                    where, expected=f"at most {MEMBER_LIMIT_BYTES:,} bytes unpacked", found="a larger claim"
                )
            members = [_member(archive, info, data, where) for info in infos]
    except _DAMAGE as error:
        raise PacketError(
            where, expected="a ZIP archive", found=str(error) or type(error).__name__, fix="fetch it again"
        ) from None
    members.sort(key=lambda member: member.header_offset)
    end = 0
    for member in members:
        if member.header_offset < end:
            raise PacketError(
                f"{where}, {member.name}", expected="members apart from each other", found="overlapping ones"
            )
        end = member.data_offset + member.compressed_bytes
    return members


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes, where: str) -> Member:
    place = f"{where}, {info.filename[:80]!r}"
    if info.flag_bits & 0x1:
        raise PacketError(place, expected="a member without a password", found="an encrypted one")
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        raise PacketError(place, expected="a regular file", found="a symbolic link")
    if info.header_offset + _LOCAL_HEADER_BYTES > len(data):
        raise PacketError(place, expected="a local header", found="the end of the archive")
    head = struct.unpack_from("<4s5H3I2H", data, info.header_offset)
    if head[0] != b"PK\x03\x04":
        raise PacketError(place, expected="a local header", found=head[0].hex())
    flags, method, crc, compressed, plain, name_bytes, extra_bytes = head[2], head[3], *head[6:9], head[9], head[10]
    if not flags & 0x8 and (crc, compressed, plain) != (info.CRC, info.compress_size, info.file_size):
        raise PacketError(place, expected="local and central header to agree", found="different sizes or checksums")
    if method != info.compress_type or method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise PacketError(place, expected="a stored or deflated member", found=f"method {method}")
    start = info.header_offset + _LOCAL_HEADER_BYTES
    if data[start : start + name_bytes] != info.orig_filename.encode("utf-8" if flags & 0x800 else "cp437"):
        raise PacketError(place, expected="one name in both headers", found="two")
    end = start + name_bytes + extra_bytes + info.compress_size
    if end > len(data) or (method == zipfile.ZIP_STORED and info.compress_size != info.file_size):
        raise PacketError(place, expected=f"{info.compress_size:,} stored bytes", found="other sizes")
    with archive.open(info) as stream:
        content = stream.read(info.file_size + 1)
    if len(content) != info.file_size or (info.is_dir() and content):
        raise PacketError(place, expected=f"{info.file_size:,} bytes", found=f"{len(content):,}")
    return Member(
        name=info.filename,
        method="stored" if method == zipfile.ZIP_STORED else "deflated",
        crc32=info.CRC,
        header_offset=info.header_offset,
        data_offset=start + name_bytes + extra_bytes,
        compressed_bytes=info.compress_size,
        content=content,
    )


def _check_names(names: list[str], where: str) -> None:
    if len({name.removesuffix("/").casefold() for name in names}) != len(names):
        raise PacketError(where, expected="every name once", found="duplicate names")
    files = {name.casefold() for name in names if not name.endswith("/")}
    for name in names:
        parts = name.removesuffix("/").split("/")
        unsafe = (
            "\\" in name
            or ":" in name
            or len(name.encode("utf-8", errors="replace")) > NAME_LIMIT_BYTES
            or any(not part or part.startswith(".") for part in parts)
            or any(ord(character) < 32 or ord(character) == 127 for character in name)
            or any("/".join(parts[:depth]).casefold() in files for depth in range(1, len(parts)))
        )
        if unsafe:
            raise PacketError(
                where, expected="plain relative names of files", found=ascii(name)[:100], fix="do not unpack it"
            )


def anatomy(data: bytes, where: str, inside: dict[str, tuple[Section, ...]] | None = None) -> tuple[Section, ...]:
    """Sections that tile the archive: local headers, member data, central directory.

    Args:
        inside: sections of a stored member's payload, by member name, counted from the payload's start.
    """
    sections: list[Section] = []
    at = 0

    def add(name: str, kind: str, end: int, children: tuple[Section, ...] = ()) -> None:
        nonlocal at
        if end > at:
            moved = tuple(child.shifted(at) for child in children)
            sections.append(Section(name=name, kind=kind, offset=at, n_bytes=end - at, children=moved))
        at = end

    for member in parse(data, where):
        if member.header_offset > at:
            add("gap", "unaccounted bytes", member.header_offset)
        add(f"{member.name} header", "zip local header", member.data_offset)
        children = (inside or {}).get(member.name, ()) if member.method == "stored" else ()
        add(member.name, f"{member.method} member", member.data_offset + member.compressed_bytes, children)
    add("directory", "zip central directory", len(data))
    check_tiling(sections, 0, len(data), where)
    return tuple(sections)


def difference(one: bytes, other: bytes, sections: Sequence[Section]) -> str:
    """Where two archives first differ, as a byte and the section of the second around it; empty where they are equal.

    Args:
        sections: the anatomy of `other`.
    """
    if one == other:
        return ""
    shorter = min(len(one), len(other))
    place = next((at for at in range(shorter) if one[at] != other[at]), shorter)
    names: list[str] = []
    level = sections
    while inner := next((part for part in level if part.offset <= place < part.offset + part.n_bytes), None):
        names.append(inner.name)
        level = inner.children
    sizes = "" if len(one) == len(other) else f", {len(one):,} and {len(other):,} bytes long"
    return f"byte {place:,}, in {' / '.join(names) or 'nothing: one ends there'}{sizes}"
