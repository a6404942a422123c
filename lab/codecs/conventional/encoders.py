"""x265, SVT-AV1 and x264 as PyAV carries them, pinned to what makes their bytes repeat.

Every option is named in a table here. SVT-AV1 ignores a key that it does not know and gives the same bytes as without
it, so an unknown key is refused before an encoder sees it.

Notes:
    x264 and x265 change their bytes with the number of threads, so they get one. SVT-AV1 does not, and gets one too.
    The text that x265 and x264 write about themselves into the stream is left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from lab.errors import RecipeError, VideoError

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]

_X26_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
# A GOP of this length never ends inside a clip.
_ENDLESS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an encoder is asked for. `gop` 0 codes the whole clip as one group; `bframes` None keeps the preset's."""

    crf: float
    preset: str
    gop: int = 0
    bframes: int | None = None
    film_grain: int = 0
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """One encoder: its library, the syntax it writes, what a recipe may set, and how settings become its options."""

    library: str
    coding: str
    presets: tuple[str, ...]
    crf_limit: int
    film_grain_limit: int
    keys: frozenset[str]
    arguments: Callable[[Settings], dict[str, str]]


def _joined(pairs: dict[str, str]) -> str:
    return ":".join(f"{key}={value}" for key, value in pairs.items())


def _x265(settings: Settings) -> dict[str, str]:
    pinned = {"pools": "none", "frame-threads": "1", "wpp": "0", "info": "0", "log-level": "none", "aud": "0"}
    pinned |= {"keyint": str(settings.gop or _ENDLESS), "min-keyint": str(settings.gop or _ENDLESS), "scenecut": "0"}
    pinned |= {"repeat-headers": "1", "open-gop": "0"}
    if settings.bframes is not None:
        pinned["bframes"] = str(settings.bframes)
    return {
        "preset": settings.preset,
        "crf": f"{settings.crf:g}",
        "x265-params": _joined(pinned | dict(settings.options)),
    }


def _x264(settings: Settings) -> dict[str, str]:
    pinned = {"threads": "1", "sliced-threads": "0", "repeat-headers": "1", "open-gop": "0", "scenecut": "0"}
    pinned |= {"keyint": str(settings.gop or _ENDLESS), "min-keyint": str(settings.gop or _ENDLESS)}
    if settings.bframes is not None:
        pinned["bframes"] = str(settings.bframes)
    return {
        "preset": settings.preset,
        "crf": f"{settings.crf:g}",
        "x264-params": _joined(pinned | dict(settings.options)),
    }


def _svt(settings: Settings) -> dict[str, str]:
    pinned = {"lp": "1", "keyint": str(settings.gop or -1), "scd": "0"}
    if settings.film_grain:
        pinned["film-grain"] = str(settings.film_grain)
    return {
        "preset": settings.preset,
        "crf": f"{settings.crf:g}",
        "svtav1-params": _joined(pinned | dict(settings.options)),
    }


_X265_KEYS = """
amp aq-mode aq-strength b-adapt b-intra bframe-bias cbqpoffs crqpoffs ctu cutree deblock hme ipratio limit-modes
limit-refs limit-sao max-merge max-tu-size me merange min-cu-size no-cutree no-deblock no-psy-rd no-rect no-sao
no-signhide no-weightb no-weightp pbratio psy-rd psy-rdoq qcomp qg-size rc-lookahead rd rd-refine rdoq-level rect
ref sao sao-non-deblock selective-sao strong-intra-smoothing subme tskip tu-inter-depth tu-intra-depth weightb
weightp
"""
_X264_KEYS = """
8x8dct aq-mode aq-strength b-adapt b-bias b-pyramid cabac chroma-qp-offset deblock direct ipratio mbtree me merange
mixed-refs no-deblock partitions pbratio psy psy-rd qcomp rc-lookahead ref subme trellis weightb weightp
"""
_SVT_KEYS = """
ac-bias aq-mode chroma-qm-max chroma-qm-min enable-cdef enable-dlf enable-overlays enable-qm enable-restoration
enable-tf enable-variance-boost film-grain-denoise hierarchical-levels irefresh-type lookahead luminance-qp-bias
max-tx-size pred-struct qm-max qm-min qp-scale-compress-strength sharpness tf-strength tune variance-boost-curve
variance-boost-strength variance-octile
"""

ENCODERS: dict[str, Encoder] = {
    "x265": Encoder(
        library="libx265",
        coding="hevc",
        presets=_X26_PRESETS,
        crf_limit=51,
        film_grain_limit=0,
        keys=frozenset(_X265_KEYS.split()),
        arguments=_x265,
    ),
    "svt-av1": Encoder(
        library="libsvtav1",
        coding="av1",
        presets=tuple(map(str, range(-1, 14))),
        crf_limit=63,
        film_grain_limit=50,
        keys=frozenset(_SVT_KEYS.split()),
        arguments=_svt,
    ),
    "x264": Encoder(
        library="libx264",
        coding="avc",
        presets=_X26_PRESETS,
        crf_limit=51,
        film_grain_limit=0,
        keys=frozenset(_X264_KEYS.split()),
        arguments=_x264,
    ),
}


def parse_options(encoder: str, options: Iterable[str], where: str) -> tuple[tuple[str, str], ...]:
    """The (key, value) pairs of `key=value` texts.

    Raises:
        RecipeError: not of that form, or a key that this encoder is not known to understand.
    """
    known = ENCODERS[encoder].keys
    pairs = []
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not value or any(sign in value for sign in ":=\\'\" "):
            raise RecipeError(where, expected="key=value without spaces or colons", found=repr(option))
        if key not in known:
            near = get_close_matches(key, sorted(known), n=3)
            raise RecipeError(
                where,
                expected=f"a key that {encoder} understands and that is not set elsewhere",
                found=repr(key),
                fix="did you mean " + ", ".join(near) + "?" if near else "known are " + ", ".join(sorted(known)),
            )
        pairs.append((key, value))
    if len(dict(pairs)) != len(pairs):
        raise RecipeError(where, expected="every key once", found=", ".join(options))
    return tuple(pairs)


def encode(name: str, settings: Settings, pictures: Iterable[Planes], size: tuple[int, int], fps: Fraction) -> bytes:
    """The elementary stream of pictures, as the encoder emits it.

    Args:
        name: a key of `ENCODERS`.
        pictures: planes of YUV 4:2:0, BT.601 limited range, display order.
        size: (height, width) of a picture, even.
        fps: frames per second; rate control is by quality, so this only scales the encoder's sense of time.

    Raises:
        VideoError: the encoder does not accept the settings or fails.
    """
    encoder = ENCODERS[name]
    context: Any = av.CodecContext.create(encoder.library, "w")
    context.height, context.width = size
    context.pix_fmt = "yuv420p"
    context.framerate, context.time_base = fps, 1 / fps
    context.thread_count = 1
    context.color_range, context.colorspace = av.video.reformatter.ColorRange.MPEG, 6
    context.options = encoder.arguments(settings)
    try:
        with _contained():
            chunks = [bytes(packet) for picture in _frames(pictures) for packet in context.encode(picture)]
            chunks += [bytes(packet) for packet in context.encode(None)]
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(
            f"encoder {name}", expected=f"to encode with {context.options}", found=str(error)[:200]
        ) from None
    return b"".join(chunks)


def _frames(pictures: Iterable[Planes]) -> Iterator[Any]:
    for time, planes in enumerate(pictures):
        height, width = planes[0].shape
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size), dtype=np.uint8)
            rows[:, : plane.width] = values
            plane.update(rows.tobytes())
        frame.pts = time
        yield frame


@contextmanager
def _contained() -> Iterator[None]:
    """Keep SVT-AV1 from leaving marks: it prints its settings unless told not to, and a process of root that called it
    stays in the real-time class of the scheduler, children included, where it starves everything else on the machine.
    """
    before = os.environ.get("SVT_LOG")
    os.environ["SVT_LOG"] = "1"
    # Linux alone has these calls; elsewhere there is no such class to be left in.
    scheduled = (os.sched_getscheduler(0), os.sched_getparam(0)) if hasattr(os, "sched_getscheduler") else None
    try:
        yield
    finally:
        if scheduled is not None:
            os.sched_setscheduler(0, *scheduled)
        if before is None:
            del os.environ["SVT_LOG"]
        else:
            os.environ["SVT_LOG"] = before
