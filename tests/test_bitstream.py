"""Bitstream syntax: one table writes and reads; sections tile; nothing reads past the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.bitstream import Bitstream, Field, Layout, Reader, Section, Table, check_tiling, varint
from lab.errors import BitstreamError, Truncated, UnknownSyntax

TABLE = Table(
    "demo",
    (
        Field("rows", "u16", "rows of a frame"),
        Field("gain", "svarint", "signed gain"),
        Field("mode", ("plain", "fancy"), "how"),
        Field("n", "varint", "a count"),
    ),
)
LAYOUT = Layout(family="demo", code=250, header=TABLE, sections=("first", "second", "third"))
HEADER = {"rows": 437, "gain": -3, "mode": "fancy", "n": 150}


@given(st.integers(0, (1 << 35) - 1))
def test_varints_round_trip_in_their_shortest_form(value: int) -> None:
    coded = varint(value)
    reader = Reader(coded, "test")
    assert reader.varint("value") == value
    reader.end()
    assert len(coded) == max(1, -(-value.bit_length() // 7))


@given(
    st.integers(0, 65535),
    st.integers(-(1 << 33), 1 << 33),
    st.sampled_from(["plain", "fancy"]),
    st.integers(0, 1 << 34),
)
def test_a_table_reads_what_it_wrote(rows: int, gain: int, mode: str, n: int) -> None:
    values = {"rows": rows, "gain": gain, "mode": mode, "n": n}
    assert TABLE.read(Reader(TABLE.write(values), "test")) == values


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_sections_come_back_and_tile_the_payload(first: bytes, second: bytes, third: bytes) -> None:
    stream = LAYOUT.write(HEADER, {"first": first, "second": second, "third": third})
    header, sections = LAYOUT.read(stream.payload)
    assert header == HEADER
    assert sections == {"first": first, "second": second, "third": third}
    check_tiling(stream.sections, 0, len(stream.payload), "test")


def test_truncation_at_every_byte_is_refused() -> None:
    payload = LAYOUT.write(HEADER, {"first": b"abc", "second": b"", "third": b"defgh"}).payload
    for end in range(len(payload)):
        with pytest.raises(BitstreamError):
            LAYOUT.read(payload[:end])
    with pytest.raises(UnknownSyntax, match="1 more bytes"):
        LAYOUT.read(payload + b"x")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xa7",
        b"\xa7\x01",
        b"PK\x03\x04",
        b"\xa7\xfa" + bytes(2) + b"\x80\x80\x80\x80\x80\x80",
        b"\xa7\xfa\0\0\0\7",
    ],
)
def test_alien_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(BitstreamError):
        LAYOUT.read(payload)


def test_a_padded_varint_is_refused() -> None:
    with pytest.raises(UnknownSyntax, match="shortest"):
        Reader(b"\x80\x00", "test").varint("value")


def test_a_length_beyond_the_end_takes_no_memory() -> None:
    with pytest.raises(Truncated):
        Reader(b"abc", "test").take(1 << 40, "everything")


def test_values_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="rows"):
        TABLE.write({**HEADER, "rows": 65536})
    with pytest.raises(ValueError, match="mode"):
        TABLE.write({**HEADER, "mode": "plainer"})
    with pytest.raises(ValueError, match="fields"):
        TABLE.write({"rows": 1})


def test_sections_with_a_gap_are_no_bitstream() -> None:
    parts = (Section(name="a", kind="x", offset=0, n_bytes=2), Section(name="b", kind="x", offset=3, n_bytes=1))
    with pytest.raises(BitstreamError, match="offset 2"):
        Bitstream(payload=b"abcd", sections=parts)


def test_children_must_tile_their_parent() -> None:
    child = Section(name="c", kind="x", offset=0, n_bytes=1)
    parent = Section(name="p", kind="x", offset=0, n_bytes=2, children=(child,))
    with pytest.raises(BitstreamError):
        Bitstream(payload=b"ab", sections=(parent,))
    whole = Section(name="p", kind="x", offset=0, n_bytes=1, children=(child,)).shifted(5)
    assert [section.offset for section in whole.walk()] == [5, 5]
