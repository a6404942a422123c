"""The embedded contract from its seed: paint, train, encode, measure, write, and say whether the digests agree.

Everything painted and every checkpoint is kept in a cache outside version control, so an interrupted build goes on
where it stopped; the cache is keyed by the painters' source, so nothing painted by other code is ever used. Two
processes with one thread each do the work; how many there are does not change a byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from lab.custody import sha256_file, sha256_tree
from lab.drive import bursts, clip, dataset, training
from lab.drive.clip import FPS, FRAME_SIZE, MODEL_SIZE
from lab.drive.dataset import Monitor
from lab.drive.motion import OUTPUT_UNITS, POSE_NAMES
from lab.drive.training import Plan
from lab.drive.workers import Task, Trainings, paint
from lab.evaluator.networks import small_posenet, small_segnet

CLASSES = ("road", "lane line", "undrivable", "movable", "own car")
FILES = ("0.mkv", "segnet.safetensors", "posenet.safetensors")
SEED = 20
"""The seed of the contract that ships."""
SEEDS_PER_BUILD = 1_000_000
BURST_OFFSET, HELD_OUT_OFFSET, HELD_OUT_MOTION_OFFSET = 500_000, 900_000, 950_000
"""Where the seeds of the pose network's drives, and of both networks' held-out drives, begin within a build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is painted and how long is trained."""

    shards: int = 16
    burst_shards: int = 24
    held_out_shards: int = 2
    drives: int = dataset.SHARD_DRIVES
    n_frames: int = clip.N_FRAMES
    part_frames: int = 30
    segnet: Plan = training.SEGNET_PLAN
    posenet: Plan = training.POSENET_PLAN


FULL = Effort()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the networks reach on drives that they never saw."""

    n_pairs: int
    n_motion_pairs: int
    class_iou: tuple[float, ...]
    pose_r2: tuple[float, ...]
    pose_rmse: tuple[float, ...]

    @property
    def mean_iou(self) -> float:
        """Mean over the classes."""
        return float(np.mean(self.class_iou))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What a build made, and whether each file equals the one on record."""

    out: Path
    seed: int
    digests: dict[str, str]
    figures: Figures
    same: dict[str, bool] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether every file that was compared is the same; true when there was nothing to compare with."""
        return all(self.same.values())

    def lines(self) -> Iterator[str]:
        """The report for a terminal."""
        for name, digest in self.digests.items():
            verdict = {True: "agrees", False: "DIFFERS from the record", None: "not compared"}[self.same.get(name)]
            yield f"{name:22} {digest}  {verdict}"
        figures = self.figures
        classes = ", ".join(f"{name} {iou:.3f}" for name, iou in zip(CLASSES, figures.class_iou, strict=True))
        yield f"held out, {figures.n_pairs} pairs: mean IoU {figures.mean_iou:.3f} ({classes})"
        poses = ", ".join(f"{name} {r2:.3f}" for name, r2 in zip(POSE_NAMES, figures.pose_r2, strict=True))
        yield f"held out, {figures.n_motion_pairs} pairs: R2 {poses}"
        if not self.agrees:
            yield "bytes repeat only with the same libraries on the same kind of processor; the figures still compare"


def build(
    out: Path,
    *,
    seed: int,
    cache: Path,
    monitor: Monitor = lambda *_: None,
    compare_to: Path | None = None,
    effort: Effort = FULL,
    workers: int = 2,
) -> BuildReport:
    """Make the embedded contract's files in a folder.

    Args:
        out: folder for `0.mkv`, both weights files and `contract.toml`.
        seed: decides every byte, on one machine and one set of libraries.
        cache: folder for painted drives and checkpoints, from which an interrupted build goes on.
        monitor: told the stage and how much of it is done.
        compare_to: folder of files on record.
        effort: how much to paint and train.
        workers: processes, of one thread each.

    Raises:
        TrainingError: a worker ended before its work was done.
    """
    out.mkdir(parents=True, exist_ok=True)
    cache = cache / painters_digest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    tasks = _tasks(seed, cache, effort)
    moments = paint(tasks["bursts"], "paint bursts", workers, monitor)
    painted = {}
    with Trainings() as trainings:
        weights = {"posenet": trainings.start("posenet", moments, seed, cache, effort.posenet)}
        for name in ("pairs", "held_out", "held_out_motion", "clip"):  # beside the longer training
            painted[name] = paint(tasks[name], f"paint {name.replace('_', ' ')}", max(1, workers - 1), monitor)
        weights["segnet"] = trainings.start("segnet", painted["pairs"], seed, cache, effort.segnet)
        trainings.wait(monitor, "segnet")
        clip.encode(_painted_frames(painted["clip"], monitor, effort.n_frames), out / FILES[0])
        held_out, held_out_motion = (dataset.load_shards(painted[name]) for name in ("held_out", "held_out_motion"))
        class_iou = measure_segnet(weights["segnet"], held_out)
        trainings.wait(monitor)
    for file in FILES[1:]:
        (out / file).write_bytes(weights[file.partition(".")[0]].read_bytes())
    r2, rmse = measure_posenet(weights["posenet"], held_out_motion)
    figures = Figures(
        n_pairs=len(held_out),
        n_motion_pairs=len(held_out_motion),
        class_iou=class_iou,
        pose_r2=r2,
        pose_rmse=rmse,
    )
    digests = {name: sha256_file(out / name) for name in FILES}
    (out / "contract.toml").write_text(
        contract_text(out, seed=seed, n_frames=effort.n_frames, digests=digests, figures=figures), encoding="utf-8"
    )
    same = {}
    for name in FILES if compare_to is not None else ():
        record = compare_to / name  # type: ignore[operator]
        same[name] = record.is_file() and sha256_file(record) == digests[name]
    return BuildReport(out=out, seed=seed, digests=digests, figures=figures, same=same)


def painters_digest() -> str:
    """Digest of the source of everything that decides a painted frame or a training sample."""
    apart = {"__init__.py", "build.py", "workers.py"}
    files = [path for path in Path(__file__).parent.glob("*.py") if path.name not in apart]
    return sha256_tree((path.name, path.read_bytes()) for path in files)


def clip_seed(seed: int) -> int:
    """The clip's own seed: it shares no random number with the training drives."""
    return seed + 1


def _tasks(seed: int, cache: Path, effort: Effort) -> dict[str, list[Task]]:
    """Everything to paint: bursts, pairs, both held-out sets and the clip."""
    first, drives = seed * SEEDS_PER_BUILD, effort.drives

    def shards(function: Callable[..., Path], offset: int, count: int, *more: Any) -> list[Task]:
        starts = range(first + offset, first + offset + drives * count, drives)
        return [(function, (cache, start, MODEL_SIZE, drives, *more)) for start in starts]

    parts = range(0, effort.n_frames, effort.part_frames)
    return {
        "bursts": shards(bursts.paint_shard, BURST_OFFSET, effort.burst_shards),
        "pairs": shards(dataset.paint_shard, 0, effort.shards),
        "held_out": shards(dataset.paint_shard, HELD_OUT_OFFSET, effort.held_out_shards),
        "held_out_motion": shards(
            dataset.paint_shard, HELD_OUT_MOTION_OFFSET, effort.held_out_shards, bursts.LENS_SPREAD
        ),
        "clip": [
            (clip.paint_part, (cache, clip_seed(seed), start, min(effort.part_frames, effort.n_frames - start)))
            for start in parts
        ],
    }


def _painted_frames(parts: list[Path], monitor: Monitor, total: int) -> Iterator[Any]:
    done = 0
    for part in parts:
        with np.load(part) as data:
            frames = data["frames"]
        for frame in frames:
            done += 1
            monitor("encode clip", done, total)
            yield frame


def measure_segnet(weights: Path, held_out: dataset.Pairs) -> tuple[float, ...]:
    """Intersection over union of every class on pairs of unseen drives, every lens in the range."""
    segnet = small_segnet().eval()
    segnet.load_state_dict(load_file(weights))
    return tuple(training.class_iou(segnet, held_out).tolist())


def measure_posenet(weights: Path, held_out: dataset.Pairs) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(R2, root mean square error) of every scored output, on unseen drives with lenses as near to the clip's as in
    training.
    """
    posenet = small_posenet().eval()
    posenet.load_state_dict(load_file(weights))
    r2, rmse = training.pose_r2(posenet, held_out)
    return tuple(r2.tolist()), tuple(rmse.tolist())


def contract_text(out: Path, *, seed: int, n_frames: int, digests: dict[str, str], figures: Figures) -> str:
    """The text of `contract.toml`; what the networks reach on unseen drives stands in `[made]`."""

    def rows(names: tuple[str, ...], values: tuple[float, ...]) -> str:
        return ", ".join(f'"{name}" = {value:.4f}' for name, value in zip(names, values, strict=True))

    return f'''\
# The embedded contract: a drawn drive and two small frozen networks. Written by `lab contract build minidrive`.
name = "minidrive"
title = "minidrive: a drawn drive, two small frozen networks"
kind = "embedded"
n_pairs = {n_frames // 2}
frame_size = [{FRAME_SIZE[0]}, {FRAME_SIZE[1]}]
model_size = [{MODEL_SIZE[0]}, {MODEL_SIZE[1]}]
classes = [{", ".join(f'"{name}"' for name in CLASSES)}]
time_limit_s = 1800

[source]
file = "{FILES[0]}"
sha256 = "{digests[FILES[0]]}"
bytes = {(out / FILES[0]).stat().st_size}
n_frames = {n_frames}
fps = "{FPS}"

[networks.segnet]
factory = "lab.evaluator.networks:small_segnet"
weights = "{FILES[1]}"
sha256 = "{digests[FILES[1]]}"

[networks.posenet]
factory = "lab.evaluator.networks:small_posenet"
weights = "{FILES[2]}"
sha256 = "{digests[FILES[2]]}"

[formula]
segnet = 100.0
posenet = 10.0
rate = 25.0

# Measured by the build on drives that neither network was trained on.
[made]
seed = {seed}
held_out_pairs = {figures.n_pairs}
held_out_motion_pairs = {figures.n_motion_pairs}
mean_iou = {figures.mean_iou:.4f}
class_iou = {{ {rows(CLASSES, figures.class_iou)} }}
pose_r2 = {{ {rows(POSE_NAMES, figures.pose_r2)} }}
pose_rmse = {{ {rows(POSE_NAMES, figures.pose_rmse)} }}
pose_output_units = [{", ".join(f"{unit:g}" for unit in OUTPUT_UNITS)}]
'''
