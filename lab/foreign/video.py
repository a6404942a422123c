"""Recognising video: AV1 as bare open bitstream units, IVF, Matroska and MP4, walked from the first to the last byte.

References: AOMedia, "AV1 Bitstream & Decoding Process Specification", sections 5.3 to 5.5; RFC 8794 (EBML).
"""

from __future__ import annotations

import struct

from lab.foreign.evidence import Strength
from lab.foreign.tables import Reading

UNIT_LIMIT = 1 << 16
_UNITS = {1: "sequence header", 2: "temporal delimiter", 3: "frame header", 4: "tile group", 5: "metadata", 6: "frame",
          7: "frame header again", 8: "tile list", 15: "padding"}  # fmt: skip
_MATROSKA_SEGMENT = 0x18538067


def read(data: bytes) -> Reading | None:
    """The video that these bytes are, from the first to the last."""
    for reader in (_av1, _ivf, _matroska, _mp4):
        found = reader(data)
        if found is not None:
            return found
    return None


def _av1(data: bytes) -> Reading | None:
    counts = units(data)
    if not counts or not counts.get("sequence header") or not data.startswith(b"\x12\x00"):
        return None
    size = sequence_size(data)
    frames = counts.get("frame", 0) + counts.get("frame header", 0)
    if size is None or not frames:
        return None
    evidence = (
        f"{sum(counts.values()):,} AV1 units end to end, {frames:,} of them frames of at most {size[1]}x{size[0]}"
    )
    return Reading("AV1 units", Strength.PARSED, evidence, {"units": counts, "frame_size": list(size)}, role="video")


def units(data: bytes) -> dict[str, int] | None:
    """How many units of each kind, where bytes are AV1 units with sizes, end to end."""
    counts: dict[str, int] = {}
    at = 0
    while at < len(data):
        head = data[at]
        kind = _UNITS.get(head >> 3 & 15)
        if head & 0x81 or kind is None or not head & 2 or sum(counts.values()) >= UNIT_LIMIT:
            return None
        size = _leb128(data, at + 1 + (head >> 2 & 1))
        if size is None or size[1] + size[0] > len(data):
            return None
        at = size[1] + size[0]
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def _leb128(data: bytes, at: int) -> tuple[int, int] | None:
    """(value, place after it)."""
    value = 0
    for place in range(8):
        if at + place >= len(data):
            return None
        value |= (data[at + place] & 0x7F) << 7 * place
        if not data[at + place] & 0x80:
            return value, at + place + 1
    return None


def sequence_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) from the first sequence header of AV1 units."""
    at = 0
    while at < len(data):
        head = data[at]
        size = _leb128(data, at + 1 + (head >> 2 & 1))
        if size is None:
            return None
        if head >> 3 & 15 == 1:
            return _sequence(data[size[1] : size[1] + size[0]])
        at = size[1] + size[0]
    return None


class _Bits:
    """Bits of bytes, most significant first; past the end they are zero."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            byte = self.data[self.at >> 3] if self.at >> 3 < len(self.data) else 0
            value = value << 1 | byte >> 7 - (self.at & 7) & 1
            self.at += 1
        return value


def _sequence(payload: bytes) -> tuple[int, int]:
    bits = _Bits(payload)
    bits.take(4)  # profile, still picture
    if bits.take(1):  # reduced header: level only
        bits.take(5)
    else:
        delay_bits = _timing(bits)
        initial_delay = bits.take(1)
        for _ in range(bits.take(5) + 1):
            bits.take(12)
            if bits.take(5) > 7:
                bits.take(1)
            if delay_bits is not None and bits.take(1):
                bits.take(2 * delay_bits + 1)
            if initial_delay and bits.take(1):
                bits.take(4)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(width_bits) + 1, bits.take(height_bits) + 1
    return height, width


def _timing(bits: _Bits) -> int | None:
    """Bits of a decoder buffer delay, where the header carries a decoder model."""
    if not bits.take(1):
        return None
    bits.take(64)
    if bits.take(1):
        zeros = 0
        while zeros < 32 and not bits.take(1):
            zeros += 1
        bits.take(zeros)
    if not bits.take(1):
        return None
    delay_bits = bits.take(5) + 1
    bits.take(32 + 5 + 5)
    return delay_bits


def _ivf(data: bytes) -> Reading | None:
    if not data.startswith(b"DKIF") or len(data) < 32:
        return None
    head, code = struct.unpack_from("<H", data, 6)[0], data[8:12].decode("latin-1")
    width, height = struct.unpack_from("<2H", data, 12)
    at, frames = head, 0
    while at + 12 <= len(data):
        at += 12 + struct.unpack_from("<I", data, at)[0]
        frames += 1
    if at != len(data) or head < 32 or not frames:
        return None
    evidence = f"{frames:,} frames of {code} in IVF, {width}x{height}, end to end"
    facts: dict[str, object] = {"codec": code, "frames": frames, "frame_size": [height, width]}
    return Reading("IVF video", Strength.PARSED, evidence, facts, role="video")


def _matroska(data: bytes) -> Reading | None:
    if not data.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    at = 0
    kinds: list[int] = []
    while at < len(data):
        element = _element(data, at)
        if element is None or element[2] > len(data) or len(kinds) > 16:
            return None
        kinds.append(element[0])
        at = element[2]
    if at != len(data) or _MATROSKA_SEGMENT not in kinds:
        return None
    name = "WebM" if b"webm" in data[:64] else "Matroska"
    codec = next((code for code in ("V_AV1", "V_VP9", "V_MPEGH/ISO/HEVC", "V_MPEG4/ISO/AVC", "V_FFV1")
                  if code.encode() in data[:4096]), "unknown")  # fmt: skip
    return Reading(
        f"{name} video", Strength.PARSED, f"{name} elements end to end, codec {codec}", {"codec": codec}, role="video"
    )


def _element(data: bytes, at: int) -> tuple[int, int, int] | None:
    """(id, start of its content, end) of an EBML element; one of unknown size runs to the end."""
    if at + 2 > len(data) or not data[at]:
        return None
    id_bytes = 9 - data[at].bit_length()
    place = at + id_bytes
    if id_bytes > 4 or place >= len(data) or not data[place]:
        return None
    size_bytes = 9 - data[place].bit_length()
    if place + size_bytes > len(data):
        return None
    mask = (1 << 7 * size_bytes) - 1
    size = int.from_bytes(data[place : place + size_bytes]) & mask
    start = place + size_bytes
    return int.from_bytes(data[at:place]), start, len(data) if size == mask else start + size


def _mp4(data: bytes) -> Reading | None:
    if data[4:8] != b"ftyp":
        return None
    at = 0
    kinds: list[str] = []
    while at + 8 <= len(data) and len(kinds) < UNIT_LIMIT:
        size = struct.unpack_from(">I", data, at)[0]
        kind = data[at + 4 : at + 8]
        if size == 1 and at + 16 <= len(data):
            size = struct.unpack_from(">Q", data, at + 8)[0]
        if size < 8 or not kind.isalnum():
            return None
        kinds.append(kind.decode("ascii"))
        at += size
    if at != len(data) or "moov" not in kinds:
        return None
    return Reading(
        "MP4 video", Strength.PARSED, f"boxes {', '.join(kinds[:8])} end to end", {"boxes": kinds[:32]}, role="video"
    )
