"""Archives: written so that they repeat, read so that they can do no harm."""

from __future__ import annotations

import io
import random
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repro_zipfile import ReproducibleZipFile

from lab import archive
from lab.bitstream import Section
from lab.errors import PacketError


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """An ordinary archive, made by the standard library."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression=method) as target:
        for name, content in members:
            target.writestr(name, content)
    return out.getvalue()


def forged(name: str = "0.bin", content: bytes = b"payload", **fields: int | bytes) -> bytes:
    """An archive of one stored member whose headers say what `fields` say; local_* and central_* for one of them."""

    def value(where: str, key: str, default: int | bytes) -> int | bytes:
        return fields.get(f"{where}_{key}", fields.get(key, default))

    def header(where: str) -> tuple[bytes, ...]:
        numbers = struct.pack(
            "<3H2H3I",
            value(where, "version", 20),
            value(where, "flags", 0),
            value(where, "method", 0),
            0,
            33,
            value(where, "crc", zlib.crc32(content)),
            value(where, "compressed", len(content)),
            value(where, "size", len(content)),
        )
        text = value(where, "name", name.encode())
        assert isinstance(text, bytes)
        return numbers, text

    numbers, text = header("local")
    local = b"PK\x03\x04" + numbers + struct.pack("<2H", len(text), 0) + text + content
    numbers, text = header("central")
    place = value("central", "offset", 0)
    central = b"PK\x01\x02" + struct.pack("<H", 0x0314) + numbers
    central += struct.pack("<5H2I", len(text), 0, 0, 0, 0, value("central", "mode", 0o100644 << 16), place) + text
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


@given(st.binary(max_size=3000))
def test_a_payload_comes_back_and_its_archive_repeats(payload: bytes) -> None:
    data = archive.write(payload)
    assert data == archive.write(payload)
    (member,) = archive.parse(data, "archive.zip")
    assert (member.name, member.content) == (archive.MEMBER, payload)
    assert data[member.data_offset : member.data_offset + member.compressed_bytes] == payload


def test_an_archive_is_what_repro_zipfile_writes_and_no_environment_gets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOURCE_DATE_EPOCH", "REPRO_ZIPFILE_FILE_MODE"):
        monkeypatch.delenv(name, raising=False)
    out = io.BytesIO()
    with ReproducibleZipFile(out, "w") as target:
        target.writestr(archive.MEMBER, b"payload")
    assert archive.write(b"payload") == out.getvalue()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("REPRO_ZIPFILE_FILE_MODE", "600")
    assert archive.write(b"payload") == out.getvalue()


def test_the_forge_makes_a_good_archive_when_it_does_not_lie() -> None:
    (member,) = archive.parse(forged(), "archive.zip")
    assert member.content == b"payload"


UNSAFE_NAMES = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "..",
    ".",
    ".hidden",
    "a/.git/x",
    "a\\b",
    "C:\\x",
    "c:x",
    "a//b",
    "",
]
UNSAFE_NAMES += ["a\x00b", "a\x1bb", "\x7f", "./x", "x" * 300, "__MACOSX/../../x"]


@pytest.mark.parametrize("name", UNSAFE_NAMES)
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(PacketError):
        archive.parse(forged(name), "archive.zip")


@pytest.mark.parametrize(
    "names", [("a", "a"), ("a", "A"), ("a", "a/b"), ("a/b", "a"), ("A", "a/b"), ("a", "a/"), ("x/y", "x/y/z")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_fight_for_one_place_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(PacketError):
        archive.parse(zipped(*((name, b"" if name.endswith("/") else b"x") for name in names)), "archive.zip")


LIES: dict[str, dict[str, int | bytes]] = {
    "another name in the local header": {"local_name": b"1.bin"},
    "another size in the local header": {"local_size": 8},
    "another checksum in the local header": {"local_crc": 1},
    "another method in the local header": {"local_method": 8},
    "a wrong checksum in both": {"crc": 1},
    "four gigabytes": {"size": 0xFFFFFFF0, "compressed": 0xFFFFFFF0},
    "four gigabytes, in the directory": {"central_size": 0xFFFFFFF0},
    "a bomb by its claim": {"size": 1 << 29},
    "more compressed bytes than there are": {"compressed": 1 << 20},
    "a password": {"flags": 1},
    "a method nobody knows": {"method": 99},
    "lzma": {"method": 14},
    "a symbolic link": {"central_mode": (stat.S_IFLNK | 0o777) << 16},
    "an offset past the end": {"central_offset": 1 << 20},
    "a folder with content": {"local_name": b"folder/", "central_name": b"folder/"},
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_headers_that_lie_are_refused(lie: str) -> None:
    with pytest.raises(PacketError):
        archive.parse(forged(**LIES[lie]), "archive.zip")


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression=zipfile.ZIP_DEFLATED) as target, target.open("0.bin", "w") as member:
        for _ in range(300):
            member.write(bytes(1 << 20))
    assert len(out.getvalue()) < 1 << 20
    with pytest.raises(PacketError, match="larger claim"):
        archive.parse(out.getvalue(), "archive.zip")


def test_a_bomb_that_understates_itself_is_refused() -> None:
    packed = zlib.compressobj(wbits=-15)
    bomb = packed.compress(bytes(1 << 20)) + packed.flush()
    with pytest.raises(PacketError):
        archive.parse(forged(content=bomb, method=8, size=10, crc=zlib.crc32(bytes(1 << 20))), "archive.zip")


def test_too_many_members_are_refused() -> None:
    with pytest.raises(PacketError, match="members"):
        archive.parse(zipped(*((f"{n}.bin", b"") for n in range(archive.MEMBER_LIMIT + 1))), "archive.zip")


def test_members_that_share_bytes_are_refused() -> None:
    """Two directory entries over one local member: the quoted-overlap bomb."""
    data = bytearray(zipped(("a", b"x" * 100), ("b", b"x" * 100)))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    data[second + 46 : second + 47] = b"a"
    with pytest.raises(PacketError):
        archive.parse(bytes(data), "archive.zip")


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"no archive" * 99])
def test_what_is_no_archive_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(PacketError, match=r"x\.zip"):
        archive.read(tmp_path / "x.zip")


def test_folders_are_members_without_content() -> None:
    members = archive.parse(zipped(("folder/", b""), ("folder/0.bin", b"x")), "archive.zip")
    assert [member.name for member in members] == ["folder/", "folder/0.bin"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_byte_is_accounted_for(method: int) -> None:
    data = zipped(("0.bin", b"x" * 1000), ("1.bin", b"y"), method=method)
    sections = archive.anatomy(data, "archive.zip")
    assert sum(section.n_bytes for section in sections) == len(data)
    hidden = data[:20] + data[20:]
    assert archive.anatomy(hidden, "archive.zip") == sections


def test_a_difference_is_named_by_its_byte_and_section() -> None:
    one = archive.write(b"abcdef")
    inside = {
        "0.bin": (
            Section(name="head", kind="x", offset=0, n_bytes=2),
            Section(name="rest", kind="x", offset=2, n_bytes=4),
        )
    }
    sections = archive.anatomy(one, "archive.zip", inside)
    assert archive.difference(one, one, sections) == ""
    (member,) = archive.parse(one, "archive.zip")
    place = member.data_offset + 3
    other = one[:place] + b"X" + one[place + 1 :]
    assert archive.difference(one, other, sections) == f"byte {place:,}, in 0.bin / rest"
    assert "bytes long" in archive.difference(one, one[:-1], archive.anatomy(one, "archive.zip"))
    assert "one ends there" in archive.difference(one + b"x", one, sections)


def test_hidden_bytes_are_shown_as_a_gap() -> None:
    data = zipped(("0.bin", b"x" * 50))
    padded = b"hidden!!" + data
    kinds = [section.kind for section in archive.anatomy(padded, "archive.zip")]
    assert kinds[0] == "unaccounted bytes"


def test_any_damage_is_refused_or_harmless() -> None:
    """Mutated archives: a checked list of members or a PacketError, nothing else."""
    chance = random.Random(5)
    originals = [archive.write(bytes(range(256)) * 4), zipped(("a/b.bin", b"x" * 999), ("c", b""), method=8), forged()]
    refused = 0
    for _ in range(1500):
        data = bytearray(chance.choice(originals))
        for _ in range(chance.choice((1, 1, 2, 5))):
            kind = chance.randrange(4)
            place = chance.randrange(len(data)) if data else 0
            if kind == 0 and data:
                data[place] ^= 1 << chance.randrange(8)
            elif kind == 1:
                del data[place:]
            elif kind == 2:
                data[place:place] = chance.randbytes(chance.randrange(9))
            elif data:
                data[place : place + 4] = chance.choice((b"\xff" * 4, bytes(4), b"PK\x01\x02"))
        try:
            members = archive.parse(bytes(data), "archive.zip")
            assert all(zlib.crc32(member.content) == member.crc32 for member in members)
            assert archive.anatomy(bytes(data), "archive.zip")
        except PacketError:
            refused += 1
    assert refused > 500


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_or_members(data: bytes) -> None:
    for candidate in (data, b"PK\x03\x04" + data, data + b"PK\x05\x06" + bytes(18)):
        try:
            archive.parse(candidate, "archive.zip")
        except PacketError:
            continue
