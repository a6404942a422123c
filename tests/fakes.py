"""A contract small enough for a unit test: six drawn frames and two tiny networks, real files on disk."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from lab import contract
from lab.contract import Contract

FRAME = (96, 128)
MODEL = (32, 48)
N_PAIRS = 3

_TEXT = """\
name = "toy"
title = "six frames"
kind = "own"
frame_size = [{height}, {width}]
model_size = [32, 48]
n_pairs = {n_pairs}
classes = ["road", "lane line", "undrivable", "movable", "own car"]
time_limit_s = 120
[source]
file = "source/0.mkv"
sha256 = "{source}"
bytes = {n_bytes}
n_frames = {n_frames}
fps = "20/1"
[networks.segnet]
factory = "fakes:segnet"
weights = "segnet.safetensors"
sha256 = "{segnet}"
[networks.posenet]
factory = "fakes:posenet"
weights = "posenet.safetensors"
sha256 = "{posenet}"
[formula]
segnet = 100
posenet = 10
rate = 25
"""


def segnet() -> torch.nn.Module:
    """Five classes from raw RGB."""
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 5, 1))


def posenet() -> torch.nn.Module:
    """Twelve outputs from twelve planes."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(12, 16, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 12),
    )


def drawn_frames(n_frames: int, size: tuple[int, int] = FRAME) -> list[NDArray[np.uint8]]:
    """RGB frames of a bright disc that moves over a gradient, uint8 (H, W, 3)."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    frames = []
    for number in range(n_frames):
        disc = (rows - size[0] / 2) ** 2 + (columns - 20 - 5 * number) ** 2 < (size[0] / 5) ** 2
        red = columns * 255 // size[1]
        green = rows * 255 // size[0]
        blue = np.where(disc, 230, 60)
        frames.append(np.stack([np.where(disc, 240, red), green, blue], axis=-1).astype(np.uint8))
    return frames


def write_video(path: Path, frames: list[NDArray[np.uint8]], codec: str = "libx264") -> None:
    """Frames as a Matroska file at 20 frames per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=Fraction(20), options={"crf": "12", "threads": "1"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def toy_contract(ledgers: Path, n_pairs: int = N_PAIRS) -> Contract:
    """Write the contract `toy` with its files under a ledger root and load it."""
    root = ledgers / "toy"
    write_video(root / "source" / "0.mkv", drawn_frames(2 * n_pairs))
    state = torch.random.get_rng_state()
    torch.manual_seed(7)
    for name, network in (("segnet", segnet()), ("posenet", posenet())):
        save_file(network.state_dict(), str(root / f"{name}.safetensors"))
    torch.random.set_rng_state(state)
    source = (root / "source" / "0.mkv").read_bytes()
    text = _TEXT.format(
        height=FRAME[0],
        width=FRAME[1],
        n_pairs=n_pairs,
        n_frames=2 * n_pairs,
        source=hashlib.sha256(source).hexdigest(),
        n_bytes=len(source),
        **{
            name: hashlib.sha256((root / f"{name}.safetensors").read_bytes()).hexdigest()
            for name in ("segnet", "posenet")
        },
    )
    (root / "contract.toml").write_text(text, encoding="utf-8")
    return contract.load("toy", ledgers)
