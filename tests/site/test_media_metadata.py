"""What a careless or hostile clip or picture carries beside its pixels never reaches the site, kind by kind."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import shelf
from conftest import build
from PIL import Image, PngImagePlugin

from lab.errors import LeakFound
from lab.site import check, publish, tags

PLANT = "planted-by-somebody"


def clip(path: Path, size: tuple[int, int], n_frames: int) -> None:
    """An H.264 clip with tags in its container and the encoder's settings in its stream."""
    with av.open(str(path), "w", format="mp4") as out:
        for name in ("title", "comment", "artist"):
            out.metadata[name] = PLANT
        stream = out.add_stream("libx264", rate=Fraction(20), options={"crf": "20", "preset": "veryfast"})
        stream.height, stream.width = (-(-side // 16) * 16 for side in size)
        stream.pix_fmt = "yuv420p"
        grey = np.full((stream.height, stream.width, 3), 96, np.uint8)
        for number in range(n_frames):
            frame = av.VideoFrame.from_ndarray(np.roll(grey, number, axis=1), format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def test_tags_and_encoder_settings_of_a_clip_stay_behind(tmp_path: Path) -> None:
    made = shelf.make(tmp_path, runs=shelf.RUNS[:1])
    (path,) = (made.ledgers / shelf.NAME / "clips").glob("*.mp4")
    clip(path, made.contract.frame_size, 2 * made.contract.n_pairs)
    planted = path.read_bytes()
    assert PLANT.encode() in planted and b"x264 - core" in planted
    assert {"MP4 tags", "encoder's remarks"} <= set(tags.found(planted))
    built = build(made.ledgers, tmp_path / "cache")
    media = {name: publish.read(content) for name, content in built.tree.items() if name.startswith("media/")}
    assert {name.rpartition(".")[2] for name in media} == {"json", "mp4", "webp"}
    assert {name: list(tags.found(content)) for name, content in media.items() if list(tags.found(content))} == {}
    everything = b"".join(publish.read(content) for content in built.tree.values())
    assert PLANT.encode() not in everything and b"x264 - core" not in everything


def test_text_of_a_picture_of_evidence_stops_the_build(tmp_path: Path) -> None:
    made = shelf.make(tmp_path, runs=shelf.RUNS[:1], clips=0)
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", PLANT)
    folder = made.ledgers / shelf.NAME / "evidence" / next(iter(made.ids.values()))
    Image.new("RGB", (8, 8)).save(folder / "sensitivity-segnet.png", pnginfo=told)
    with pytest.raises(LeakFound, match=r"sensitivity-segnet\.png:1 metadata: PNG text"):
        build(made.ledgers, tmp_path / "cache")


@pytest.mark.parametrize(("name", "what"), [("x.jpg", "JPEG comment"), ("x.webp", "WebP metadata")])
def test_remarks_of_other_kinds_of_picture_stop_the_build(name: str, what: str) -> None:
    out = io.BytesIO()
    if name.endswith(".jpg"):
        Image.new("RGB", (8, 8)).save(out, "JPEG", comment=PLANT.encode())
    else:
        Image.new("RGB", (8, 8)).save(out, "WEBP", xmp=PLANT.encode())
    assert PLANT.encode() in out.getvalue()
    with pytest.raises(LeakFound, match=what):
        check.check({f"media/{name}": out.getvalue()})
