"""Training throughput of every post-filter against plain eager PyTorch, side by side in one run: `make bench-train`.

A step is what the trainer does: filter, rounding, both networks, loss, backward, AdamW. Each way of computing it has a
process of its own, because a tuned heap cannot be made plain again; the ways take turns, so that what else the machine
does meets all alike. Figures are medians over the turns; the ratios are medians of the ratios within a turn. Processor
time stands beside wall time: it hardly moves when others use the machine. Networks have the embedded contract's
architecture and random weights: time does not depend on their values.

    eager       contiguous tensors, heap and AdamW as they come
    heap        the same, freed blocks kept
    trainer     freed blocks kept, channels-last, fused AdamW: how `lab train` computes
    compiled    the trainer's, through torch.compile; only asked for with --compile, which takes minutes
    two threads the trainer's on two threads; only with --threads

    python tests/benchmarks/bench_train.py [--turns N] [--hidden N] [--compile] [--threads] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lab import custody
from lab.codecs.filtered.model import ARCHITECTURES, build_postfilter
from lab.evaluator import preprocess
from lab.evaluator.compute import calm_torch
from lab.evaluator.networks import small_posenet, small_segnet
from lab.training import losses
from lab.training.quantize import round_pixels

GRID, BATCH, STEPS_PER_TURN = (192, 256), 4, 3
EAGER, HEAP, TRAINER, COMPILED, THREADS = "eager", "heap", "trainer", "compiled", "two threads"
Step = Callable[[], None]
Spent = dict[str, float]


def step_of(architecture: str, hidden: int, way: str) -> Step:
    """One training step as a closure."""
    ours = way not in (EAGER, HEAP)
    layout = torch.channels_last if ours else torch.contiguous_format
    torch.manual_seed(0)
    segnet: nn.Module = small_segnet().eval().requires_grad_(False).to(memory_format=layout)
    posenet: nn.Module = small_posenet().eval().requires_grad_(False).to(memory_format=layout)
    model: Any = build_postfilter(architecture, hidden)
    if not ours:
        model = _contiguous(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=ours)
    if way == COMPILED:
        model, segnet, posenet = (torch.compile(part) for part in (model, segnet, posenet))
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


def work(way: str, hidden: int) -> None:
    """One way in this process: every line that arrives names an architecture, every line that leaves is its turn."""
    threads = 2 if way == THREADS else 1
    if way == EAGER:
        torch.set_num_threads(threads)
    else:
        calm_torch(threads)
    name, step = "", None
    for line in sys.stdin:
        if line.strip() != name or step is None:
            name = line.strip()
            step = step_of(name, hidden, way)
            step()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(STEPS_PER_TURN):
            step()
        spent = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        sys.stdout.write(json.dumps(spent) + "\n")
        sys.stdout.flush()


class Worker:
    """A process that takes turns."""

    def __init__(self, way: str, hidden: int) -> None:
        command = [sys.executable, __file__, "--worker", way, "--hidden", str(hidden)]
        environment = {**os.environ, "OMP_NUM_THREADS": "2" if way == THREADS else "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def turn(self, architecture: str) -> Spent:
        """One turn; the process waits before and after it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(architecture + "\n")
        self.process.stdin.flush()
        found: Spent = json.loads(self.process.stdout.readline())
        return found

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def row(architecture: str, hidden: int, taken: dict[str, list[Spent]]) -> dict[str, Any]:
    """The figures of an architecture."""
    pairs, eager = BATCH * STEPS_PER_TURN, taken[EAGER]

    def ratio(items: Sequence[Spent], key: str) -> float:
        return round(statistics.median(one[key] / other[key] for one, other in zip(eager, items, strict=True)), 3)

    ways = {
        way: {
            "pairs_per_s": round(pairs / statistics.median(item["seconds"] for item in items), 2),
            "pairs_per_cpu_s": round(pairs / statistics.median(item["cpu_seconds"] for item in items), 2),
            "times_faster": ratio(items, "seconds"),
            "times_less_cpu": ratio(items, "cpu_seconds"),
        }
        for way, items in taken.items()
    }
    return {"architecture": architecture, "hidden": hidden, "ways": ways}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--compile", action="store_true", help="also torch.compile, which takes minutes")
    parser.add_argument("--threads", action="store_true", help="also two threads; only on a quiet machine")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.hidden)
        return
    further = ((COMPILED, options.compile), (THREADS, options.threads))
    ways = (EAGER, HEAP, TRAINER, *(way for way, asked in further if asked))
    workers = {way: Worker(way, options.hidden) for way in ways}
    rows = []
    for name in ARCHITECTURES:
        taken: dict[str, list[Spent]] = {way: [] for way in ways}
        for turn in range(options.turns):
            for way in ways if turn % 2 == 0 else reversed(ways):
                taken[way].append(workers[way].turn(name))
        rows.append(row(name, options.hidden, taken))
        told = "  ".join(
            f"{way} {item['pairs_per_s']:.2f} pairs/s ({item['times_faster']:.2f}x, processor "
            f"{item['times_less_cpu']:.2f}x)"
            for way, item in rows[-1]["ways"].items()
        )
        print(f"{name:<14} {told}", flush=True)
    for worker in workers.values():
        worker.close()
    if options.json:
        data = {
            "schema": "lab.benchmark/1",
            "name": "train",
            "command": "make bench-train",
            "settings": {"grid": GRID, "batch_pairs": BATCH, "threads": 1, "turns": options.turns},
            "machine": custody.machine(),
            "versions": custody.versions(),
            "weights": "random; architectures of the embedded contract",
            "rows": rows,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
