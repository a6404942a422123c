"""Where the time of inflating goes: the decoder of the best kept run of each family, stage by stage.

    python tests/benchmarks/bench_inflate.py [--json FILE] [--contract minidrive]

Each family's payload is decoded whole in a fresh process, on one thread, with a clock around the functions that are its
stages; a stage's time excludes stages inside it. Processor time is what counts: wall time of a busy machine is not
worth comparing. Compilation of numba's loops is part of the stage that needs it, as in a cold packet. The raw frames
are hashed and compared with the digest on record, so that what was timed is what was scored.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# family -> (module, attribute, stage); attributes of classes are written Class.method
STAGES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "conventional": (
        ("conventional.decode:syntax", "read", "header"),
        ("conventional.decode", "pictures", "video decoder"),
        ("conventional.decode:colour", "yuv_to_rgb", "colour"),
        ("conventional.decode:model", "unsharp", "filters"),
        ("conventional.decode:model", "add_noise", "filters"),
        ("conventional.decode:resample", "aligned_up", "enlarge"),
        ("conventional.decode:resample", "bicubic", "enlarge"),
        ("conventional.decode:resample", "lanczos", "enlarge"),
    ),
    "filtered": (
        ("filtered.decode:syntax", "read", "header"),
        ("filtered.decode", "_inner_pairs", "inner codec"),
        ("filtered.decode:resample", "resize", "to the grid"),
        ("filtered.decode", "filter_of", "weights"),
        ("filtered.decode", "render", "post-filter"),
        ("filtered.decode", "enlarged", "enlarge"),
    ),
    "implicit": (
        ("implicit.decode:syntax", "read", "streams"),
        ("implicit.decode", "build", "weights"),
        ("implicit.decode", "rendered", "decoder"),
        ("implicit.decode", "enlarge", "enlarge"),
    ),
    "semantic": (
        ("semantic.decode:syntax", "split", "header"),
        ("semantic.format:labelmap", "read", "m"),
        ("semantic.format", "read_renderer", "w"),
        ("semantic.format", "read_poses", "p, r"),
        ("semantic.format", "read_actions", "p, r"),
        ("semantic.decode", "build", "w"),
        ("semantic.model:Renderer", "features", "last frames"),
        ("semantic.model:Renderer", "last_frame", "last frames"),
        ("semantic.decode:Renderer", "forward", "first frames"),
        ("semantic.decode:actions", "act", "first frames"),
        ("semantic.decode:actions", "route", "first frames"),
        ("semantic.decode", "rounded", "enlarge"),
        ("semantic.decode:resample", "aligned_up", "enlarge"),
    ),
}


class Clock:
    """Processor seconds of each stage, without those of stages inside it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.stack = ["elsewhere"]
        self.since = time.process_time()

    def turn(self, stage: str | None) -> None:
        """Enter a stage, or leave the one that is open."""
        now = time.process_time()
        self.spent[self.stack[-1]] += now - self.since
        self.since = now
        if stage is None:
            self.stack.pop()
        else:
            self.stack.append(stage)

    def around(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """The same function, timed; the items of an iterator are timed as they are asked for."""

        def timed(*arguments: Any, **named: Any) -> Any:
            self.turn(stage)
            try:
                out = function(*arguments, **named)
            finally:
                self.turn(None)
            return self._items(out, stage) if isinstance(out, Iterator) else out

        return timed

    def _items(self, items: Iterator[Any], stage: str) -> Iterator[Any]:
        while True:
            self.turn(stage)
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self.turn(None)
            yield item


def measure(family: str, archive: Path, raw_sha256: str) -> dict[str, Any]:
    """The stages of one decode, in this process."""
    import torch

    from lab import archive as container

    torch.set_num_threads(1)
    clock = Clock()
    for where, name, stage in STAGES[family]:
        module, _, inside = where.partition(":")
        owner: Any = importlib.import_module(f"lab.codecs.{module}")
        owner = getattr(owner, inside) if inside else owner
        setattr(owner, name, clock.around(getattr(owner, name), stage))
    decode = importlib.import_module(f"lab.codecs.{family}.decode").decode
    payload = container.payload_of(archive)
    digest, pairs = hashlib.sha256(), 0
    clock.since = started = time.process_time()
    for pair in decode(payload):
        clock.turn("writing raw frames")
        digest.update(pair.tobytes())
        clock.turn(None)
        pairs += 1
    clock.turn("elsewhere")
    total = time.process_time() - started
    if digest.hexdigest() != raw_sha256:
        raise SystemExit(f"{family}: raw frames {digest.hexdigest()[:12]}, on record {raw_sha256[:12]}")
    order = list(dict.fromkeys(stage for _, _, stage in STAGES[family])) + ["writing raw frames", "elsewhere"]
    return {
        "pairs": pairs,
        "processor_s": round(total, 3),
        "stages": [{"stage": stage, "processor_s": round(clock.spent[stage], 3)} for stage in order],
    }


def best(contract: str) -> dict[str, dict[str, Any]]:
    """The best current record of each family whose archive is kept."""
    from lab import contract as contracts
    from lab.ledger import Ledger

    ledger, made = Ledger(ROOT / "ledgers"), contracts.load(contract)
    runs = ledger.runs(made)
    gone = {run.data["supersedes"] for run in runs}
    found: dict[str, dict[str, Any]] = {}
    for run in sorted(runs, key=lambda run: (run.total, run.id)):
        kept = ledger.archive(made.name, str(run.data["custody"]["archive_sha256"]))
        current = run.id not in gone and run.data["contract_sha256"] == made.digest
        if current and run.family in STAGES and kept.is_file():
            found.setdefault(
                run.family,
                {"run": run.id, "archive": kept, "raw_sha256": run.data["custody"]["raw_sha256"]},
            )
    return found


def main() -> int:
    """Measure every family and print, or write, what came out."""
    parser = argparse.ArgumentParser(description="Where the time of inflating goes.")
    parser.add_argument("--contract", default="minidrive")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("FAMILY", "ARCHIVE", "RAW_SHA256"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        family, archive, raw = asked.one
        print(json.dumps(measure(family, Path(archive), raw)))
        return 0
    rows = []
    for family, facts in sorted(best(asked.contract).items()):
        print(f"{family}: {facts['run']}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--one", family, str(facts["archive"]), facts["raw_sha256"]]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        rows.append({"family": family, "run": facts["run"], **json.loads(done.stdout)})
    text = json.dumps({"schema": "lab.inflate/1", "contract": asked.contract, "rows": rows}, indent=1, sort_keys=True)
    if asked.json:
        asked.json.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
