"""Bitstream syntax: field tables, a bounded reader, sections that tile the payload.

One table per header; writer, reader, anatomy and documentation all walk it, so they cannot disagree.
A payload is laid out as

    magic, family code | header fields | one length per section | sections

and every byte of it belongs to exactly one `Section`.

Example:
    >>> table = Table("demo", (Field("height", "u16", "rows"), Field("gain", "svarint", "signed gain")))
    >>> table.read(Reader(table.write({"height": 437, "gain": -3}), "demo"))
    {'height': 437, 'gain': -3}
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab.errors import BitstreamError, Truncated, UnknownSyntax

_FIXED = {
    "u8": "<B",
    "u16": "<H",
    "u32": "<I",
    "u64": "<Q",
    "i8": "<b",
    "i16": "<h",
    "i32": "<i",
    "f16": "<e",
    "f32": "<f",
}
_VARINT_LIMIT = 1 << 35


class Reader:
    """Bounds-checked cursor over a payload; every read names the place where it failed."""

    __slots__ = ("offset", "payload", "where")

    def __init__(self, payload: bytes | memoryview, where: str) -> None:
        self.payload = memoryview(payload)
        self.where = where
        self.offset = 0

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return len(self.payload) - self.offset

    def take(self, n_bytes: int, what: str) -> bytes:
        """The next `n_bytes`.

        Raises:
            Truncated: fewer are left.
        """
        if n_bytes < 0 or n_bytes > self.remaining:
            raise Truncated(
                f"{self.where}, {what} at byte {self.offset:,}",
                expected=f"{n_bytes:,} bytes",
                found=f"{self.remaining:,}",
                fix="the archive is cut short or not ours",
            )
        start = self.offset
        self.offset += n_bytes
        return bytes(self.payload[start : self.offset])

    def fixed(self, kind: str, what: str) -> int | float:
        """One little-endian number of a fixed kind: u8 u16 u32 u64 i8 i16 i32 f16 f32."""
        layout = _FIXED[kind]
        value: int | float = struct.unpack(layout, self.take(struct.calcsize(layout), what))[0]
        return value

    def varint(self, what: str) -> int:
        """An unsigned LEB128 integer below 2^35."""
        value = shift = 0
        while True:
            byte = self.take(1, what)[0]
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                break
            shift += 7
            if shift > 28:
                raise UnknownSyntax(f"{self.where}, {what}", expected="an integer of at most five bytes")
        if byte == 0 and shift:
            raise UnknownSyntax(
                f"{self.where}, {what}", expected="the shortest form of an integer", found="a padded one"
            )
        return value

    def end(self) -> None:
        """Return only if everything was read.

        Raises:
            UnknownSyntax: bytes are left over.
        """
        if self.remaining:
            raise UnknownSyntax(
                f"{self.where} at byte {self.offset:,}", expected="the end", found=f"{self.remaining:,} more bytes"
            )


def varint(value: int) -> bytes:
    """Unsigned LEB128.

    Raises:
        ValueError: negative, or 2^35 and more.
    """
    if not 0 <= value < _VARINT_LIMIT:
        raise ValueError(f"a varint holds 0 to 2^35 - 1, got {value}")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@dataclass(frozen=True, slots=True)
class Field:
    """One header field. `kind`: u8 to u64, i8 to i32, f16, f32, varint, svarint (zigzag), or a tuple of names (u8)."""

    name: str
    kind: str | tuple[str, ...]
    doc: str

    def write(self, value: object) -> bytes:
        """The bytes of one value.

        Raises:
            ValueError: the value does not fit the field.
        """
        try:
            if isinstance(self.kind, tuple):
                return bytes([self.kind.index(str(value))])
            if self.kind == "varint":
                return varint(int(value))  # type: ignore[call-overload]
            if self.kind == "svarint":
                number = int(value)  # type: ignore[call-overload]
                return varint(number << 1 if number >= 0 else (-number << 1) - 1)
            return struct.pack(_FIXED[self.kind], value)
        except (ValueError, TypeError, struct.error, OverflowError) as error:
            raise ValueError(f"field {self.name} ({self.kind}) cannot hold {value!r}: {error}") from None

    def read(self, reader: Reader) -> int | float | str:
        """The value at the reader's place."""
        if isinstance(self.kind, tuple):
            code = reader.take(1, self.name)[0]
            if code >= len(self.kind):
                raise UnknownSyntax(
                    f"{reader.where}, {self.name}", expected="one of " + ", ".join(self.kind), found=f"code {code}"
                )
            return self.kind[code]
        if self.kind == "varint":
            return reader.varint(self.name)
        if self.kind == "svarint":
            coded = reader.varint(self.name)
            return coded >> 1 if not coded & 1 else -((coded + 1) >> 1)
        return reader.fixed(self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Table:
    """An ordered list of fields: the one definition of a header."""

    name: str
    fields: tuple[Field, ...]

    def write(self, values: Mapping[str, object]) -> bytes:
        """All fields in order.

        Raises:
            ValueError: a value is missing, unknown or does not fit.
        """
        known = {item.name for item in self.fields}
        if set(values) != known:
            raise ValueError(f"{self.name}: expected the fields {sorted(known)}, got {sorted(values)}")
        return b"".join(item.write(values[item.name]) for item in self.fields)

    def read(self, reader: Reader) -> dict[str, int | float | str]:
        """All fields in order, by name."""
        return {item.name: item.read(reader) for item in self.fields}

    def rows(self) -> list[tuple[str, str, str]]:
        """(name, kind, doc) of every field, for documentation and the published field tables."""
        return [
            (item.name, item.kind if isinstance(item.kind, str) else "u8: " + " | ".join(item.kind), item.doc)
            for item in self.fields
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A run of bytes with one meaning. Children, where given, tile it exactly."""

    name: str
    kind: str
    offset: int
    n_bytes: int
    ideal_bits: float | None = None
    note: str = ""
    children: tuple[Section, ...] = ()

    def walk(self) -> Iterator[Section]:
        """This section and everything inside it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def shifted(self, by: int) -> Section:
        """The same section `by` bytes further on."""
        return Section(
            name=self.name,
            kind=self.kind,
            offset=self.offset + by,
            n_bytes=self.n_bytes,
            ideal_bits=self.ideal_bits,
            note=self.note,
            children=tuple(child.shifted(by) for child in self.children),
        )

    def as_dict(self) -> dict[str, object]:
        """Plain data for anatomy.json."""
        out: dict[str, object] = {"name": self.name, "kind": self.kind, "offset": self.offset, "n_bytes": self.n_bytes}
        if self.ideal_bits is not None:
            out["ideal_bits"] = round(self.ideal_bits, 3)
        if self.note:
            out["note"] = self.note
        if self.children:
            out["children"] = [child.as_dict() for child in self.children]
        return out


def check_tiling(sections: Sequence[Section], start: int, end: int, where: str) -> None:
    """Return only if the sections cover [start, end) without gap or overlap, at every level.

    Raises:
        BitstreamError: they do not.
    """
    at = start
    for section in sections:
        if section.offset != at or section.n_bytes < 0:
            raise BitstreamError(
                f"{where}, section {section.name}", expected=f"offset {at:,}", found=f"{section.offset:,}"
            )
        at += section.n_bytes
        if section.children:
            check_tiling(section.children, section.offset, at, f"{where}/{section.name}")
    if at != end:
        raise BitstreamError(where, expected=f"sections up to byte {end:,}", found=f"up to {at:,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bitstream:
    """A codec's payload and the sections that tile it."""

    payload: bytes
    sections: tuple[Section, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        check_tiling(self.sections, 0, len(self.payload), "bitstream")


MAGIC = b"\xa7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The syntax of one family's payload: its code, its header table and its section names in order.

    Written as: magic (1 byte), family code (1 byte), header, section lengths as varints, sections.
    """

    family: str
    code: int
    header: Table
    sections: tuple[str, ...]

    def write(
        self,
        header: Mapping[str, object],
        sections: Mapping[str, bytes],
        *,
        kinds: Mapping[str, str] | None = None,
        ideal_bits: Mapping[str, float] | None = None,
        children: Mapping[str, tuple[Section, ...]] | None = None,
    ) -> Bitstream:
        """The payload of these values.

        Args:
            header: a value for every header field.
            sections: bytes for every section; empty where a section is unused.
            kinds, ideal_bits, children: what anatomy says of a section; children count from the section's start.
        """
        if set(sections) != set(self.sections):
            raise ValueError(f"{self.family}: expected the sections {self.sections}, got {sorted(sections)}")
        head = MAGIC + bytes([self.code]) + self.header.write(header)
        head += b"".join(varint(len(sections[name])) for name in self.sections)
        parts = [Section(name="header", kind="field table", offset=0, n_bytes=len(head))]
        at = len(head)
        for name in self.sections:
            if sections[name]:
                parts.append(
                    Section(
                        name=name,
                        kind=(kinds or {}).get(name, "bytes"),
                        offset=at,
                        n_bytes=len(sections[name]),
                        ideal_bits=(ideal_bits or {}).get(name),
                        children=tuple(child.shifted(at) for child in (children or {}).get(name, ())),
                    )
                )
            at += len(sections[name])
        return Bitstream(payload=head + b"".join(sections[name] for name in self.sections), sections=tuple(parts))

    def read(self, payload: bytes) -> tuple[dict[str, int | float | str], dict[str, bytes]]:
        """Header values and sections of a payload.

        Raises:
            UnknownSyntax: not this family's payload.
            Truncated: the payload is shorter than it says.
        """
        reader = Reader(payload, self.family)
        if reader.take(1, "magic") != MAGIC:
            raise UnknownSyntax(
                self.family,
                expected=f"magic {MAGIC.hex()}",
                found=bytes(payload[:1]).hex(),
                fix="not an archive of ours",
            )
        code = reader.take(1, "family code")[0]
        if code != self.code:
            raise UnknownSyntax(self.family, expected=f"family code {self.code}", found=str(code))
        header = self.header.read(reader)
        lengths = [reader.varint(f"length of {name}") for name in self.sections]
        found = {name: reader.take(length, name) for name, length in zip(self.sections, lengths, strict=True)}
        reader.end()
        return header, found


def sections_as_dicts(sections: Iterable[Section]) -> list[dict[str, object]]:
    """Plain data of several sections."""
    return [section.as_dict() for section in sections]
