"""How a run was trained, as its evidence tells it: the log's curve, and the maps of where the networks look."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import SiteError

LOGS = ("training.csv", "training-behind.csv")
MAPS = (
    ("sensitivity-segnet.png", "SegNet", "where its decisions would flip first"),
    ("sensitivity-posenet.png", "PoseNet", "where its six scored outputs move most"),
)
SIDE_LIMIT_PX = 4096
_ROW_LIMIT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Weights that were measured as they would be decoded: after how many steps, of which average, their score."""

    step: int
    name: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A training log.

    Attributes:
        running: (step, score over the latest batches), in order.
        candidates: in order; those that PoseNet was not asked about only where it never was.
        stages: (step before the first, name), in order.
        posed: whether scores hold PoseNet's term.
        last_log: steps before the last of the logs: the best candidate after it is what was packed.
        n_steps: steps in all.
    """

    running: tuple[tuple[int, float], ...]
    candidates: tuple[Candidate, ...]
    stages: tuple[tuple[int, str], ...]
    posed: bool
    last_log: int
    n_steps: int

    @property
    def best(self) -> Candidate:
        """The candidate that was packed: the lowest score of the last log, the first of equals."""
        last = [one for one in self.candidates if one.step > self.last_log]
        return min(last or self.candidates, key=lambda one: one.score)


def curve(logs: Sequence[str], where: str) -> Curve | None:
    """The curve of logs that follow each other; None without a candidate.

    Raises:
        SiteError: a row is not what the trainer writes.
    """
    running: list[tuple[int, float, bool]] = []
    candidates: list[tuple[Candidate, bool]] = []
    stages: list[tuple[int, str]] = []
    before = last = 0
    for text in logs:
        before = last
        try:
            for row in _rows(text):
                step = before + int(row["step"])
                if step < last:
                    raise ValueError(f"step {step} after step {last}")
                if not stages or stages[-1][1] != row["stage"]:
                    stages.append((last, row["stage"][:80]))
                last = step
                if row["score"]:
                    one = Candidate(step=step, name=row["candidate"][:80], score=_number(row["score"]))
                    candidates.append((one, bool(row["posenet"])))
                elif row["running_score"]:
                    running.append((step, _number(row["running_score"]), _number(row["running_posenet"]) >= 0.0))
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise SiteError(where, expected="the rows of a trainer's log", found=str(error)[:200]) from None
    if not candidates:
        return None
    posed = candidates[-1][1]
    return Curve(
        running=tuple((step, score) for step, score, has in running if has == posed),
        candidates=tuple(one for one, has in candidates if has == posed),
        stages=tuple(stages),
        posed=posed,
        last_log=before,
        n_steps=last,
    )


def _rows(text: str) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(text)))
    if len(rows) > _ROW_LIMIT:
        raise ValueError(f"{len(rows):,} rows")
    return rows


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is no score")
    return value


def is_picture(data: bytes) -> bool:
    """Whether these bytes begin as a PNG of reasonable size."""
    try:
        return bool(picture_size(data))
    except ValueError:
        return False


def picture_size(data: bytes) -> tuple[int, int]:
    """(width, height) of a PNG, from its header.

    Raises:
        ValueError: no PNG, or one of no or of unreasonable size.
    """
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise ValueError("not a PNG")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not (1 <= width <= SIDE_LIMIT_PX and 1 <= height <= SIDE_LIMIT_PX):
        raise ValueError(f"{width}x{height} pixels")
    return width, height
