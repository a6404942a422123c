"""Distortion of decoded frames: both frozen networks on source and decode, compared pair by pair.

Reference answers are computed once per contract and axis and kept by digest. Frames are read in a thread of their own.
Networks run in fp32, channels-last, evaluation mode, on as many batches at a time as torch has threads.

References: the contest's evaluator. Stricter where the original is not: exact sample count, exact raw size.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from lab import custody
from lab.contract import Contract
from lab.errors import SampleCountMismatch
from lab.evaluator import intake, networks, official, preprocess
from lab.evaluator.overlap import abreast, ahead
from lab.video import raw

SCORED_POSE_OUTPUTS = 6
BATCH_PAIRS = 10
# Networks of large frames are deep: on a processor what two pairs leave between two layers stays in the cache, of more
# it does not, and less memory is touched for the first time. A card is not filled by two.
LARGE_BATCH_PAIRS = {"cpu": 2, "cuda": 16}
LARGE_FRAME_PX = 1 << 19
AXES = ("cpu", "cuda")
Item = TypeVar("Item")
Monitor = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What both networks say: classes uint8 (N, h, w), pose float32 (N, outputs)."""

    classes: NDArray[np.uint8]
    pose: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Distortion per pair, float64 (N,); the means are the components of a score."""

    segnet_pairs: NDArray[np.float64]
    posenet_pairs: NDArray[np.float64]

    @property
    def segnet(self) -> float:
        """Share of pixels whose class differs, mean over pairs."""
        return float(self.segnet_pairs.mean())

    @property
    def posenet(self) -> float:
        """Mean squared error of the scored pose outputs, mean over pairs."""
        return float(self.posenet_pairs.mean())

    def as_csv(self) -> str:
        """`pair,segnet,posenet`, one row per pair, full precision."""
        rows = zip(self.segnet_pairs.tolist(), self.posenet_pairs.tolist(), strict=True)
        return "pair,segnet,posenet\n" + "".join(f"{n},{seg!r},{pose!r}\n" for n, (seg, pose) in enumerate(rows))


class Evaluator:
    """Both frozen networks of a contract on one axis, with the reference answers at hand.

    Args:
        contract: what is scored; its files are verified against their digests.
        axis: "cpu" or "cuda"; results of two axes are never mixed.
        cache: folder for reference answers; they are looked up by the digest of all that decides them.
    """

    def __init__(self, contract: Contract, *, axis: str, cache: Path) -> None:
        if axis not in AXES:
            raise ValueError(f"axis must be one of {AXES}, got {axis!r}")
        self.contract = contract
        self.axis = axis
        self.cache = cache
        official.check(contract, axis)
        self.segnet, self.posenet = (network.to(axis) for network in networks.load(contract))
        self._rehearse()

    def _rehearse(self) -> None:
        """Put one black pair through everything, which belongs to loading: weights are arranged for the processor's
        kernels, loops compiled or fetched, and memory touched when they first run.
        """
        black = np.zeros((2, *self.contract.frame_size, 3), np.uint8)
        with torch.inference_mode(), official.exact(self.axis):
            seen, planes = self._inputs([black])
            self.segnet(seen)
            self.posenet(planes)

    def answers(self, pairs: Iterable[NDArray[np.uint8]], monitor: Monitor, stage: str) -> Answers:
        """What the networks say of pairs, uint8 (2, H, W, 3) RGB each."""
        contract = self.contract
        lanes = torch.get_num_threads() if self.axis == "cpu" else 1
        parts: list[Answers] = []
        done = 0
        with official.exact(self.axis):
            batches = ahead(_batches(pairs, batch_pairs(contract, self.axis)), depth=max(2, lanes))
            for part in abreast(self._answer, batches, lanes):
                parts.append(part)
                done += len(part.classes)
                monitor(stage, done, contract.n_pairs)
        if done != contract.n_pairs:
            raise SampleCountMismatch(stage, expected=f"{contract.n_pairs} pairs", found=str(done))
        return Answers(
            classes=np.concatenate([part.classes for part in parts]), pose=np.concatenate([part.pose for part in parts])
        )

    @torch.inference_mode()
    def _answer(self, pairs: list[NDArray[np.uint8]]) -> Answers:
        seen, planes = self._inputs(pairs)
        classes = self.segnet(seen).argmax(dim=1).to(torch.uint8).cpu().numpy()
        return Answers(classes=classes, pose=self.posenet(planes).float().cpu().numpy())

    def _inputs(self, pairs: list[NDArray[np.uint8]]) -> tuple[torch.Tensor, torch.Tensor]:
        """What both networks read of pairs, uint8 (2, H, W, 3) each; the resize is the axis's own."""
        size = self.contract.model_size
        if self.axis == "cpu" and intake.exact(size):
            return intake.inputs(pairs, size)
        whole = preprocess.to_planes(torch.from_numpy(np.stack(pairs)).to(self.axis))
        small = preprocess.resize(whole.flatten(0, 1), size).reshape(*whole.shape[:3], *size)
        return preprocess.segnet_input(small, size), preprocess.posenet_input(small, size)

    def reference(self, monitor: Monitor) -> Answers:
        """The answers on the source, from the cache where everything that decides them is unchanged."""
        path = self.cache / "answers" / f"{self._answers_key()}.npz"
        if path.is_file():
            try:
                with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
                    return Answers(classes=kept["classes"], pose=kept["pose"])
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                path.unlink(missing_ok=True)
        contract = self.contract
        custody.expect_file(contract.source_path, contract.source.sha256, f"source of contract {contract.name!r}")
        answers = self.answers(official.source_pairs(contract, self.axis), monitor, "networks on the source")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.npz")
        # At its fastest level, since the other core waits meanwhile: class maps shrink to a ninth all the same.
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as kept:
            for name, array in (("classes", answers.classes), ("pose", answers.pose)):
                with kept.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array)
        temporary.replace(path)
        return answers

    def measure(self, raw_path: Path, monitor: Monitor) -> Measurement:
        """Distortion of a raw RGB file against the source.

        Raises:
            RawSizeMismatch: the file is not exactly all frames long.
        """
        contract = self.contract
        pairs = raw.read_pairs(raw_path, n_pairs=contract.n_pairs, size=contract.frame_size)
        return compare(self.reference(monitor), self.answers(pairs, monitor, "networks on the decode"))

    def _answers_key(self) -> str:
        contract = self.contract
        decides = {
            "source": contract.source.sha256,
            "networks": {name: network.sha256 for name, network in contract.networks.items()},
            "sizes": [contract.frame_size, contract.model_size, contract.n_pairs],
            "axis": self.axis,
            "decoder": official.decoder(contract, self.axis),
            "device": official.device(self.axis),
            "evaluator": digest(),
            "versions": custody.versions(("torch", "numpy", "av", "timm", "segmentation-models-pytorch")),
            "machine": custody.machine()["processor"],
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


def compare(reference: Answers, decoded: Answers) -> Measurement:
    """Distortion per pair between two sets of answers.

    Notes:
        seg = share of differing pixels; pose = mean squared error over the first six outputs.
    """
    differs = (reference.classes != decoded.classes).reshape(len(reference.classes), -1)
    gap = reference.pose[:, :SCORED_POSE_OUTPUTS].astype(np.float64) - decoded.pose[:, :SCORED_POSE_OUTPUTS]
    return Measurement(segnet_pairs=differs.mean(axis=1, dtype=np.float64), posenet_pairs=(gap**2).mean(axis=1))


def digest() -> str:
    """SHA-256 over the code that decides a measured value."""
    package = Path(__file__).parent.parent
    names = (
        "evaluator/folding.py",
        "evaluator/intake.py",
        "evaluator/measure.py",
        "evaluator/networks.py",
        "evaluator/official.py",
        "evaluator/official_networks.py",
        "evaluator/overlap.py",
        "evaluator/packed.py",
        "evaluator/preprocess.py",
        "evaluator/upsampled.py",
        "video/colour.py",
        "video/frames.py",
        "video/interleaved.py",
        "video/raw.py",
    )
    return custody.sha256_tree((name, (package / name).read_bytes()) for name in names)


def batch_pairs(contract: Contract, axis: str) -> int:
    """How many pairs go through the networks at once."""
    height, width = contract.frame_size
    return LARGE_BATCH_PAIRS[axis] if height * width > LARGE_FRAME_PX else BATCH_PAIRS


def _batches(pairs: Iterable[Item], size: int) -> Iterator[list[Item]]:
    source = iter(pairs)
    while batch := list(islice(source, size)):
        yield batch
