"""Class maps through general, picture, video and published coders, and ours, side by side: `make bench-entropy`.

The tensor is the first maps of the contest's mask where that lies beside the repository, else what the frozen SegNet
sees in the embedded drive. Every row is decoded and compared with the tensor before it counts. Speeds are megabytes of
labels per second of processor time, so that what else the machine does weighs little. The report holds sizes, speeds
and where our bits go; never a label.

    python tests/benchmarks/bench_entropy.py [--maps N] [--json FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import io
import json
import lzma
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import brotli
import numpy as np
import zstandard
from PIL import Image

from lab.entropy import labelmap, mapwriter
from lab.entropy.baselines import escapes, tables
from lab.entropy.spending import spending

Maps = np.ndarray
Way = tuple[Callable[[Maps], Any], Callable[[Any, tuple[int, ...]], Maps]]
_SHARED = Path(__file__).resolve().parents[3] / "shared" / "masks" / "contest_mask_000_149.u8.xz"
_PACKAGES = ("numpy", "numba", "brotli", "zstandard", "pillow", "av")


def real_maps(count: int) -> tuple[str, Maps]:
    """Name and labels of the tensor, uint8 (T, H, W)."""
    if _SHARED.is_file():
        raw = np.frombuffer(lzma.decompress(_SHARED.read_bytes()), np.uint8).reshape(150, 384, 512)
        return "contest mask", raw[:count].copy()
    return "SegNet on minidrive", drive_maps(count)


def drive_maps(count: int) -> Maps:
    """What the frozen SegNet sees in the second frames of the embedded drive."""
    import torch

    from lab import contract
    from lab.evaluator import networks, preprocess
    from lab.video import frames

    rules = contract.load("minidrive")
    segnet, _ = networks.load(rules)
    found = []
    with torch.inference_mode():
        for pair in frames.read_pairs(rules.source_path, n_pairs=min(count, rules.n_pairs)):
            planes = preprocess.to_planes(torch.from_numpy(pair[None].copy()))
            seen = segnet(preprocess.segnet_input(planes, rules.model_size))
            found.append(seen.argmax(1)[0].to(torch.uint8).numpy())
    return np.stack(found)


def whole(write: Callable[[bytes], bytes], read: Callable[[bytes], bytes]) -> Way:
    """A coder of bytes, on the tensor as it lies."""
    return (
        lambda maps: write(maps.tobytes()),
        lambda data, shape: np.frombuffer(read(data), np.uint8).reshape(shape),
    )


def pictures(form: str, **options: Any) -> Way:
    """A coder of pictures, map by map."""

    def write(maps: Maps) -> list[bytes]:
        files = []
        for plane in maps:
            buffer = io.BytesIO()
            # WebP has no grey pictures; three equal channels cost it next to nothing
            image = Image.fromarray(plane if form == "PNG" else np.repeat(plane[..., None], 3, axis=2))
            image.save(buffer, form, **options)
            files.append(buffer.getvalue())
        return files

    def read(files: list[bytes], shape: tuple[int, ...]) -> Maps:
        planes = [np.array(Image.open(io.BytesIO(file))) for file in files]
        return np.stack([plane if plane.ndim == 2 else plane[..., 0] for plane in planes]).reshape(shape)

    return write, read


def video(codec: str, options: dict[str, str]) -> Way:
    """A video coder on grey pictures: the packets of its stream and its header."""

    def write(maps: Maps) -> list[bytes]:
        coder: Any = av.CodecContext.create(codec, "w")
        coder.height, coder.width = maps.shape[1:]
        coder.pix_fmt, coder.framerate, coder.thread_count, coder.options = "gray", 20, 1, options
        coder.open()
        packets = []
        for index, plane in enumerate(maps):
            frame = av.VideoFrame.from_ndarray(plane, format="gray")
            frame.pts = index
            packets += [bytes(packet) for packet in coder.encode(frame)]
        packets += [bytes(packet) for packet in coder.encode(None)]
        return [bytes(coder.extradata or b""), *packets]

    def read(packets: list[bytes], shape: tuple[int, ...]) -> Maps:
        coder: Any = av.CodecContext.create("hevc" if codec == "libx265" else codec, "r")
        coder.height, coder.width = shape[1:]
        coder.thread_count = 1
        if packets[0]:
            coder.extradata = packets[0]
        if codec != "libx265":
            coder.pix_fmt = "gray"
        frames = [frame for packet in packets[1:] for frame in coder.decode(av.Packet(packet))]
        frames += coder.decode(None)
        return np.stack([frame.to_ndarray() for frame in frames]).reshape(shape)

    return write, read


def ways() -> dict[str, tuple[str, Way]]:
    """Every row: its kind, how to write and how to read."""
    x265 = "lossless=1:pools=none:frame-threads=1:log-level=none:info=0:keyint=-1:scenecut=0"
    long = zstandard.ZstdCompressionParameters.from_level(19, window_log=27, enable_ldm=True)
    return {
        "PNG": ("pictures", pictures("PNG", optimize=True)),
        "WebP lossless": ("pictures", pictures("WEBP", lossless=True, quality=100, method=4)),
        "FFV1": ("video", video("ffv1", {"level": "3", "coder": "1", "context": "1", "g": "300"})),
        "x265 lossless": ("video", video("libx265", {"preset": "slower", "x265-params": x265})),
        "zstd": (
            "general",
            whole(
                lambda data: zstandard.ZstdCompressor(compression_params=long).compress(data),
                lambda data: zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(data),
            ),
        ),
        "xz": ("general", whole(lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME), lzma.decompress)),
        "brotli": (
            "general",
            whole(lambda data: brotli.compress(data, quality=11, lgwin=24), brotli.decompress),
        ),
        "sent tables": ("published", (tables.encode, lambda data, shape: tables.decode(data))),
        "nine neighbours": ("published", (escapes.encode, lambda data, shape: escapes.decode(data))),
        "ours": ("ours", (lambda maps: mapwriter.encode(maps).payload, lambda data, shape: labelmap.decode(data))),
    }


def measure(name: str, kind: str, way: Way, maps: Maps) -> dict[str, Any]:
    """One row, after a round trip; a coder that changes a label raises."""
    write, read = way
    read(write(maps[:2]), maps[:2].shape)  # compiled and warm
    started = time.process_time()
    data = write(maps)
    written = time.process_time()
    back = read(data, maps.shape)
    done = time.process_time()
    if not np.array_equal(back, maps):
        raise AssertionError(f"{name} does not give the labels back")
    n_bytes = sum(map(len, data)) if isinstance(data, list) else len(data)
    return {
        "coder": name,
        "kind": kind,
        "bytes": n_bytes,
        "bits_per_pixel": round(8 * n_bytes / maps.size, 6),
        "encode_mb_per_s": round(maps.size / 1e6 / max(written - started, 1e-6), 2),
        "decode_mb_per_s": round(maps.size / 1e6 / max(done - written, 1e-6), 2),
        "exact": True,
    }


def spent(maps: Maps) -> dict[str, Any]:
    """Where the bits of ours go."""
    found = spending(maps)
    return {
        "events": [{"event": name, "pixels": n, "bits": round(bits, 1)} for name, n, bits in found.events],
        "pairs": [{"labels": [a, b], "pixels": n, "bits": round(bits, 1)} for a, b, n, bits in found.pairs],
        "map_bits": [round(bits, 1) for bits in found.map_bits],
    }


def main() -> None:
    """Measure, print and write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--maps", type=int, default=75)
    options.add_argument("--json", type=Path)
    asked = options.parse_args()
    name, maps = real_maps(asked.maps)
    rows = []
    for coder, (kind, way) in ways().items():
        rows.append(measure(coder, kind, way, maps))
        sys.stdout.write("  ".join(f"{key} {value}" for key, value in rows[-1].items()) + "\n")
        sys.stdout.flush()
    about = {
        "tensor": {
            "name": name,
            "maps": len(maps),
            "height": maps.shape[1],
            "width": maps.shape[2],
            "labels": int(maps.max()) + 1,
            "sha256": hashlib.sha256(maps.tobytes()).hexdigest(),
        },
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "machine": {"system": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
        "rows": rows,
        "spent": spent(maps),
    }
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
