"""Training throughput of every post-filter against plain eager PyTorch, side by side in one run: `make bench-train`.

A step is what the trainer does: filter, rounding, both networks, loss, backward, fused AdamW. Every row is timed in
turns with plain eager (contiguous tensors, the heap as it comes, AdamW as it comes), so that what else the machine
does meets both alike; figures are medians over the turns. Networks have the embedded contract's architecture and
random weights: time does not depend on their values.

    python tests/benchmarks/bench_train.py [--turns N] [--hidden N] [--compile] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lab.codecs.filtered.model import ARCHITECTURES, build_postfilter
from lab.evaluator import preprocess
from lab.evaluator.compute import calm_torch
from lab.evaluator.networks import small_posenet, small_segnet
from lab.training import losses
from lab.training.quantize import round_pixels

GRID, BATCH, STEPS_PER_TURN = (192, 256), 4, 6
Step = Callable[[], None]


def step_of(architecture: str, hidden: int, *, channels_last: bool, fused: bool, compiled: bool = False) -> Step:
    """One training step as a closure."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    segnet: nn.Module = small_segnet().eval().requires_grad_(False).to(memory_format=layout)
    posenet: nn.Module = small_posenet().eval().requires_grad_(False).to(memory_format=layout)
    model: Any = build_postfilter(architecture, hidden)
    if not channels_last:
        model = _contiguous(model)
    if compiled:
        model, segnet, posenet = (torch.compile(part) for part in (model, segnet, posenet))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=fused)
    frames = torch.randint(0, 256, (BATCH, 2, 3, *GRID)).float()
    classes = torch.randint(0, 5, (BATCH, *GRID))
    reference = torch.zeros(BATCH, 12)

    def step() -> None:
        optimizer.zero_grad()
        shown = round_pixels(model(frames))
        seen = preprocess.segnet_input(shown, GRID).contiguous(memory_format=layout)
        planes = preprocess.posenet_input(shown, GRID).contiguous(memory_format=layout)
        loss = 100.0 * losses.softplus_margin(segnet(seen), classes, 0.3).mean()
        loss = loss + losses.pose_term(losses.pose_distortion(posenet(planes), reference), 10.0)
        loss.backward()
        optimizer.step()

    return step


def _contiguous(model: nn.Module) -> nn.Module:
    """The same filter without the trainer's layout."""
    body = model.body

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x.contiguous())

    model.body = Plain()
    return model


def seconds(step: Step) -> float:
    """Time of a turn."""
    started = time.perf_counter()
    for _ in range(STEPS_PER_TURN):
        step()
    return time.perf_counter() - started


def compare(rows: dict[str, Step], turns: int) -> dict[str, float]:
    """Pairs per second of each, median over turns taken in rotation."""
    for step in rows.values():
        step()
    taken: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(turns):
        for name, step in rows.items():
            taken[name].append(seconds(step))
    return {name: BATCH * STEPS_PER_TURN / statistics.median(times) for name, times in taken.items()}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--hidden", type=int, default=16)
    options.add_argument("--compile", action="store_true", help="also torch.compile, which takes minutes")
    options.add_argument("--json", type=Path)
    asked = options.parse_args()
    torch.set_num_threads(1)
    # Plain eager is measured on the untouched heap first, then once more beside the tuned rows.
    untouched = {
        name: compare({"eager": step_of(name, asked.hidden, channels_last=False, fused=False)}, asked.turns)["eager"]
        for name in ("standard", "pixel-shuffle")
    }
    calm_torch()
    rows = []
    for name in ARCHITECTURES:
        ways = {
            "eager": step_of(name, asked.hidden, channels_last=False, fused=False),
            "trainer": step_of(name, asked.hidden, channels_last=True, fused=True),
        }
        if asked.compile and name == "standard":
            ways["compiled"] = step_of(name, asked.hidden, channels_last=True, fused=True, compiled=True)
        speed = compare(ways, asked.turns)
        row: dict[str, Any] = {"architecture": name, "hidden": asked.hidden}
        row |= {f"{way}_pairs_per_s": round(value, 2) for way, value in speed.items()}
        row["ratio"] = round(speed["trainer"] / speed["eager"], 3)
        if name in untouched:
            row["eager_default_heap_pairs_per_s"] = round(untouched[name], 2)
        rows.append(row)
        sys.stdout.write("  ".join(f"{key} {value}" for key, value in row.items()) + "\n")
        sys.stdout.flush()
    if asked.json:
        about = {"torch": torch.__version__, "grid": GRID, "batch_pairs": BATCH, "threads": 1, "rows": rows}
        asked.json.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
