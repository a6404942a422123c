"""Every encoder key that a recipe may set is one that the encoder itself understands."""

from __future__ import annotations

import os
from fractions import Fraction

import av
import av.logging
import numpy as np
import pytest

from lab.codecs.conventional import encoders

PARAMETERS = {"x265": "x265-params", "x264": "x264-params", "svt-av1": "svtav1-params"}
# A value that each of these keys takes; all others take 1.
VALUES = {"ctu": "32", "max-tu-size": "16", "min-cu-size": "8", "rc-lookahead": "10", "hierarchical-levels": "4"}
VALUES |= {"max-tx-size": "32", "direct": "auto", "me": "hex"}


def complaints(name: str, key: str, value: str) -> list[str]:
    """What an encoder says of one setting."""
    context = av.CodecContext.create(encoders.ENCODERS[name].library, "w")
    context.width, context.height, context.pix_fmt = 256, 192, "yuv420p"
    context.framerate, context.time_base = Fraction(20), Fraction(1, 20)
    context.thread_count = 1
    quiet = ":log-level=none" if name == "x265" else ""
    context.options = {
        "preset": encoders.ENCODERS[name].presets[3],
        "crf": "30",
        PARAMETERS[name]: f"{key}={value}{quiet}",
    }
    before = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with encoders._contained(), av.logging.Capture(local=False) as said:
            context.open()
    except av.error.FFmpegError as error:
        return [str(error)]
    finally:
        av.logging.set_level(before)
    return [message for level, _, message in said if level <= av.logging.WARNING]


@pytest.mark.parametrize("name", encoders.ENCODERS)
def test_every_allowed_key_is_understood(name: str) -> None:
    keys = sorted(encoders.ENCODERS[name].keys)
    refused = {key: said for key in keys if (said := complaints(name, key, VALUES.get(key, "1")))}
    assert not refused


@pytest.mark.parametrize("name", encoders.ENCODERS)
def test_an_unknown_key_would_be_ignored_by_the_encoder_itself(name: str) -> None:
    # The reason for our own table: the encoder opens all the same and only says so in its log.
    assert any("nonsense" in said for said in complaints(name, "nonsense", "1"))


@pytest.mark.parametrize("name", encoders.ENCODERS)
def test_grey_pictures_survive_every_encoder(name: str) -> None:
    grey = (np.full((64, 96), 120, np.uint8), np.full((32, 48), 128, np.uint8), np.full((32, 48), 128, np.uint8))
    preset = encoders.ENCODERS[name].presets[-1] if name == "svt-av1" else "ultrafast"
    settings = encoders.Settings(crf=30, preset=preset)
    stream = encoders.encode(name, settings, [grey] * 4, (64, 96), Fraction(20))
    assert stream
    assert stream == encoders.encode(name, settings, [grey] * 4, (64, 96), Fraction(20))


def test_encoding_leaves_the_process_in_its_scheduling_class() -> None:
    """SVT-AV1 in a process of root moves it to the real-time class, where its children would starve the machine."""
    before = os.sched_getscheduler(0)
    planes = (np.full((64, 64), 90, np.uint8), np.full((32, 32), 128, np.uint8), np.full((32, 32), 128, np.uint8))
    settings = encoders.Settings(crf=40, preset="10", gop=0)
    assert encoders.encode("svt-av1", settings, [planes] * 4, (64, 64), Fraction(20))
    assert os.sched_getscheduler(0) == before
