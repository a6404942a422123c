"""The structure of a ZIP file, read field by field before anything is unpacked.

Local and central headers are compared; gaps, comments and leading bytes become sections of their own, so that the
sections tile the file. What could harm a reader, or cannot be honest, is refused here.

References: PKWARE, ".ZIP File Format Specification" 6.3.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.bitstream import Section
from lab.errors import PacketError

FILE_LIMIT_BYTES = 1 << 28
CLAIM_LIMIT_BYTES = 1 << 26
MEMBER_LIMIT = 256
# Deflate cannot expand by more than this; a larger claim is a lie.
DEFLATE_RATIO = 1032
METHODS = {0: "stored", 8: "deflated"}
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_DESCRIPTOR = 0x0008
_COMMENT_LIMIT = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member as both of its headers describe it. `differs` names header fields that do not agree."""

    name: str
    method: str
    crc32: int
    packed_bytes: int
    plain_bytes: int
    header_offset: int
    data_offset: int
    end: int
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A ZIP's members in the order of their data, and where its directory and end record lie."""

    entries: tuple[Entry, ...]
    directory_offset: int
    end_offset: int
    comment_bytes: int
    n_bytes: int

    def sections(self, inside: dict[str, tuple[Section, ...]]) -> tuple[Section, ...]:
        """Sections that tile the file.

        Args:
            inside: sections of a member's stored bytes, by name, counted from their start.
        """
        made: list[Section] = []

        def add(name: str, kind: str, start: int, end: int, children: tuple[Section, ...] = (), note: str = "") -> None:
            if end > start:
                moved = tuple(child.shifted(start) for child in children)
                made.append(Section(name=name, kind=kind, offset=start, n_bytes=end - start, note=note, children=moved))

        at = 0
        for entry in self.entries:
            add("gap", "unaccounted bytes", at, entry.header_offset)
            note = f"differs from the central header in {', '.join(entry.differs)}" if entry.differs else ""
            add(f"{entry.name} header", "zip local header", entry.header_offset, entry.data_offset, note=note)
            stop = entry.data_offset + entry.packed_bytes
            add(entry.name, f"{entry.method} member", entry.data_offset, stop, inside.get(entry.name, ()))
            add(f"{entry.name} descriptor", "zip data descriptor", stop, entry.end)
            at = entry.end
        add("gap", "unaccounted bytes", at, self.directory_offset)
        add("directory", "zip central directory", self.directory_offset, self.end_offset)
        add("end record", "zip end record", self.end_offset, self.n_bytes - self.comment_bytes)
        add("comment", "zip comment", self.n_bytes - self.comment_bytes, self.n_bytes)
        return tuple(made)


def survey(data: bytes, where: str) -> Survey:
    """The structure of a ZIP file.

    Raises:
        PacketError: no ZIP, or one that is unsafe or not honest; nothing has been unpacked.
    """
    if len(data) > FILE_LIMIT_BYTES:
        raise PacketError(where, expected=f"at most {FILE_LIMIT_BYTES:,} bytes", found=f"{len(data):,}")
    end_offset, n_entries, directory_bytes, directory_offset, comment_bytes = _end_record(data, where)
    entries = _directory(data, where, directory_offset, directory_offset + directory_bytes, n_entries)
    entries.sort(key=lambda entry: entry.header_offset)
    at = 0
    for entry in entries:
        if entry.header_offset < at or entry.end > directory_offset:
            raise PacketError(
                f"{where}, {entry.name!r}", expected="members apart from each other", found="overlapping bytes",
                fix="do not unpack it",
            )  # fmt: skip
        at = entry.end
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise PacketError(where, expected="every name once", found="duplicate names", fix="do not unpack it")
    claim = sum(entry.plain_bytes for entry in entries)
    if claim > CLAIM_LIMIT_BYTES:
        raise PacketError(where, expected=f"at most {CLAIM_LIMIT_BYTES:,} bytes unpacked", found=f"{claim:,} claimed")
    return Survey(
        entries=tuple(entries), directory_offset=directory_offset, end_offset=end_offset, comment_bytes=comment_bytes,
        n_bytes=len(data),
    )  # fmt: skip


def _end_record(data: bytes, where: str) -> tuple[int, int, int, int, int]:
    lowest = max(0, len(data) - _END.size - _COMMENT_LIMIT)
    at = data.rfind(b"PK\x05\x06", lowest)
    while at >= 0:
        if at + _END.size <= len(data):
            _, disk, first_disk, here, entries, size, offset, comment = _END.unpack_from(data, at)
            if at + _END.size + comment == len(data):
                break
        at = data.rfind(b"PK\x05\x06", lowest, at)
    if at < 0:
        raise PacketError(where, expected="a ZIP archive", found="no end record", fix="fetch it again")
    if disk or first_disk or here != entries:
        raise PacketError(where, expected="an archive in one file", found="one of several disks")
    if 0xFFFF in (here, entries) or 0xFFFFFFFF in (size, offset):
        raise PacketError(where, expected="a plain ZIP", found="zip64 records", fix="no contest archive needs them")
    if not 0 < entries <= MEMBER_LIMIT:
        raise PacketError(where, expected=f"1 to {MEMBER_LIMIT} members", found=str(entries))
    if offset + size != at:
        raise PacketError(
            where,
            expected="the directory right before the end record",
            found=f"it claims bytes {offset:,} to {offset + size:,}",
        )
    return at, entries, size, offset, comment


def _directory(data: bytes, where: str, start: int, end: int, n_entries: int) -> list[Entry]:
    entries = []
    at = start
    for _ in range(n_entries):
        if at + _CENTRAL.size > end:
            raise PacketError(where, expected=f"{n_entries} central headers", found="a directory that ends earlier")
        head = _CENTRAL.unpack_from(data, at)
        if head[0] != b"PK\x01\x02":
            raise PacketError(where, expected="a central header", found=head[0].hex())
        name_bytes, extra_bytes, comment_bytes = head[10], head[11], head[12]
        stop = at + _CENTRAL.size + name_bytes + extra_bytes + comment_bytes
        if stop > end:
            raise PacketError(where, expected="central headers inside the directory", found="one that runs out of it")
        raw_name = data[at + _CENTRAL.size : at + _CENTRAL.size + name_bytes]
        entries.append(_entry(data, where, head, raw_name))
        at = stop
    if at != end:
        raise PacketError(where, expected=f"{n_entries} central headers", found="more bytes in the directory")
    return entries


def _entry(data: bytes, where: str, head: tuple[int, ...], raw_name: bytes) -> Entry:
    _, made_by, _, flags, method, time, date, crc, packed, plain, *_ = head
    disk, attributes, offset = head[13], head[15], head[16]
    name = _safe_name(raw_name, flags, where)
    place = f"{where}, {name[:80]!r}"
    if flags & _ENCRYPTED:
        raise PacketError(place, expected="a member without a password", found="an encrypted one")
    if method not in METHODS:
        raise PacketError(place, expected="a stored or deflated member", found=f"method {method}")
    if disk or 0xFFFFFFFF in (packed, plain, offset):
        raise PacketError(place, expected="a plain ZIP member", found="zip64 or several disks")
    if made_by >> 8 == 3 and (attributes >> 16) & 0o170000 not in (0, 0o100000):
        raise PacketError(place, expected="a regular file", found=f"mode {attributes >> 16:o}")
    if method == 0 and packed != plain:
        raise PacketError(place, expected="equal sizes of a stored member", found=f"{packed:,} and {plain:,}")
    if plain > DEFLATE_RATIO * max(packed, 1):
        raise PacketError(place, expected="a size that deflate can reach", found=f"{plain:,} from {packed:,} bytes")
    if offset + _LOCAL.size > len(data):
        raise PacketError(place, expected="a local header", found="the end of the archive")
    mark, _, lflags, lmethod, ltime, ldate, lcrc, lpacked, lplain, lname, lextra = _LOCAL.unpack_from(data, offset)
    if mark != b"PK\x03\x04":
        raise PacketError(place, expected="a local header", found=mark.hex())
    data_offset = offset + _LOCAL.size + lname + lextra
    if data[offset + _LOCAL.size : offset + _LOCAL.size + lname] != raw_name:
        raise PacketError(place, expected="one name in both headers", found="two")
    lies = [
        what
        for what, one, other in (("method", method, lmethod), ("encryption", 0, lflags & _ENCRYPTED))
        if one != other
    ]
    late = bool(lflags & _DESCRIPTOR)
    if not late or (lcrc, lpacked, lplain) != (0, 0, 0):
        pairs = (("checksum", crc, lcrc), ("packed size", packed, lpacked), ("size", plain, lplain))
        lies += [what for what, one, other in pairs if one != other]
    if lies:
        raise PacketError(place, expected="local and central header to agree", found=f"another {', '.join(lies)}")
    soft = (("flags", flags, lflags), ("time", time, ltime), ("date", date, ldate))
    stop = data_offset + packed
    return Entry(
        name=name,
        method=METHODS[method],
        crc32=crc,
        packed_bytes=packed,
        plain_bytes=plain,
        header_offset=offset,
        data_offset=data_offset,
        end=stop + (_descriptor(data, stop, (crc, packed, plain), place) if late else 0),
        differs=tuple(what for what, one, other in soft if one != other),
    )


def _descriptor(data: bytes, at: int, told: tuple[int, int, int], place: str) -> int:
    """Size of the data descriptor behind a member's bytes."""
    for lead in (b"PK\x07\x08", b""):
        size = len(lead) + 12
        fits = data[at : at + len(lead)] == lead and at + size <= len(data)
        if fits and struct.unpack_from("<3I", data, at + len(lead)) == told:
            return size
    raise PacketError(place, expected="a data descriptor that agrees with the directory", found="another one, or none")


def _safe_name(raw: bytes, flags: int, where: str) -> str:
    try:
        name = raw.decode("utf-8" if flags & 0x800 else "ascii")
    except UnicodeDecodeError:
        raise PacketError(where, expected="names in ASCII or UTF-8", found=repr(raw)[:100]) from None
    parts = PurePosixPath(name).parts
    unsafe = (
        not name
        or len(name) > 255
        or name.startswith("/")
        or name.endswith("/")
        or "\\" in name
        or ":" in name
        or any(part.startswith(".") or part == "__MACOSX" for part in parts)
        or not name.isprintable()
    )
    if unsafe:
        raise PacketError(
            where, expected="plain relative names of files", found=repr(name)[:100], fix="do not unpack it"
        )
    return name


def content(data: bytes, entry: Entry, where: str) -> bytes:
    """The plain bytes of one member, checked against the sizes and the checksum of its headers.

    Raises:
        PacketError: they are not what the headers say; never more than the claimed size is unpacked.
    """
    place = f"{where}, {entry.name!r}"
    packed = data[entry.data_offset : entry.data_offset + entry.packed_bytes]
    if entry.method == "stored":
        plain = packed
    else:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            plain = inflater.decompress(packed, entry.plain_bytes + 1)
        except zlib.error as error:
            raise PacketError(place, expected="deflated bytes", found=str(error)) from None
        if not inflater.eof or inflater.unused_data:
            raise PacketError(
                place, expected=f"{entry.plain_bytes:,} bytes", found="more or fewer", fix="do not unpack it"
            )
    if len(plain) != entry.plain_bytes or zlib.crc32(plain) != entry.crc32:
        raise PacketError(place, expected="the size and checksum of its header", found="other ones")
    return plain
