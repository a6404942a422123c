"""The official evaluator against the contest's own loop, side by side: `make bench-evaluator`.

Both score the same raw file against the same drawn clip with the same random weights of the real architectures. Each
turn runs every variant in a fresh process, one after the other, so that what else the machine does meets all alike and
no variant profits from another's heap; figures are medians over the turns, of the loop alone (imports and weights
loaded before). Faster modes that are not exact are timed in the first turn, with what they add to the score; they are
advisory. On a machine with nothing else to do it takes about three minutes.

    python tests/benchmarks/bench_evaluator.py [--pairs N] [--turns N] [--threads N] [--inexact] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import contest
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from lab import contract, custody
from lab.contract import Contract
from lab.evaluator import measure, official_networks
from lab.evaluator.compute import calm_torch
from lab.video import frames

EXACT = ("plain", "plain, batch 4", "cold", "warm")
INEXACT = ("bf16 autocast", "bf16 weights", "int8 linear layers")
BARS = {"cold": 2.5, "warm": 5.0}


def silent(stage: str, done: int, total: int) -> None:
    """Reports nothing."""


class Clock:
    """Wall time and processor time from now on; the latter hardly moves when others use the machine."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Seconds so far."""
        return {"seconds": time.perf_counter() - self.wall, "cpu_seconds": time.process_time() - self.cpu}


def make(folder: Path, n_pairs: int) -> None:
    """The drawn contract, and a raw file that differs a little from its source."""
    drawn = contest.drawn_contract(folder / "comma-2026", n_pairs)
    grain = np.random.default_rng(11).integers(-2, 3, (*drawn.frame_size, 1))
    with (folder / "0.raw").open("wb") as out:
        for frame in frames.read_frames(drawn.source_path):
            out.write(np.clip(frame.astype(np.int16) + grain, 0, 255).astype(np.uint8).tobytes())


def load(folder: Path) -> Contract:
    """The drawn contract."""
    root = folder / "comma-2026"
    return contract.parse((root / "contract.toml").read_text(encoding="utf-8"), root, "drawn contract")


def plain(drawn: Contract, raw: Path, batch_size: int) -> dict[str, float]:
    """The contest's loop: nothing folded, nothing kept, the heap as it comes."""
    built = []
    for name, network in (("segnet", official_networks.segnet()), ("posenet", official_networks.posenet())):
        network.load_state_dict(load_file(drawn.weights_path(name)), strict=True)
        built.append(network.eval().requires_grad_(False))
    clock = Clock()
    found = contest.restated(drawn.source_path, raw, *built, batch_size=batch_size)
    return {**found, **clock.read()}


def ours(drawn: Contract, raw: Path, cache: Path, mode: str, threads: int) -> dict[str, float]:
    """Our loop: cold computes the reference's answers as well, warm finds them; other modes are inexact and cold."""
    calm_torch(threads)
    evaluator = measure.Evaluator(drawn, axis="cpu", cache=cache)
    if mode == "warm":
        evaluator.reference(silent)
    else:
        cache = cache / mode
        evaluator.cache = cache
    if mode == "bf16 weights":
        evaluator.segnet, evaluator.posenet = (_cast(network) for network in (evaluator.segnet, evaluator.posenet))
    if mode == "bf16 autocast":
        evaluator.segnet, evaluator.posenet = (_autocast(network) for network in (evaluator.segnet, evaluator.posenet))
    if mode == "int8 linear layers":
        quantize = torch.ao.quantization.quantize_dynamic
        evaluator.posenet = quantize(evaluator.posenet, {nn.Linear}, dtype=torch.qint8, inplace=True)
    clock = Clock()
    found = evaluator.measure(raw, silent)
    spent = clock.read()
    n_pairs = len(found.segnet_pairs)
    pixels = round(found.segnet * n_pairs * math.prod(drawn.model_size))
    return {"segnet": found.segnet, "posenet": found.posenet, "pairs": n_pairs, "pixels": pixels, **spent}


def _cast(network: nn.Module) -> nn.Module:
    class Halved(nn.Module):
        """A network in bfloat16 that answers in float32."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network.bfloat16()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x.bfloat16()).float()

    return Halved()


def _autocast(network: nn.Module) -> nn.Module:
    class Autocast(nn.Module):
        """A network under autocast, which holds for the thread that enters it."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.network(x).float()

    return Autocast()


def work(options: argparse.Namespace) -> None:
    """One variant in this process; prints its figures as JSON."""
    torch.set_num_threads(options.threads)
    folder = Path(options.folder)
    drawn, raw = load(folder), folder / "0.raw"
    if options.worker.startswith("plain"):
        found = plain(drawn, raw, 4 if options.worker.endswith("4") else 16)
    else:
        with tempfile.TemporaryDirectory() as cold:
            cache = folder / "cache" if options.worker == "warm" else Path(cold)
            found = ours(drawn, raw, cache, options.worker, options.threads)
    print(json.dumps(found))


def turn(folder: Path, variant: str, threads: int) -> dict[str, float]:
    """One variant in a fresh process."""
    command = [sys.executable, __file__, "--worker", variant, "--folder", str(folder), "--threads", str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def score(drawn: Contract, found: dict[str, float]) -> float:
    """The two distortion terms of a score; the rate term is the same for all."""
    return drawn.formula.segnet * found["segnet"] + math.sqrt(drawn.formula.posenet * found["posenet"])


def main() -> int:
    """Measure, print and perhaps write; fails where the exact variants disagree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--inexact", action="store_true", help="also the modes that are not exact")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        make(folder, options.pairs)
        drawn = load(folder)
        variants = (*EXACT, *(INEXACT if options.inexact else ()))
        found: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
        turn(folder, "warm", options.threads)  # fills the cache that the warm variant finds
        for number in range(options.turns):
            measured = variants if number == 0 else EXACT
            for variant in measured if number % 2 == 0 else reversed(measured):
                found[variant].append(turn(folder, variant, options.threads))
                spent = found[variant][-1]
                print(
                    f"turn {number + 1} of {options.turns}: {variant:<20} {spent['seconds']:8.3f} s, "
                    f"processor {spent['cpu_seconds']:8.3f} s", flush=True,
                )  # fmt: skip
        return told(drawn, found, options)


def told(drawn: Contract, found: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> int:
    """Print the table, write the JSON, and compare the exact variants with the contest's loop."""
    base = found["plain"]
    seconds = {variant: statistics.median(item["seconds"] for item in items) for variant, items in found.items()}
    ratios = {
        variant: statistics.median(one["seconds"] / other["seconds"] for one, other in zip(base, items, strict=False))
        for variant, items in found.items()
    }
    cpu_ratios = {
        variant: statistics.median(
            one["cpu_seconds"] / other["cpu_seconds"] for one, other in zip(base, items, strict=False)
        )
        for variant, items in found.items()
    }
    rows = []
    for variant, items in found.items():
        rows.append(
            {
                "variant": variant,
                "exact": variant in EXACT,
                "seconds": round(seconds[variant], 3),
                "ms_per_pair": round(1000 * seconds[variant] / options.pairs, 1),
                "cpu_seconds": round(statistics.median(item["cpu_seconds"] for item in items), 3),
                "times_faster": round(ratios[variant], 2),
                "times_less_cpu": round(cpu_ratios[variant], 2),
                "seg_pixels_off": abs(items[0]["pixels"] - base[0]["pixels"]),
                "pose_off": abs(items[0]["posenet"] - base[0]["posenet"]),
                "score_drift": score(drawn, items[0]) - score(drawn, base[0]),
            }
        )
        row = rows[-1]
        print(
            f"{variant:<20} {row['seconds']:>8.3f} s {row['ms_per_pair']:>8.1f} ms/pair {row['times_faster']:>6.2f}x"
            f"   cpu {row['cpu_seconds']:>8.3f} s {row['times_less_cpu']:>6.2f}x   seg {row['seg_pixels_off']:>6} px"
            f"   pose {row['pose_off']:.1e}   score {row['score_drift']:+.1e}"
        )
    bars = {variant: {"bar": bar, "reached": ratios[variant] >= bar} for variant, bar in BARS.items()}
    for variant, item in bars.items():
        print(
            f"{variant}: {ratios[variant]:.2f}x, bar {item['bar']}x: {'reached' if item['reached'] else 'NOT reached'}"
        )
    if options.json:
        data = {
            "schema": "lab.benchmark/1",
            "name": "evaluator",
            "command": "make bench-evaluator",
            "settings": {"pairs": options.pairs, "turns": options.turns, "threads": options.threads},
            "machine": custody.machine(),
            "versions": custody.versions(),
            "weights": "random, norms calibrated and the last semantic layer fitted on the drawn clip",
            "bars": bars,
            "rows": rows,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    agree = all(row["seg_pixels_off"] <= 1 and row["pose_off"] <= 1e-6 for row in rows if row["exact"])
    print("components agree with the contest's loop" if agree else "components DISAGREE with the contest's loop")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
