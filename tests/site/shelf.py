"""A synthetic ledger in a temporary folder: plausible in shape, made up in every value, never under `ledgers/`."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from lab import archive, contract, custody, evidence
from lab.contract import Contract
from lab.ledger import Ledger, run_id

NAME = "paper-drive"
BITS = 12

# slug, parent, changed, bytes, segnet, posenet
RUNS = (
    ("baseline-fast", None, "", 61_000, 0.0101, 0.0420),
    ("x265-camera-crf30-intra", "baseline-fast", "coded at full camera size", 182_000, 0.0074, 0.0280),
    ("x265-grid-crf30-intra-bicubic", "baseline-fast", "coded on the model grid", 58_200, 0.0096, 0.0390),
    ("x265-grid-crf30-intra-aligned-up", "x265-grid-crf30-intra-bicubic", "aligned up-sampler", 58_200, 0.0061, 0.0171),
    ("x265-grid-crf30-intra", "x265-grid-crf30-intra-aligned-up", "the evaluator's own resize", 66_000, 0.0049, 0.0112),
    ("x265-grid-crf30-ultrafast", "x265-grid-crf30-intra", "the clip as one group of pictures", 27_500, 0.0053, 0.0126),
    ("x265-grid-crf30-slow", "x265-grid-crf30-ultrafast", "preset slow", 20_300, 0.0050, 0.0120),
    ("x264-grid-crf30-slow", "x265-grid-crf30-slow", "x264 instead of x265", 25_900, 0.0052, 0.0131),
    ("av1-broken", "x265-grid-crf30-slow", "a wrong colour range", 15_000, 0.4100, 9.1000),
    ("av1-grid-crf30", "x265-grid-crf30-slow", "SVT-AV1 preset 4, CRF 30", 15_700, 0.0045, 0.0101),
    ("av1-grid-crf18", "av1-grid-crf30", "CRF 18", 44_000, 0.0031, 0.0057),
    ("av1-grid-crf24", "av1-grid-crf30", "CRF 24", 26_100, 0.0037, 0.0073),
    ("av1-grid-crf36", "av1-grid-crf30", "CRF 36", 10_100, 0.0057, 0.0139),
    ("av1-grid-crf42", "av1-grid-crf30", "CRF 42", 6_700, 0.0079, 0.0205),
    ("av1-grid-crf30-bicubic", "av1-grid-crf30", "bicubic up-sampler", 15_700, 0.0083, 0.0312),
    ("av1-grid-crf30-lanczos", "av1-grid-crf30", "Lanczos up-sampler", 15_700, 0.0077, 0.0288),
    ("av1-grid-crf30-grain8", "av1-grid-crf30", "film grain 8", 15_200, 0.0046, 0.0104),
    ("av1-grid-crf30-grain22", "av1-grid-crf30", "film grain 22", 14_100, 0.0044, 0.0099),
    ("av1-grid-crf30-roi60", "av1-grid-crf30", "denoise outside of the road corridor", 12_900, 0.0047, 0.0106),
    ("av1-grid-crf30-unsharp25", "av1-grid-crf30", "sharpening of 0.25 after decoding", 15_700, 0.0048, 0.0110),
    ("av1-grid-crf30-preset2", "av1-grid-crf30", "preset 2", 15_000, 0.0045, 0.0100),
    ("av1-grid-crf30-gop20", "av1-grid-crf30", "a key picture every 20", 24_800, 0.0044, 0.0098),
    ("av1-scale45-crf30", "av1-grid-crf30", "coded at 45 % of the camera, bicubic up", 16_100, 0.0086, 0.0330),
    ("open-question", "av1-grid-crf30-grain22", "seed 0 to 1", 14_060, 0.0044, 0.0100),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Where the synthetic ledger lies, its contract, and run ids by slug."""

    ledgers: Path
    contract: Contract
    ids: dict[str, str]


def make(
    root: Path,
    *,
    size: tuple[int, int] = (54, 70),
    n_pairs: int = 6,
    runs: tuple[tuple[Any, ...], ...] = RUNS,
    clips: int = 1,
    name: str = NAME,
    fps: str = "20",
    whole_pixels: bool = False,
) -> Made:
    """Write a contract, its source video, and a record with evidence for each of `runs`; the best get clips.

    Args:
        whole_pixels: SegNet's shares are whole numbers of pixels of the model grid, as measured ones are.
    """
    ledgers = root / "ledgers"
    folder = ledgers / name
    (folder / "source").mkdir(parents=True)
    source = folder / "source" / "0.mp4"
    draw(source, size=size, n_frames=2 * n_pairs, noise=0, fps=fps)
    write_contract(folder, source, size=size, n_pairs=n_pairs, name=name, fps=fps)
    made = contract.load(name, ledgers)
    ledger, ids, totals = Ledger(ledgers), {}, {}
    for index, (slug, parent, changed, n_bytes, segnet, posenet) in enumerate(runs):
        pairs = spread(index, n_pairs, segnet, posenet)
        if whole_pixels:
            pixels = size[0] // 2 * (size[1] // 2)
            pairs = [(round(share * pixels) / pixels, error) for share, error in pairs]
        payload = payload_of(random.Random(index).randbytes(n_bytes - 120), size, n_pairs)
        data = archive.write(payload)
        digest = custody.sha256_bytes(data)
        record = a_record(made, slug, data=digest, n_bytes=len(data), pairs=pairs, changed=changed, day=index)
        total = record["score"]["total"]
        ids[slug], totals[slug] = record["id"], total
        record["parents"] = [ids[parent]] if parent else []
        better = parent is None or total < totals[parent]
        record["verdict"] = "open" if slug.startswith("open") else "promoted" if better else "rejected"
        record["verdict_reason"] = (
            "a made-up run" if parent is None else f"total {total - totals[parent]:+.6f} against its parent"
        )
        record["grade"], record["grade_reasons"] = grade(record, made)
        keep(ledger, made, record, data, pairs)
        ledger.append(record, made)
    best = sorted((total, slug) for slug, total in totals.items())[:clips]
    for _, slug in best:
        draw(folder / "clips" / f"{ids[slug]}.mp4", size=size, n_frames=2 * n_pairs, noise=3, fps=fps)
    return Made(ledgers=ledgers, contract=made, ids=ids)


def payload_of(noise: bytes, size: tuple[int, int], n_pairs: int) -> bytes:
    """As many bytes as `noise` has: a header that the field tables of the family read, and noise for a video."""
    from lab.codecs.conventional.format import LAYOUT

    header: dict[str, object] = {"height": size[0], "width": size[1], "n_pairs": n_pairs, "unsharp": 0, "noise": 0}
    header |= {"coded_height": size[0] // 4 * 2, "coded_width": size[1] // 4 * 2}
    header |= {"coding": "av1", "up": "aligned", "chroma": "bilinear"}
    extra = len(LAYOUT.write(header, {"video": noise}).payload) - len(noise)
    return LAYOUT.write(header, {"video": noise[extra:]}).payload


def write_contract(folder: Path, source: Path, *, size: tuple[int, int], n_pairs: int, name: str, fps: str) -> None:
    """A contract.toml whose networks are digests only."""
    folder.joinpath("contract.toml").write_text(
        f'''name = "{name}"
title = "A synthetic drive, made up for a look at the pages"
kind = "own"
frame_size = [{size[0]}, {size[1]}]
model_size = [{size[0] // 2}, {size[1] // 2}]
n_pairs = {n_pairs}
classes = ["road", "lane line", "undrivable", "movable", "own car"]
time_limit_s = 1800
note = "Every value under this contract is made up."
[source]
file = "source/{source.name}"
sha256 = "{custody.sha256_file(source)}"
bytes = 2400000
n_frames = {2 * n_pairs}
fps = "{fps}"
[networks.segnet]
factory = "lab.evaluator.networks:small_segnet"
weights = "segnet.safetensors"
sha256 = "{"5e" * 32}"
[networks.posenet]
factory = "lab.evaluator.networks:small_posenet"
weights = "posenet.safetensors"
sha256 = "{"90" * 32}"
[formula]
segnet = 100
posenet = 10
rate = 25
''',
        encoding="utf-8",
    )


def spread(seed: int, count: int, segnet: float, posenet: float) -> list[tuple[float, float]]:
    """Pairs whose values vary around the means."""
    chance = random.Random(seed)
    return [
        (
            segnet * (0.5 + chance.random() + 0.5 * math.sin(i / 9) ** 2),
            posenet * math.exp(chance.gauss(0, 0.8)) * (3.0 if 0.55 < i / count < 0.62 else 1.0),
        )
        for i in range(count)
    ]


def a_record(
    made: Contract,
    slug: str,
    *,
    data: str,
    n_bytes: int,
    pairs: list[tuple[float, float]],
    changed: str = "",
    day: int = 0,
) -> dict[str, Any]:
    """A complete record without parents, verdict promoted."""
    segnet, posenet = (math.fsum(pair[i] for pair in pairs) / len(pairs) for i in (0, 1))
    score = made.score(segnet=segnet, posenet=posenet, archive_bytes=n_bytes)
    name = f"conventional/{slug}"
    return {
        "schema": "lab.run/1",
        "id": run_id(slug, data),
        "contract": made.name,
        "contract_sha256": made.digest,
        "recorded_at": f"2026-03-{1 + day:02d}T10:00:00Z",
        "recipe": {
            "name": name,
            "family": "conventional",
            "sha256": custody.sha256_bytes(name.encode()),
            "question": f"Does it help to change: {changed}?" if changed else "Where does the simplest codec stand?",
            "changed": changed,
            "seed": 0,
            "params": {
                "encoder": "libsvtav1" if slug.startswith("av1") else "libx265",
                "crf": 20 + day,
                "upsample": "aligned",
            },
        },
        "parents": [],
        "verdict": "promoted",
        "verdict_reason": "starts a lineage",
        "evaluation": {
            "axis": "cpu",
            "n_pairs": len(pairs),
            "segnet": segnet,
            "posenet": posenet,
            "archive_bytes": n_bytes,
            "source_bytes": made.source.bytes,
            "encode_s": 12.5,
            "inflate_s": 3.25,
            "evaluate_s": 40.0,
        },
        "score": {
            "segnet_term": score.segnet_term,
            "posenet_term": score.posenet_term,
            "rate_term": score.rate_term,
            "total": score.total,
        },
        "rates": {"as_scored_bytes": n_bytes, "rule_faithful_bytes": n_bytes + 31_000},
        "custody": {
            "archive_sha256": data,
            "runtime_sha256": "11" * 32,
            "runtime_bytes": 31_000,
            "raw_sha256": "22" * 32,
            "raw_bytes": made.raw_bytes,
            "evaluator_sha256": "33" * 32,
            "networks": {"segnet": "5e" * 32, "posenet": "90" * 32},
            "source_sha256": made.source.sha256,
            "commit": "4" * 40,
            "dirty": False,
            "device": "cpu",
            "decoder": "pyav",
            "versions": {"python": "3.11.7", "torch": "2.13.0"},
            "machine": {"system": "linux", "architecture": "x86_64", "processor": "made up", "cores": "2"},
            "walls": ["own process", "no network"],
            "exact_arithmetic": True,
        },
        "grade": "A",
        "grade_reasons": [],
        "supersedes": None,
        "notes": [],
    }


def grade(record: dict[str, Any], made: Contract) -> tuple[str, list[str]]:
    """The grade that the house function gives a record whose custody is complete."""
    measured, kept = record["evaluation"], record["custody"]
    decided, reasons = evidence.grade(
        evidence.Facts(
            verdict=record["verdict"],
            axis=measured["axis"],
            n_pairs=measured["n_pairs"],
            contract_pairs=made.n_pairs,
            contract_digest=made.digest,
            recorded_contract_digest=record["contract_sha256"],
            archive_sha256=kept["archive_sha256"],
            archive_bytes=measured["archive_bytes"],
            evaluated_archive_sha256=kept["archive_sha256"],
            evaluated_archive_bytes=measured["archive_bytes"],
            recorded_total=record["score"]["total"],
            recomputed_total=record["score"]["total"],
            report_total=record["score"]["total"],
            runtime_sha256=kept["runtime_sha256"],
            evaluator_sha256=kept["evaluator_sha256"],
            networks_match=True,
            source_match=True,
            raw_sha256=kept["raw_sha256"],
            exact_arithmetic=True,
            clean_process=True,
            commit=kept["commit"],
            dirty=False,
        )
    )
    return decided.value, list(reasons)


def keep(ledger: Ledger, made: Contract, record: dict[str, Any], data: bytes, pairs: list[tuple[float, float]]) -> None:
    """Evidence beside a record, and the archive where it was promoted."""
    folder = ledger.evidence(made.name, record["id"])
    folder.mkdir(parents=True)
    rows = "".join(f"{i},{pair[0]!r},{pair[1]!r}\n" for i, pair in enumerate(pairs))
    (folder / "pairs.csv").write_text("pair,segnet,posenet\n" + rows, encoding="utf-8")
    (folder / "anatomy.json").write_text(json.dumps(anatomy_of(data)), encoding="utf-8")
    (folder / "report.txt").write_text(f"score {record['score']['total']}\n", encoding="utf-8")
    if record["verdict"] == "promoted":
        path = ledger.archive(made.name, record["custody"]["archive_sha256"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def anatomy_of(data: bytes) -> dict[str, Any]:
    """Sections that tile an archive: zip framing, a header and a coded video of three parts."""
    from lab.codecs.conventional.format import LAYOUT

    member = archive.parse(data, "archive.zip")[0]
    at, size = member.data_offset, member.compressed_bytes
    head = size - len(LAYOUT.read(member.content)[1]["video"])
    cuts = [at + head, at + head + size // 4, at + head + size // 2, at + size]
    units = [
        {"name": name, "kind": "AV1 OBU", "offset": start, "n_bytes": end - start, "ideal_bits": 7.5 * (end - start)}
        for name, start, end in zip(("key frames", "motion", "residual"), cuts, cuts[1:], strict=False)
    ]
    children = [
        {"name": "header", "kind": "field table", "offset": at, "n_bytes": head},
        {"name": "video", "kind": "AV1 OBUs", "offset": at + head, "n_bytes": size - head, "children": units},
    ]
    sections = [
        {"name": "local header", "kind": "zip", "offset": 0, "n_bytes": at},
        {"name": "0.bin", "kind": "stored member", "offset": at, "n_bytes": size, "children": children},
        {"name": "central directory", "kind": "zip", "offset": at + size, "n_bytes": len(data) - at - size},
    ]
    return {
        "schema": "lab.anatomy/1",
        "archive": {"n_bytes": len(data), "sha256": custody.sha256_bytes(data)},
        "sections": sections,
    }


def draw(path: Path, *, size: tuple[int, int], n_frames: int, noise: int, fps: str) -> None:
    """A small drawn clip; the frame number is burned in as a row of black and white blocks."""
    import av
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    chance = np.random.default_rng(7)
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream(
            "libx264", rate=Fraction(fps), options={"crf": "12", "preset": "veryfast", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = -(-width // 16) * 16, -(-height // 16) * 16, "yuv420p"
        for number in range(n_frames):
            sky, horizon = rows / height, 0.45 * height
            picture = np.stack([90 + 110 * sky, 120 + 90 * sky, 170 + 40 * sky], axis=-1)
            depth = np.clip((rows - horizon) / (height - horizon), 0.02, 1)
            road = (rows > horizon) & (np.abs(columns - width / 2) < depth * width * 0.55)
            picture[rows > horizon] = (96, 112, 78)
            picture[road] = (74, 77, 82)
            dash = ((1 / depth * 6 + number * 0.55) % 2 < 1) & (np.abs(columns - width / 2) < depth * width * 0.018)
            picture[road & dash] = (232, 224, 190)
            left = int(width * (0.55 + 0.08 * math.sin(number / 9)))
            top, side = int(height * 0.5), max(6, width // 12)
            picture[top : top + side * 3 // 4, left : left + side] = (150, 38, 34)
            picture += chance.normal(0, 1 + noise, picture.shape)
            block = max(2, width // 40)
            for bit in range(BITS):
                picture[0:block, bit * block : (bit + 1) * block] = 255 if number >> bit & 1 else 0
            margins = ((0, -height % 16), (0, -width % 16), (0, 0))
            even = np.pad(picture.clip(0, 255).astype(np.uint8), margins, mode="edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


if __name__ == "__main__":
    import sys

    made_here = make(Path(sys.argv[1]), size=(437, 582), n_pairs=60, clips=2)
    print(made_here.ledgers)


def crowd(root: Path, count: int) -> Made:
    """A ledger of `count` records that depart from each other in a tree; every tenth improves and keeps its evidence.

    Archives are named, not kept: what is measured with this is the book, not the bench.
    """
    made = make(root, runs=RUNS[:1], clips=0)
    ledger, chance, pool = Ledger(made.ledgers), random.Random(count), list(made.ids.values())
    ids, best = dict(made.ids), 61_000
    for index in range(1, count):
        better = index % 10 == 0
        best = best - 5 if better else best
        n_bytes = best if better else best + chance.randrange(1, 9_000)
        pairs = spread(index, made.contract.n_pairs, 0.0101 - 1e-6 * index * 0.5, 0.0420 - 1e-6 * index)
        digest = custody.sha256_bytes(b"archive %d" % index)
        slug = f"crowd-{index:06d}"
        record = a_record(made.contract, slug, data=digest, n_bytes=n_bytes, pairs=pairs, changed=f"value {index}")
        record["recorded_at"] = (
            f"2026-03-{2 + index // 86_400:02d}T{index // 3600 % 24:02d}:{index // 60 % 60:02d}:{index % 60:02d}Z"
        )
        record["parents"] = [pool[chance.randrange(max(0, len(pool) - 40), len(pool))]]
        record["verdict"] = "promoted" if better else "rejected"
        record["grade"], record["grade_reasons"] = grade(record, made.contract)
        ids[slug] = record["id"]
        pool.append(record["id"])
        path = ledger.record_path(NAME, record["id"])
        path.write_text(json.dumps(record, sort_keys=True), encoding="utf-8")
        if better:
            folder = ledger.evidence(NAME, record["id"])
            folder.mkdir(parents=True)
            rows = "".join(f"{i},{pair[0]!r},{pair[1]!r}\n" for i, pair in enumerate(pairs))
            (folder / "pairs.csv").write_text("pair,segnet,posenet\n" + rows, encoding="utf-8")
            (folder / "report.txt").write_text(f"score {record['score']['total']}\n", encoding="utf-8")
    return Made(ledgers=made.ledgers, contract=made.contract, ids=ids)
