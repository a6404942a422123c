"""What a training run leaves beside its bytes: schedule, log, a score after every stage, where the networks look.

An encoder that trains writes these into its work folder, and `lab run` hands those that are there to the ledger. They
explain a run and decide nothing: no grade reads them, and a run that trains nothing has none.
"""

from __future__ import annotations

from pathlib import Path

LIMIT_BYTES = 4 << 20
# name as evidence -> place below the work folder
PLACES = {
    "stages.txt": "stages.txt",
    "stages.csv": "stages.csv",
    "axes.csv": "axes.csv",
    "training.csv": "training.csv",
    "training-behind.csv": "behind/training.csv",
    "sensitivity.csv": "sensitivity.csv",
    "sensitivity-segnet.png": "sensitivity-segnet.png",
    "sensitivity-posenet.png": "sensitivity-posenet.png",
    "class-maps.png": "class-maps.png",
    "triptych.png": "triptych.png",
    "poses.csv": "poses.csv",
    "tails.csv": "tails.csv",
    "codes.csv": "codes.csv",
    "latents.png": "latents.png",
}


def gather(work: Path) -> dict[str, bytes]:
    """Every trace in a work folder by its name as evidence; what is larger than evidence may be stays there."""
    found: dict[str, bytes] = {}
    for name, place in PLACES.items():
        path = work / place
        if path.is_file() and path.stat().st_size <= LIMIT_BYTES:
            found[name] = path.read_bytes()
    return found
