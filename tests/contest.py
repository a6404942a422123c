"""The official contract on a drawn clip and random weights, and its score restated plainly: what tests and bench share.

The restatement follows the published evaluator step by step, one operation after the other, and shares no code with the
package: frame conversion, pairing, both preparations, both distortions, means, formula.
"""

from __future__ import annotations

import math
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.nn.functional import interpolate

from lab import contract, custody
from lab.contract import SHIPPED, Contract

OFFICIAL = contract.load("comma-2026")
SIZE, GRID = OFFICIAL.frame_size, OFFICIAL.model_size
DEEP_SHARE = 0.02


def drawn_frames(n_frames: int) -> list[NDArray[np.uint8]]:
    """RGB frames of a road that comes nearer, with lane dashes, a car and grain, uint8 (H, W, 3)."""
    height, width = SIZE
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    grain = np.random.default_rng(7).normal(0.0, 6.0, (height, width)).astype(np.float32)
    depth = np.maximum(rows - 0.45 * height, 1.0) / (0.55 * height)
    across = (columns - width / 2) / (width * (0.05 + 0.6 * depth))
    frames = []
    for number in range(n_frames):
        dash = (np.abs(across) < 0.03) & (np.sin(6.0 / depth + 0.9 * number) > 0.2)
        car = (np.abs(columns - width * (0.35 + 0.01 * number)) < 90) & (np.abs(rows - 0.55 * height) < 45)
        ground = np.where(np.abs(across) < 0.6, 70.0, 110.0) + np.where(dash, 130.0, 0.0)
        luma = np.where(rows < 0.45 * height, 190.0 - 0.2 * rows, ground)
        luma = np.where(car, 35.0, luma) + np.roll(grain, 17 * number, axis=1)
        tint = np.stack([luma * 1.02, luma, luma * 0.94 + 12.0], axis=-1)
        frames.append(np.clip(tint, 0, 255).astype(np.uint8))
    return frames


def encode(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    """Write frames as HEVC in Matroska, as the contest's video is, repeating byte for byte."""
    options = {"crf": "18", "preset": "ultrafast", "x265-params": "pools=1:frame-threads=1:log-level=none"}
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("libx265", rate=Fraction(20), options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())


def calibrated(network: torch.nn.Module, inputs: torch.Tensor) -> torch.nn.Module:
    """A network of random weights whose batch norms know the statistics of these inputs, in evaluation mode."""
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
    for layer in norms:
        layer.momentum = None
        layer.reset_running_stats()
    with torch.no_grad():
        network.train()(inputs)
    return network.eval()


def conditioned(segnet: Any, inputs: torch.Tensor, steps: int = 150) -> None:
    """Make a semantic network of random weights answer as steadily as one that was trained for a purpose.

    Random layers pass rounding on undiminished, eighty of them in a row: the contest's own loop then disagrees with
    itself between two batch sizes. So the deep features get little say beside those that skip the depth, norms are
    calibrated, and the last layer is fitted to five bands of brightness.
    """
    with torch.no_grad():
        skips = [*segnet.encoder.out_channels[-2:0:-1], 0]
        for block, skip in zip(segnet.decoder.blocks, skips, strict=True):
            weight = block.conv1[0].weight
            if skip:
                weight[:, : weight.shape[1] - skip] *= DEEP_SHARE
        calibrated(segnet, inputs)
        features = segnet.decoder(segnet.encoder(inputs))
    luma = torch.nn.functional.avg_pool2d(inputs.mean(dim=1, keepdim=True), 9, 1, 4)[:, 0]
    bands = torch.quantile(luma[:, ::8, ::8].flatten(), torch.tensor([0.2, 0.4, 0.6, 0.8]))
    labels = torch.bucketize(luma, bands)
    optimizer = torch.optim.Adam(segnet.segmentation_head.parameters(), lr=0.05)
    for step in range(steps):
        row, column = 37 * step % (GRID[0] - 96), 71 * step % (GRID[1] - 128)
        area = (..., slice(row, row + 96), slice(column, column + 128))
        loss = torch.nn.functional.cross_entropy(segnet.segmentation_head(features[area]), labels[area])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def networks(frames: list[NDArray[np.uint8]]) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Both official networks with random weights, calibrated on frames; pose outputs of about unit spread."""
    from lab.evaluator import official_networks

    torch.manual_seed(0)
    segnet, posenet = official_networks.segnet(), official_networks.posenet()
    batch = torch.from_numpy(np.stack(frames)).unflatten(0, (-1, 2))
    pose_input, segnet_input = prepared(batch)
    conditioned(segnet, segnet_input)
    calibrated(posenet, (pose_input - 127.5) / 63.75)
    with torch.no_grad():
        spread = posenet((pose_input - 127.5) / 63.75)[:, :6].std()
        posenet.hydra.final_layer["pose"].weight.mul_(1.0 / max(float(spread), 1e-3))
    return segnet, posenet


def drawn_contract(folder: Path, n_pairs: int) -> Contract:
    """The official contract, its files replaced by a drawn clip of so many pairs and by random weights."""
    files = folder / "files"
    files.mkdir(parents=True)
    frames = drawn_frames(2 * n_pairs)
    encode(files / "0.mkv", frames)
    for name, network in zip(("segnet", "posenet"), networks(frames[:4]), strict=True):
        # As published: without the counters that torch keeps beside every batch norm.
        state = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
        save_file(state, files / f"{name}.safetensors")
    text = (SHIPPED / "comma-2026" / "contract.toml").read_text(encoding="utf-8")
    digests = {path.name: custody.sha256_file(path) for path in sorted(files.iterdir())}
    told = tomllib.loads(text)
    swaps = {
        "n_pairs = 600": f"n_pairs = {n_pairs}",
        "n_frames = 1200": f"n_frames = {2 * n_pairs}",
        f"bytes = {OFFICIAL.source.bytes}\nn_frames": f"bytes = {(files / '0.mkv').stat().st_size}\nn_frames",
        told["source"]["sha256"]: digests["0.mkv"],
        told["networks"]["segnet"]["sha256"]: digests["segnet.safetensors"],
        told["networks"]["posenet"]["sha256"]: digests["posenet.safetensors"],
    }
    for old, fresh in swaps.items():
        assert text.count(old) == 1, old
        text = text.replace(old, fresh)
    (folder / "contract.toml").write_text(text, encoding="utf-8")
    return contract.parse(text, folder, "drawn contract")


def converted(frame: Any) -> torch.Tensor:
    """One decoded frame as the published evaluator converts it, uint8 (H, W, 3)."""
    height, width = frame.height, frame.width
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    planes = []
    for plane, (rows, columns) in zip(frame.planes, shapes, strict=True):
        samples = np.frombuffer(plane, np.uint8).reshape(rows, plane.line_size)[:, :columns]
        planes.append(torch.from_numpy(samples.copy()).float())
    y, u, v = planes
    u, v = (
        interpolate(c[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0] for c in (u, v)
    )
    y = (y - 16.0) * (255.0 / 219.0)
    u, v = (u - 128.0) * (255.0 / 224.0), (v - 128.0) * (255.0 / 224.0)
    red = (y + 1.402 * v).clamp(0, 255)
    green = (y - 0.344136 * u - 0.714136 * v).clamp(0, 255)
    blue = (y + 1.772 * u).clamp(0, 255)
    return torch.stack([red, green, blue], dim=-1).round().to(torch.uint8)


def prepared(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(pose input before normalization, semantic input) of uint8 pairs (B, 2, H, W, 3)."""
    planes = batch.permute(0, 1, 4, 2, 3).float()
    both = interpolate(planes.reshape(-1, 3, *planes.shape[-2:]), size=GRID, mode="bilinear")
    red, green, blue = both[:, 0], both[:, 1], both[:, 2]
    luma = (red * 0.299 + green * 0.587 + blue * 0.114).clamp(0.0, 255.0)
    chroma = [((blue - luma) / 1.772 + 128.0).clamp(0.0, 255.0), ((red - luma) / 1.402 + 128.0).clamp(0.0, 255.0)]
    halved = [(c[:, ::2, ::2] + c[:, 1::2, ::2] + c[:, ::2, 1::2] + c[:, 1::2, 1::2]) * 0.25 for c in chroma]
    phases = [luma[:, ::2, ::2], luma[:, 1::2, ::2], luma[:, ::2, 1::2], luma[:, 1::2, 1::2]]
    six = torch.stack(phases + halved, dim=1)
    return six.reshape(len(batch), 12, *six.shape[-2:]), interpolate(planes[:, -1], size=GRID, mode="bilinear")


def pairs_of_video(path: Path, batch_size: int) -> Any:
    """Batches of pairs of a video, uint8 (B, 2, H, W, 3)."""
    pending: list[torch.Tensor] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            pending.append(converted(frame))
            if len(pending) == 2 * batch_size:
                yield torch.stack(pending).unflatten(0, (-1, 2))
                pending = []
    if len(pending) >= 2:
        yield torch.stack(pending[: len(pending) // 2 * 2]).unflatten(0, (-1, 2))


def pairs_of_raw(path: Path, batch_size: int) -> Any:
    """Batches of pairs of a raw file, uint8 (B, 2, H, W, 3)."""
    frames = np.memmap(path, np.uint8, mode="r").reshape(-1, 2, *SIZE, 3)
    for at in range(0, len(frames), batch_size):
        yield torch.stack([torch.from_numpy(np.array(pair)) for pair in frames[at : at + batch_size]])


def restated(source: Path, raw: Path, segnet: Any, posenet: Any, batch_size: int = 16) -> dict[str, float]:
    """Components of a raw file against a source, as the published evaluator's loop gives them.

    `pixels` beside them is the exact count of pixels whose class differs: the loop's own mean is a float32.
    """
    pose_sum, seg_sum, count, pixels = torch.zeros([]), torch.zeros([]), 0, 0
    with torch.inference_mode():
        for truth, decoded in zip(pairs_of_video(source, batch_size), pairs_of_raw(raw, batch_size), strict=True):
            answers = []
            for batch in (truth, decoded):
                pose_input, segnet_input = prepared(batch)
                answers.append((posenet((pose_input - 127.5) / 63.75), segnet(segnet_input)))
            (pose_truth, seg_truth), (pose, seg) = answers
            pose_sum += (pose_truth[:, :6] - pose[:, :6]).pow(2).mean(dim=1).sum()
            differs = seg_truth.argmax(dim=1) != seg.argmax(dim=1)
            seg_sum += differs.float().mean(dim=(1, 2)).sum()
            pixels += int(differs.sum())
            count += len(truth)
    return {"segnet": float(seg_sum / count), "posenet": float(pose_sum / count), "pairs": count, "pixels": pixels}


def report(found: dict[str, float], archive_bytes: int, videos_bytes: int) -> str:
    """A report as the published evaluator prints it, over what its loop found.

    Args:
        videos_bytes: size of everything below the videos folder, which it divides by.
    """
    rate = archive_bytes / videos_bytes
    score = 100 * found["segnet"] + math.sqrt(found["posenet"] * 10) + 25 * rate
    lines = [
        "=== Evaluation config ===",
        "  batch_size: 16",
        "  device: cpu",
        "  num_threads: 2",
        "  seed: 1234",
        f"=== Evaluation results over {found['pairs']} samples ===",
        f"  Average PoseNet Distortion: {found['posenet']:.8f}",
        f"  Average SegNet Distortion: {found['segnet']:.8f}",
        f"  Submission file size: {archive_bytes:,} bytes",
        f"  Original uncompressed size: {videos_bytes:,} bytes",
        f"  Compression Rate: {rate:.8f}",
        f"  Final score: 100*segnet_dist + √(10*posenet_dist) + 25*rate = {score:.2f}",
    ]
    return "\n".join(lines) + "\n"


def total(segnet: float, posenet: float, archive_bytes: int, source_bytes: int) -> float:
    """The contest's formula written out once more."""
    return 100 * segnet + math.sqrt(10 * posenet) + 25 * archive_bytes / source_bytes
