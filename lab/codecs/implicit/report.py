"""What a run leaves beside its archive: a score after every stage, and the curves of its training.

Both are evidence. A stage's row is its best candidate, measured from a payload that was written, parsed and decoded;
what corrections found after training follows row by row.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from lab.training.progress import COLUMNS, Validation

_STAGE = ("stage", "steps", "candidate", "segnet", "posenet", "n_bytes", "score")


class Report:
    """Gathers the logs of all parts of a run, then writes `stages.csv` and `training.csv` into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stages: list[dict[str, str]] = []
        self._curve: list[dict[str, str]] = []
        self._steps = 0

    def take(self, log: Path) -> None:
        """Take in the log of one part."""
        with log.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        last = max(int(row["step"]) for row in rows)
        for name in dict.fromkeys(row["stage"] for row in rows):
            scored = [row for row in rows if row["stage"] == name and row["score"]]
            best = min(scored, key=lambda row: float(row["score"]))
            end = max(int(row["step"]) for row in rows if row["stage"] == name)
            self._stages.append({**{key: best[key] for key in _STAGE if key in best}, "steps": str(self._steps + end)})
        self._curve += [{**row, "step": str(self._steps + int(row["step"]))} for row in rows]
        self._steps += last

    def add(self, name: str, found: Validation) -> None:
        """Take in what a content is worth after a correction."""
        row = {key: repr(getattr(found, key)) for key in ("segnet", "posenet", "n_bytes", "score")}
        self._stages.append({"stage": name, "steps": str(self._steps), "candidate": "", **row})

    def write(self) -> None:
        """Write both tables."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, columns, rows in (("stages.csv", _STAGE, self._stages), ("training.csv", COLUMNS, self._curve)):
            text = io.StringIO()
            writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            (self.folder / name).write_text(text.getvalue(), encoding="utf-8")
