"""The `.tac` container: exact on any file, hardly ever larger, bounded in memory, and never half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.cli import main
from lab.entropy import blocks, lossless
from lab.errors import BitstreamError, ChecksumMismatch, LabError

FAST = ("fast", "balanced", "small")


def kinds() -> dict[str, bytes]:
    """Contents of several kinds."""
    rng = np.random.default_rng(4)
    series = np.cumsum(rng.normal(0, 1, 3000)).astype("<f4").tobytes()
    noise = rng.integers(0, 256, 5000).astype(np.uint8).tobytes()
    text = Path(__file__).read_bytes()
    zeros = bytes(30_000)
    return {
        "nothing": b"",
        "one byte": b"x",
        "noise": noise,
        "series": series,
        "text": text,
        "zeros": zeros,
        "everything": noise + text + zeros + noise + series + b"end",
    }


def round_trip(content: bytes, profile: str, folder: Path) -> int:
    """Compress and decompress; returns the size of the container."""
    source, coded, back = folder / "in", folder / "out.tac", folder / "back"
    source.write_bytes(content)
    outcome = lossless.compress(source, coded, profile=profile, replace=True)
    assert outcome.coded_bytes == coded.stat().st_size
    lossless.decompress(coded, back, replace=True)
    assert back.read_bytes() == content
    return outcome.coded_bytes


@pytest.mark.parametrize("profile", blocks.PROFILES)
@pytest.mark.parametrize("kind", kinds())
def test_any_file_comes_back_and_never_grows_by_more_than_64_bytes(kind: str, profile: str, tmp_path: Path) -> None:
    content = kinds()[kind]
    size = round_trip(content, profile, tmp_path)
    assert size <= len(content) + lossless.OVERHEAD <= len(content) + 64
    if kind in ("text", "zeros", "everything"):
        assert size < 0.6 * len(content) + 64


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=300), repeats=st.integers(1, 40), profile=st.sampled_from(FAST))
def test_random_contents_come_back(content: bytes, repeats: int, profile: str, tmp_path: Path) -> None:
    assert round_trip(content * repeats, profile, tmp_path) <= len(content) * repeats + 64


def test_blocks_alternating_between_noise_and_text_never_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second block saves next to nothing: heads must not eat it up."""
    monkeypatch.setattr(lossless, "MOST_BLOCK", 256)
    rng = np.random.default_rng(5)
    pieces = []
    for at in range(16):
        piece = rng.integers(0, 256, 256).astype(np.uint8)
        if at % 2:
            piece[: 50 + 2 * at] = 7
        pieces.append(piece.tobytes())
    assert round_trip(b"".join(pieces), "small", tmp_path) <= 16 * 256 + lossless.OVERHEAD


def test_smaller_profiles_are_smaller_and_our_models_win_on_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    table = np.clip(rng.normal(0, 1, (2000, 4)) * (3, 9, 20, 1), -128, 127).astype(np.int8).tobytes()
    sizes = [round_trip(table, profile, tmp_path) for profile in blocks.PROFILES]
    assert sizes[0] == max(sizes) and sizes[-1] == min(sizes)
    assert lossless.compress(tmp_path / "in", tmp_path / "m.tac", profile="smallest").by_method.keys() <= {
        "mixing",
        "context tree",
    }


def test_several_blocks_are_streamed(tmp_path: Path) -> None:
    content = bytes(blocks.MOST_BLOCK) + os.urandom(70_000) + b"tail" * 9_000
    size = round_trip(content + content, "fast", tmp_path)
    assert size < 2 * 80_000


@pytest.mark.parametrize("end", [0, 3, 4, 11, 12, 13, 20, -33, -32, -1])
def test_a_truncated_container_is_refused_and_leaves_nothing(end: int, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"a road and a sky " * 400)
    lossless.compress(tmp_path / "in", tmp_path / "c.tac")
    (tmp_path / "cut.tac").write_bytes((tmp_path / "c.tac").read_bytes()[:end])
    with pytest.raises(BitstreamError):
        lossless.decompress(tmp_path / "cut.tac", tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.tac", "cut.tac", "in"]


def test_a_flipped_byte_in_stored_content_is_a_checksum_error(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(500))
    lossless.compress(tmp_path / "in", tmp_path / "c.tac")
    coded = bytearray((tmp_path / "c.tac").read_bytes())
    coded[100] ^= 4
    (tmp_path / "c.tac").write_bytes(coded)
    with pytest.raises(ChecksumMismatch):
        lossless.decompress(tmp_path / "c.tac", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_block_that_holds_more_than_was_declared_is_refused_while_streaming(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(1 << 20))
    lossless.compress(tmp_path / "in", tmp_path / "c.tac")
    coded = bytearray((tmp_path / "c.tac").read_bytes())
    coded[4:12] = (1000).to_bytes(8, "little")
    (tmp_path / "c.tac").write_bytes(coded)
    with pytest.raises(BitstreamError, match="declared"):
        lossless.decompress(tmp_path / "c.tac", tmp_path / "back")


def test_a_declared_size_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "c.tac").write_bytes(lossless.MAGIC + (1 << 62).to_bytes(8, "little"))
    with pytest.raises(BitstreamError, match="content of at most"):
        lossless.decompress(tmp_path / "c.tac", tmp_path / "back")
    with pytest.raises(BitstreamError, match="content of at most 10 bytes"):
        lossless.decompress(tmp_path / "c.tac", tmp_path / "back", most_bytes=10)


@pytest.mark.parametrize("method", blocks.METHODS)
def test_a_block_never_yields_more_than_it_declares(method: str) -> None:
    content = b"road sky car " * 300
    level = {"zstandard": 3, "brotli": 5, "lzma": 6}.get(method)
    if method == "stored":
        payload = content
    elif level:
        payload = blocks._compress(content, method, level)
    else:
        payload = blocks._modelled(content, method)
    for raw in (100, len(content) + 1):
        block = blocks.Block(method=method, order="as it is", raw_bytes=raw, payload=payload)
        with pytest.raises(BitstreamError):
            blocks.decode(block)


def test_an_output_that_exists_is_kept(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"abc")
    (tmp_path / "out").write_bytes(b"precious")
    for call in (lossless.compress, lossless.decompress):
        with pytest.raises(LabError):
            call(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"precious"


def test_the_verbs_compress_decompress_and_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, coded, back = tmp_path / "in", tmp_path / "c.tac", tmp_path / "back"
    source.write_bytes(b"tick tock " * 500)
    assert main(["lossless", "compress", str(source), "-o", str(coded), "--profile", "small"]) == 0
    assert main(["lossless", "decompress", str(coded), "-o", str(back), "--json"]) == 0
    assert back.read_bytes() == source.read_bytes()
    assert main(["lossless", "profiles"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in blocks.PROFILES)
    assert main(["lossless", "decompress", str(source), "-o", str(tmp_path / "no")]) == 1
    assert main(["lossless", "compress", str(source), "-o", str(tmp_path / "no"), "--profile", "tiny"]) == 1
    assert not (tmp_path / "no").exists()


PEAK = """
import sys
from pathlib import Path
from lab.entropy import lossless
call, source, out, profile = sys.argv[1:]
options = {"profile": profile} if call == "compress" else {}
getattr(lossless, call)(Path(source), Path(out), **options)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak_mb(call: str, source: Path, out: Path, profile: str) -> float:
    """Peak resident memory of a fresh process, in MB; what `getrusage` says begins with the parent's."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, call, str(source), str(out), profile], capture_output=True, text=True, check=True
    )
    return int(done.stdout) * 1024 / 1e6


@pytest.mark.slow
def test_two_gigabytes_take_under_500_megabytes_of_memory(tmp_path: Path) -> None:
    """Two decimal gigabytes: noise, text and long holes in turn; memory does not depend on the length."""
    source, coded, back = tmp_path / "in", tmp_path / "c.tac", tmp_path / "back"
    text = (Path(__file__).read_bytes() * 400)[: 4 << 20]
    with source.open("wb") as target:
        while target.tell() < 2_000_000_000:
            target.write(os.urandom(1 << 20) + text)
            target.seek(64 << 20, os.SEEK_CUR)
        target.truncate(2_000_000_000)
    found = [peak_mb("compress", source, coded, "fast"), peak_mb("decompress", coded, back, "fast")]
    print(f"peak of {found[0]:.0f} and {found[1]:.0f} MB; container {coded.stat().st_size:,} bytes")
    assert max(found) < 500
    assert subprocess.run(["cmp", source, back], check=False).returncode == 0


@pytest.mark.slow
def test_the_smallest_profile_takes_under_500_megabytes_as_well(tmp_path: Path) -> None:
    """A whole block for the codecs, and a table of numbers that our models win, whose memory grows with its length."""
    rng = np.random.default_rng(9)
    text = " ".join(map(str, rng.integers(0, 1 << 20, blocks.MOST_BLOCK // 6).tolist())).encode()
    table = np.clip(rng.normal(0, 1, (blocks.MOST_MODELLED // 8, 4)) * (3, 9, 20, 1), -128, 127).astype(np.int8)
    (tmp_path / "in").write_bytes(text[: blocks.MOST_BLOCK] + table.tobytes())
    found = [
        peak_mb("compress", tmp_path / "in", tmp_path / "c.tac", "smallest"),
        peak_mb("decompress", tmp_path / "c.tac", tmp_path / "back", "smallest"),
    ]
    print(f"peak of {found[0]:.0f} and {found[1]:.0f} MB")
    assert max(found) < 500
    assert (tmp_path / "back").read_bytes() == (tmp_path / "in").read_bytes()
