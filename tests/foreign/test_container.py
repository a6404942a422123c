"""A hostile ZIP is refused before it is unpacked; an honest one is accounted for to the byte."""

from __future__ import annotations

import io
import random
import struct
import time
import tracemalloc
import zipfile
import zlib

import brotli
import pytest

from lab.bitstream import Section, check_tiling
from lab.errors import PacketError
from lab.foreign import anatomy, container

EOCD = struct.Struct("<4s4H2IH")


def zipped(**members: bytes) -> bytes:
    """A ZIP of deflated members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def stored(name: str, content: bytes) -> bytes:
    """A ZIP with one stored member."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def central(data: bytes, index: int = 0) -> int:
    """Place of a central header."""
    at = -1
    for _ in range(index + 1):
        at = data.index(b"PK\x01\x02", at + 1)
    return at


def patched(data: bytes, at: int, value: bytes) -> bytes:
    """The same bytes with some replaced."""
    return data[:at] + value + data[at + len(value) :]


def refused(data: bytes) -> str:
    """The message with which an anatomy is refused."""
    with pytest.raises(PacketError) as caught:
        anatomy.anatomy(data, "hostile.zip")
    return str(caught.value)


def test_every_byte_of_an_honest_archive_is_in_one_section() -> None:
    data = zipped(a=b"one" * 500, b=b"two" * 900)
    sections = container.survey(data, "honest.zip").sections({})
    check_tiling(sections, 0, len(data), "honest.zip")
    assert [section.name for section in sections] == ["a header", "a", "b header", "b", "directory", "end record"]


def test_leading_bytes_gaps_and_comments_have_sections_of_their_own() -> None:
    out = io.BytesIO()
    out.write(b"leading")
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(zipfile.ZipInfo("a"), b"content")
        archive.comment = b"a remark"
    data = out.getvalue()
    sections: tuple[Section, ...] = container.survey(data, "x.zip").sections({})
    check_tiling(sections, 0, len(data), "x.zip")
    assert (sections[0].kind, sections[0].n_bytes) == ("unaccounted bytes", 7)
    assert (sections[-1].kind, sections[-1].n_bytes) == ("zip comment", 8)


def test_a_streamed_archive_keeps_its_sizes_in_a_descriptor() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, piece: bytes) -> int:  # type: ignore[override]
            self.data += bytes(piece)
            return len(piece)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        archive.writestr("a", b"content" * 50)
    found = anatomy.anatomy(pipe.data, "streamed.zip")
    assert "zip data descriptor" in [section["kind"] for section in found["sections"]]


def test_headers_that_differ_harmlessly_are_reported() -> None:
    data = zipped(a=b"content" * 40)
    found = anatomy.anatomy(patched(data, 10, b"\x21\x43"), "x.zip")
    assert found["members"][0]["headers_differ_in"] == ["time"]
    assert anatomy.anatomy(data, "x.zip")["members"][0]["headers_agree"] is True


BASE = zipped(a=b"content" * 400, b=bytes(range(256)) * 4)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "no end record"),
        (b"PK\x03\x04" + bytes(200), "no end record"),
        (patched(BASE, central(BASE) + 8, b"\x01\x00"), "encrypted"),
        (patched(BASE, 6, b"\x01\x00"), "another encryption"),
        (patched(BASE, central(BASE) + 24, struct.pack("<I", 2801)), "another size"),
        (patched(BASE, central(BASE) + 20, struct.pack("<I", 7)), "another packed size"),
        (patched(BASE, 14, b"\0\0\0\0"), "another checksum"),
        (patched(BASE, 8, b"\x00\x00"), "another method"),
        (patched(BASE, central(BASE) + 10, b"\x0c\x00"), "method 12"),
        (patched(BASE, 30, b"z"), "one name in both headers"),
        (patched(BASE, central(BASE) + 42, struct.pack("<I", 10**6)), "the end of the archive"),
        (patched(BASE, central(BASE, 1) + 42, struct.pack("<I", 0)), "one name in both headers"),
        (patched(BASE, central(BASE) + 38, struct.pack("<I", 0o120777 << 16)), "mode 120777"),
        (patched(BASE, len(BASE) - 14, b"\xff\xff\xff\xff"), "zip64"),
        (patched(BASE, len(BASE) - 18, b"\x01\x00"), "several disks"),
        (patched(BASE, len(BASE) - 6, struct.pack("<I", 3)), "right before the end record"),
        (zipped(**{"../a": b"x"}), "plain relative names"),
        (zipped(**{"/etc/a": b"x"}), "plain relative names"),
        (zipped(**{"a\\b": b"x"}), "plain relative names"),
        (zipped(**{"C:a": b"x"}), "plain relative names"),
        (zipped(**{".hidden": b"x"}), "plain relative names"),
        (zipped(**{"a\nb": b"x"}), "plain relative names"),
        (zipped(**{"__MACOSX/a": b"x"}), "plain relative names"),
    ],
)  # fmt: skip
def test_a_dishonest_or_unsafe_archive_is_refused(data: bytes, complaint: str) -> None:
    assert complaint in refused(data)


def test_members_that_share_bytes_are_refused() -> None:
    data = zipped(a=b"content" * 400)
    at, end = central(data), data.rindex(b"PK\x05\x06")
    header = data[at:end]
    twice = data[:at] + header * 2
    twice += EOCD.pack(b"PK\x05\x06", 0, 0, 2, 2, 2 * len(header), at, 0)
    assert "overlapping" in refused(twice)


def test_a_duplicate_name_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a", b"one")
        archive.writestr("a", b"two")
    assert "duplicate names" in refused(out.getvalue())


def bomb(n_bytes: int) -> bytes:
    """A ZIP whose one member unpacks to this many zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = bytes(1 << 20)
    crc = 0
    packed = b""
    for _ in range(n_bytes >> 20):
        packed += packer.compress(chunk)
        crc = zlib.crc32(chunk, crc)
    packed += packer.flush()
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 33, crc, len(packed), n_bytes, 1, 0) + b"a"
    head = struct.pack(
        "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 33, crc, len(packed), n_bytes, 1, 0, 0, 0, 0, 0, 0
    )  # fmt: skip
    directory = head + b"a"
    end = EOCD.pack(b"PK\x05\x06", 0, 0, 1, 1, len(directory), len(local) + len(packed), 0)
    return local + packed + directory + end


def resized(data: bytes, plain: int) -> bytes:
    """A one-member ZIP whose both headers claim another size."""
    return patched(patched(data, 22, struct.pack("<I", plain)), central(data) + 24, struct.pack("<I", plain))


def nested(content: bytes, levels: int) -> bytes:
    """Parts with their lengths in front, inside of parts with their lengths in front, and so on."""
    for _ in range(levels):
        content = (struct.pack("<I", len(content)) + content) * 2
    return content


def crowded(n_bytes: int) -> bytes:
    """Lists of five hundred parts, each a list of five hundred parts of noise: many runs that all must be tried."""
    noise = random.Random(9)
    inner = b"".join(struct.pack("<I", 13) + noise.randbytes(13) for _ in range(500))
    return (struct.pack("<I", len(inner)) + inner) * min(500, n_bytes // len(inner))


def ladder(rows: int) -> bytes:
    """A table of latents of one column that fits until its last row."""
    planes = bytes(2 * rows - 1) + b"\1"
    return struct.pack("<II2e", rows, 1, -1.0, 0.5) + planes


SMALL_BOMB = bomb(8 << 20)
HOSTILE = {
    "a large claim": bomb(128 << 20),
    "a claim that deflate cannot reach": resized(zipped(a=b"x"), 60 << 20),
    "more than claimed": resized(SMALL_BOMB, 1 << 20),
    "less than claimed": resized(SMALL_BOMB, (8 << 20) + 1),
    "a brotli bomb inside": stored("a", brotli.compress(bytes(200 << 20), quality=1)),
    "many brotli bombs inside": stored("a", brotli.compress(bytes(40 << 20), quality=1) * 30),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_bomb_is_refused_in_bounded_time_and_memory(name: str) -> None:
    tracemalloc.start()
    started = time.process_time()
    try:
        refused(HOSTILE[name])
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert time.process_time() - started < 15.0
    assert peak < 4 * container.CLAIM_LIMIT_BYTES


EXHAUSTING = {
    "divisions within divisions": nested(random.Random(4).randbytes(1 << 18), 5),
    "thousands of small runs": crowded(4 << 20),
    "a long table that fails at its end": ladder(1 << 20),
    "many tensors": struct.pack("<I", 4096) + b"".join(
        struct.pack("<I", 4) + f"{n:04d}".encode() + struct.pack("<IIfI", 1, 1000, 0.5, 1000) + bytes(1000)
        for n in range(4095)
    ),
    "objects within objects": b'{"a":' * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(EXHAUSTING))
def test_bytes_that_invite_a_long_search_end_in_bounded_time_and_memory(name: str) -> None:
    """Nothing here is dishonest, so nothing is refused; what the search does not reach stays unexplained."""
    data = stored("a", EXHAUSTING[name])
    started = time.process_time()
    found = anatomy.anatomy(data, "exhausting.zip")
    assert time.process_time() - started < 20.0
    assert sum(section["n_bytes"] for section in found["sections"]) == len(data)


def test_a_search_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound itself: with nothing left to look with, even a plain format stays unexplained, and is accounted for."""
    data = stored("a", brotli.compress(b'{"rows": 3}' * 9))
    assert anatomy.anatomy(data, "x.zip")["proofs"][0]["format"] == "brotli"
    monkeypatch.setattr("lab.foreign.evidence.LOOKS_PER_BYTE", 0)
    assert anatomy.anatomy(data, "x.zip")["proofs"][0]["strength"] == "unexplained"


def test_damage_anywhere_is_refused_or_accounted_for() -> None:
    """Every truncation, and a thousand single flips: a refusal of ours, or sections that still tile the file."""
    drawn = random.Random(5)
    data = zipped(a=brotli.compress(b'{"rows": 3}' * 9), b=bytes(range(64)))
    damaged = [data[:cut] for cut in range(0, len(data), 3)]
    for _ in range(1000):
        at = drawn.randrange(len(data))
        damaged.append(patched(data, at, bytes([data[at] ^ 1 << drawn.randrange(8)])))
    n_refused = 0
    for item in damaged:
        try:
            found = anatomy.anatomy(item, "damaged.zip")
        except PacketError:
            n_refused += 1
            continue
        assert sum(section["n_bytes"] for section in found["sections"]) == len(item)
    assert n_refused > len(damaged) // 2
