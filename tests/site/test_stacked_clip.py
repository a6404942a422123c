"""The stacked clip holds both panes of every frame, repeats bit for bit and carries no remarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import shelf
from conftest import build

from lab.errors import MediaMissing, SiteError
from lab.site import mosaic


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def number(pane: np.ndarray, width: int) -> int:
    block = max(2, width // 40)
    return sum(1 << bit for bit in range(shelf.BITS) if pane[0:block, bit * block : (bit + 1) * block].mean() > 127)


def test_both_panes_of_every_frame_show_the_same_moment(built: SimpleNamespace) -> None:
    (clip,) = built.media.values()
    width, height = clip.pane
    shown = frames(clip.video)
    assert len(shown) == clip.n_frames
    for index, frame in enumerate(shown):
        assert number(frame[:height], width) == index
        assert number(frame[clip.pitch[1] : clip.pitch[1] + height], width) == index


def test_the_left_pane_is_the_source_and_the_right_one_is_not(built: SimpleNamespace, made: shelf.Made) -> None:
    (clip,) = built.media.values()
    width, height = clip.pane
    source = frames(made.contract.source_path)[3][:height, :width].astype(float)
    shown = frames(clip.video)[3].astype(float)
    original, decoded = shown[:height, :width], shown[clip.pitch[1] : clip.pitch[1] + height, :width]
    assert np.abs(original - source).mean() < np.abs(decoded - source).mean()


def test_the_file_names_neither_encoder_nor_settings(built: SimpleNamespace) -> None:
    (clip,) = built.media.values()
    content = clip.video.read_bytes()
    for mark in (b"x264", b"Lavf", b"Lavc", b"libx264"):
        assert mark not in content
    assert content.index(b"moov") < content.index(b"mdat")  # the index comes first


def test_a_missing_source_names_the_run(tmp_path: Path) -> None:
    made = shelf.make(tmp_path, runs=shelf.RUNS[:1], clips=1)
    made.contract.source_path.unlink()
    with pytest.raises(MediaMissing, match=made.ids["baseline-fast"]):
        build(made.ledgers, tmp_path / "cache")


def test_a_clip_that_is_no_video_names_the_run(tmp_path: Path) -> None:
    made = shelf.make(tmp_path, runs=shelf.RUNS[:1], clips=1)
    clip = made.ledgers / shelf.NAME / "clips" / f"{made.ids['baseline-fast']}.mp4"
    clip.write_bytes(b"not a video")
    with pytest.raises(SiteError, match=made.ids["baseline-fast"]):
        build(made.ledgers, tmp_path / "cache")


def test_a_spoilt_cache_is_not_trusted(made: shelf.Made, tmp_path: Path) -> None:
    first = build(made.ledgers, tmp_path / "cache")
    (clip,) = first.media.values()
    whole = clip.video.read_bytes()
    clip.video.write_bytes(whole[:-10])
    (again,) = build(made.ledgers, tmp_path / "cache").media.values()
    assert again.video.read_bytes() == whole


def test_a_run_without_a_clip_has_a_page_without_a_player(built: SimpleNamespace, made: shelf.Made) -> None:
    page = built.tree[f"runs/{shelf.NAME}/{made.ids['baseline-fast']}/index.html"].decode()
    assert "data-clip" not in page
    best = built.book.main.boards[0].frontier
    with_clip = next(iter(built.media))
    player = built.tree[with_clip[1:] + "index.html"].decode()
    assert "data-clip" in player
    assert "never score authority" in player
    assert best is not None


def test_a_tighter_limit_gives_a_coarser_clip_within_it(made: shelf.Made, tmp_path: Path) -> None:
    (decoded,) = sorted((made.ledgers / shelf.NAME / "clips").glob("*.mp4"))[:1]
    order = mosaic.Order(
        where="a clip",
        videos=(made.contract.source_path, decoded),
        columns=1,
        size=made.contract.frame_size,
        fps=made.contract.source.rate,
        limit_bytes=10_000_000,
    )
    sizes = []
    for name in ("fine", "coarse"):
        folder = tmp_path / name
        folder.mkdir()
        video, *_ = mosaic.make(order, folder)
        sizes.append(video.stat().st_size)
        order = replace(order, limit_bytes=int(0.8 * sizes[0]))
    assert sizes[1] <= 0.8 * sizes[0]
    with pytest.raises(SiteError, match="at most 100 bytes"):
        mosaic.make(replace(order, limit_bytes=100), tmp_path)
