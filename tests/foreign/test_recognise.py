"""A format is recognised by decoding it to its last byte, whatever its name; what nothing explains stays so."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import math
import random
import struct
import tarfile
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import brotli
import numpy as np
import pytest
import safetensors.numpy
import zstandard

from lab import cli
from lab.foreign import anatomy, video
from lab.foreign.evidence import Budget, Found, Strength, entropy_bits
from lab.foreign.recognise import recognise

TEXT = json.dumps({"n_pairs": 6, "latent_dim": 3, "words": ["the same again"] * 40}).encode()


def stored(name: str, content: bytes) -> bytes:
    """A ZIP with one stored member."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def read(data: bytes) -> Found:
    """What these bytes are."""
    return recognise(data, Budget("test"))


def tensor_list(shapes: dict[str, tuple[int, ...]]) -> bytes:
    """Named int8 tensors with scales, written from the published description."""
    drawn = np.random.default_rng(1)
    out = struct.pack("<I", len(shapes))
    for name, shape in shapes.items():
        codes = drawn.integers(-127, 128, math.prod(shape))
        zigzag = np.where(codes >= 0, 2 * codes, -2 * codes - 1).astype(np.uint8)
        out += struct.pack("<I", len(name)) + name.encode() + struct.pack(f"<I{len(shape)}I", len(shape), *shape)
        out += struct.pack("<fI", 0.01, zigzag.size) + zigzag.tobytes()
    return out


def latent_table(rows: int, columns: int) -> bytes:
    """Delta-coded latents, written from the published description."""
    codes = np.random.default_rng(2).integers(0, 255, (rows, columns))
    delta = np.diff(codes, axis=0, prepend=np.zeros((1, columns), dtype=codes.dtype))
    zigzag = np.where(delta >= 0, 2 * delta, -2 * delta - 1).astype(np.uint16)
    limits = np.full(columns, -1.5, np.float16).tobytes() + np.full(columns, 0.02, np.float16).tobytes()
    planes = (zigzag & 255).astype(np.uint8).tobytes() + (zigzag >> 8).astype(np.uint8).tobytes()
    return struct.pack("<II", rows, columns) + limits + planes


def four_bit(blocks: int) -> bytes:
    """Four-bit weights of normal draws with their scales, written from the published description."""
    book = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    weights = np.random.default_rng(3).normal(size=(blocks, 32))
    scales = np.abs(weights).max(axis=1) / 6
    index = np.abs(np.abs(weights / scales[:, None])[..., None] - book).argmin(axis=-1)
    nibbles = (np.where(weights < 0, 8, 0) | index).astype(np.uint8)
    return (nibbles[:, ::2] | nibbles[:, 1::2] << 4).tobytes() + scales.astype(np.float16).tobytes()


def saved_array() -> bytes:
    out = io.BytesIO()
    np.save(out, np.arange(40, dtype=np.float32).reshape(8, 5))
    return out.getvalue()


def tar_of(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


MASKS = b"QMA9" + struct.pack("<4I", 600, 512, 384, 90) + bytes(range(90))


@pytest.mark.parametrize(
    ("data", "format", "strength"),
    [
        (brotli.compress(TEXT), "brotli", Strength.REPRODUCED),
        (brotli.compress(TEXT, quality=3), "brotli", Strength.DECODED),
        (zlib.compress(TEXT), "zlib", Strength.CHECKED),
        (gzip.compress(TEXT, mtime=0), "gzip", Strength.CHECKED),
        (bz2.compress(TEXT), "bzip2", Strength.CHECKED),
        (lzma.compress(TEXT), "xz", Strength.CHECKED),
        (zstandard.ZstdCompressor(write_checksum=True).compress(TEXT), "zstd", Strength.CHECKED),
        (zstandard.ZstdCompressor().compress(TEXT), "zstd", Strength.DECODED),
        (TEXT, "JSON", Strength.PARSED),
        (tensor_list({"stem.weight": (6, 3), "stem.bias": (6,)}), "int8 tensors with scales", Strength.PARSED),
        (latent_table(6, 3), "delta-coded latents", Strength.PARSED),
        (four_bit(64), "four-bit blocks", Strength.PLAUSIBLE),
        (MASKS, "QMA9 class maps", Strength.PARSED),
        (saved_array(), "NumPy array", Strength.PARSED),
        (safetensors.numpy.save({"w": np.zeros((4, 5), np.float32)}), "safetensors", Strength.PARSED),
        (tar_of(a=b"x" * 700, b=b"y"), "tar archive", Strength.CHECKED),
        (stored("a", TEXT), "ZIP archive", Strength.PARSED),
    ],
)  # fmt: skip
def test_a_format_is_recognised_and_every_byte_used(data: bytes, format: str, strength: Strength) -> None:
    found = read(data)
    assert (found.format, found.strength) == (format, strength)
    assert found.parts == () or sum(part.found.n_bytes for part in found.parts) == len(data)


@pytest.mark.parametrize(
    "data", [brotli.compress(TEXT), lzma.compress(TEXT), tensor_list({"a": (9,)}), latent_table(6, 3), MASKS]
)
def test_one_byte_more_or_less_or_other_proves_nothing(data: bytes) -> None:
    whole = read(data)
    assert read(data[:-1]).format != whole.format
    assert (read(data + b"\x01").format, read(data + b"\x01").n_bytes) != (whole.format, len(data))


def test_what_a_stream_holds_is_read_as_well() -> None:
    found = read(brotli.compress(lzma.compress(tensor_list({"stem.weight": (6, 3)}))))
    assert [found.format, found.content and found.content.format] == ["brotli", "xz"]
    assert found.innermost.facts["tensors"] == {"stem.weight": [6, 3]}


def test_av1_units_are_walked_and_their_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "masks.obu"
    with av.open(str(path), "w", format="obu") as out:
        stream = out.add_stream("libsvtav1", rate=Fraction(20), options={"preset": "10", "svtav1-params": "lp=1"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(6):
            picture = np.full((96, 128, 3), 40 * number, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    data = path.read_bytes()
    found = read(data)
    assert (found.format, found.facts["frame_size"]) == ("AV1 units", [96, 128])
    assert found.facts["units"]["temporal delimiter"] == 6  # type: ignore[index]
    assert read(brotli.compress(data)).innermost.format == "AV1 units"
    assert video.read(data[:-1]) is None


@pytest.mark.parametrize(("suffix", "format"), [("mkv", "Matroska video"), ("mp4", "MP4 video"), ("ivf", "IVF video")])
def test_video_containers_are_walked_to_their_end(tmp_path: Path, suffix: str, format: str) -> None:
    path = tmp_path / f"x.{suffix}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libsvtav1", rate=Fraction(20), options={"preset": "10", "svtav1-params": "lp=1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(3):
            picture = np.full((64, 64, 3), 40 * number, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    data = path.read_bytes()
    assert read(data).format == format
    assert read(data[:-1]).format != format


def published_layout(*parts: bytes) -> bytes:
    """Parts with their lengths in front."""
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


META = brotli.compress(json.dumps({"n_pairs": 40, "latent_dim": 3}).encode())
DECODER = brotli.compress(tensor_list({"stem.weight": (60, 3), "stem.bias": (60,)}))
LATENTS = brotli.compress(latent_table(40, 3))


def test_parts_are_named_by_what_they_prove_and_checked_against_each_other() -> None:
    found = read(published_layout(META, DECODER, LATENTS))
    assert [part.name for part in found.parts] == ["length", "meta", "length", "decoder", "length", "latents"]
    assert found.facts["parts_agree"] == [
        "latent_dim 3 of the meta part is the latents' columns",
        "n_pairs 40 of the meta part is the latents' rows",
        "tensor stem.weight takes as many inputs as a latent has figures",
    ]


def test_other_published_layouts_divide_as_well() -> None:
    listed = struct.pack("<3I", len(META), len(DECODER), len(LATENTS)) + META + DECODER + LATENTS
    assert [part.name for part in read(listed).parts] == ["length", "meta", "decoder", "latents"]
    tagged = b"\xff" + len(DECODER).to_bytes(3, "little") + DECODER + LATENTS
    assert [part.name for part in read(tagged).parts] == ["length", "decoder", "latents"]
    rest = random.Random(1).randbytes(50)
    chained = read(DECODER + LATENTS + rest)
    assert [(part.name, part.found.strength.proves) for part in chained.parts] == [
        ("decoder", True), ("latents", True), ("part 3", False),
    ]  # fmt: skip


def test_random_bytes_stay_unexplained() -> None:
    drawn = random.Random(7)
    for _ in range(400):
        data = drawn.randbytes(drawn.randrange(1, 900))
        assert read(data).strength is Strength.NONE


def test_plain_words_are_not_taken_for_figures() -> None:
    assert read(b"the quick brown fox jumps over the lazy dogs " * 3).strength is Strength.NONE


def test_a_name_proves_nothing() -> None:
    noise = random.Random(3).randbytes(300)

    def proofs(name: str) -> list[Any]:
        return [{**proof, "of": ""} for proof in anatomy.anatomy(stored(name, noise), "x.zip")["proofs"]]

    assert proofs("model.pt.br") == proofs("pose.npy") == proofs("x")
    assert proofs("x")[0]["strength"] == "unexplained"


def test_entropy_is_that_of_the_bytes() -> None:
    assert entropy_bits(bytes(1000)) == 0.0
    assert entropy_bits(bytes(range(256)) * 3) == pytest.approx(8.0 * 256 * 3)
    assert entropy_bits(b"\0\1" * 50) == pytest.approx(100.0)


def test_the_real_archive_resolves_to_meta_decoder_and_latents(shared: Path) -> None:
    found = anatomy.read(shared / "archives" / "pr104_qhnerv_ft_best.zip")
    (member,) = [section for section in found["sections"] if section["kind"] == "stored member"]
    parts = {part["name"]: (part["offset"], part["n_bytes"]) for part in member["children"] if part["name"] != "length"}
    assert parts == {"meta": (39, 80), "decoder": (123, 162569), "latents": (162696, 15868)}
    assert sum(part["n_bytes"] for part in member["children"]) == member["n_bytes"] == 178529
    assert sum(section["n_bytes"] for section in found["sections"]) == found["archive"]["n_bytes"] == 178637
    by_role = {proof["role"]: proof["facts"] for proof in found["proofs"] if proof.get("role") and "facts" in proof}
    assert by_role["decoder"]["weights"] == 228958 and len(by_role["decoder"]["tensors"]) == 28
    assert by_role["latents"] == {"rows": 600, "columns": 28}
    assert {proof["strength"] for proof in found["proofs"] if proof["format"] == "brotli"} == {"reproduced"}


def test_the_verb_tells_which_published_entry_an_archive_is(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared / "archives" / "pr104_qhnerv_ft_best.zip"
    ledgers = Path(__file__).resolve().parents[2] / "ledgers"
    assert cli.main(["--ledgers", str(ledgers), "anatomy", str(path)]) == 0
    out = capsys.readouterr().out
    assert "on public record as qhnerv_ft_best, PR 104" in out and "178,637 bytes, every one accounted for" in out
    assert cli.main(["--ledgers", str(ledgers), "anatomy", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    published = {stream["name"]: stream["bytes"] for stream in told["published_as"][0]["streams"]}
    assert {published["decoder"], published["latents"]} == {162569, 15868}
