"""Reading video: exact counts, exact sizes, and a clear refusal of everything that is not a video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lab.errors import SampleCountMismatch, VideoError
from lab.video import colour, frames


def write_video(path: Path, n_frames: int, size: tuple[int, int] = (48, 64), pixels: str = "yuv420p") -> Path:
    rng = np.random.default_rng(7)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        for _ in range(n_frames):
            picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1600), dtype=np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


def test_probe_counts_frames_by_decoding(tmp_path: Path) -> None:
    info = frames.probe(write_video(tmp_path / "a.mkv", 7))
    assert (info.frame_size, info.n_frames, info.n_pairs) == ((48, 64), 7, 3)
    assert (info.fps, info.codec, info.pixel_format, info.full_range) == (Fraction(20), "ffv1", "yuv420p", False)


def test_pairs_are_consecutive_frames_that_no_other_pair_shares(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 6)
    single = list(frames.read_frames(path))
    pairs = list(frames.read_pairs(path))
    assert len(pairs) == 3
    np.testing.assert_array_equal(np.concatenate(pairs), np.stack(single))
    assert pairs[0].shape == (2, 48, 64, 3)
    assert pairs[0].dtype == np.uint8


def test_an_odd_frame_is_left_out_only_when_the_caller_counts(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 5)
    assert len(list(frames.read_pairs(path, n_pairs=2))) == 2
    with pytest.raises(VideoError, match=r"even number of frames.*5.*2 leaves the last frame out"):
        list(frames.read_pairs(path))


def test_too_few_frames_are_an_error_and_never_a_shorter_clip(tmp_path: Path) -> None:
    with pytest.raises(SampleCountMismatch, match="expected 6 frames, found 5"):
        list(frames.read_pairs(write_video(tmp_path / "a.mkv", 5), n_pairs=3))


def test_another_frame_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="expected frames of 40x64, found 48x64"):
        list(frames.read_pairs(write_video(tmp_path / "a.mkv", 2), n_pairs=1, size=(40, 64)))


def test_the_line_that_makes_an_odd_side_even_is_left_out(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 2)
    (full,) = frames.read_pairs(path)
    (pair,) = frames.read_pairs(path, size=(47, 63))
    np.testing.assert_array_equal(pair, full[:, :47, :63])


def test_a_frame_is_converted_by_our_own_colour(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 1)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        expected = colour.to_uint8(colour.yuv_to_rgb(*frames.planes(frame)))
    np.testing.assert_array_equal(next(frames.read_frames(path)), expected)


@pytest.mark.parametrize("pixels", ["yuv444p", "yuv422p", "bgr0", "yuv420p10le", "gray"])
def test_other_pixel_formats_read_as_almost_the_same_picture(tmp_path: Path, pixels: str) -> None:
    flat = np.full((48, 64, 3), (200, 200, 200) if pixels == "gray" else (180, 90, 40), dtype=np.uint8)
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
        container.mux(stream.encode(av.VideoFrame.from_ndarray(flat, format="rgb24")))
        container.mux(stream.encode(None))
    found = next(frames.read_frames(path)).astype(int)
    assert np.abs(found - flat).max() <= 3


def test_full_range_files_are_read_as_full_range(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=20)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        white = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 250, dtype=np.uint8), format="rgb24")
        container.mux(stream.encode(white))
        container.mux(stream.encode(None))
    assert frames.probe(path).full_range
    assert np.abs(next(frames.read_frames(path)).astype(int) - 250).max() <= 3


def test_what_is_not_a_video_is_named(tmp_path: Path) -> None:
    text = tmp_path / "holiday.mp4"
    text.write_text("this is a shopping list\n" * 50)
    script = tmp_path / "holiday.txt"
    script.write_text("this is a shopping list\n" * 50)
    (tmp_path / "empty.mp4").touch()
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n")
    for path in (text, script, tmp_path / "empty.mp4", tmp_path / "absent.mp4", tmp_path, playlist):
        with pytest.raises(VideoError):
            frames.probe(path)
        with pytest.raises(VideoError):
            list(frames.read_pairs(path))


def test_sound_alone_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="found audio only"):
        frames.probe(write_sound(tmp_path / "song.wav"))


def test_a_file_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises(VideoError):
        list(frames.read_pairs(path))


def test_a_frame_size_that_changes_is_refused(tmp_path: Path) -> None:
    chunks = []
    for size in ((48, 64), (64, 80)):
        encoder = av.CodecContext.create("libx264", "w")
        encoder.height, encoder.width, encoder.pix_fmt = *size, "yuv420p"
        encoder.time_base = Fraction(1, 20)
        encoder.options = {"preset": "ultrafast", "x264-params": "threads=1:log-level=none"}
        picture = av.VideoFrame.from_ndarray(np.full((*size, 3), 90, dtype=np.uint8), format="rgb24")
        chunks += [bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None))]
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(chunks))
    with pytest.raises(VideoError, match=r"frames of one size, 48x64.*found 64x80"):
        list(frames.read_pairs(path))


def test_a_damaged_file_is_an_error_or_short_but_never_padded(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mkv", 6).read_bytes()
    cut = tmp_path / "cut.mkv"
    for share in (0.05, 0.3, 0.6, 0.9):
        cut.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises((VideoError, SampleCountMismatch)):
            list(frames.read_pairs(cut, n_pairs=3))


def test_the_real_clip_gives_110_whole_pairs_and_no_more(shared: Path) -> None:
    n_pairs = 0
    with pytest.raises(SampleCountMismatch, match="expected 222 frames, found 221"):
        for pair in frames.read_pairs(shared / "clips" / "solid_white_right.mp4", n_pairs=111, size=(540, 960)):
            assert pair.shape == (2, 540, 960, 3)
            n_pairs += 1
    assert n_pairs == 110
