"""The decoded side of a comparison clip, small enough to publish. It illustrates; it is never score authority."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

OPTIONS = {"crf": "25", "preset": "slow", "threads": "1", "bf": "0", "g": "20"}


def write(path: Path, frames: Iterable[NDArray[np.uint8]], fps: Fraction) -> None:
    """Encode RGB frames as H.264 in MP4, bytes that repeat, without tags.

    Args:
        frames: uint8 (H, W, 3) each, one size; an odd last row or column is repeated, since 4:2:0 needs even sizes.
        fps: frames per second, exact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        stream = None
        for number, frame in enumerate(frames):
            height, width = frame.shape[:2]
            even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options=OPTIONS)
                stream.width, stream.height = even.shape[1], even.shape[0]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            picture.pts = number
            picture.time_base = 1 / fps
            container.mux(stream.encode(picture))
        if stream is not None:
            container.mux(stream.encode(None))
