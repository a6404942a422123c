"""The course of training on a run's page: read from evidence that others may have written, shown as it is."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
import shelf
from conftest import TEMPLATES, build

from lab.errors import SiteError
from lab.ledger import Ledger
from lab.site import render, training
from lab.training.progress import COLUMNS

SLUG = "x265-grid-crf30-intra-bicubic"


def log(*rows: dict[str, object]) -> str:
    """A trainer's log."""
    lines = [",".join(str(row.get(column, "")) for column in COLUMNS) for row in rows]
    return "\n".join([",".join(COLUMNS), *lines, ""])


def running(step: int, stage: str, score: float, posenet: float = 0.1) -> dict[str, object]:
    return {"step": step, "stage": stage, "running_score": score, "running_posenet": posenet}


def tried(step: int, stage: str, score: float, posenet: object = 0.1) -> dict[str, object]:
    return {"step": step, "stage": stage, "candidate": "ema", "score": score, "posenet": posenet, "n_bytes": 9}


FIRST = log(
    running(10, "seg", 5.0),
    tried(20, "seg", 4.5),
    running(30, "both", 4.1),
    tried(40, "both", 4.0),
    tried(40, "both", 4.2),
)


def png(width: int, height: int) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((width + 1) * height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def leave(made: shelf.Made, slug: str = SLUG, **files: bytes) -> Path:
    """Put files beside the evidence of a run."""
    folder = Ledger(made.ledgers).evidence(made.contract.name, made.ids[slug])
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def page(made: shelf.Made, cache: Path, slug: str = SLUG) -> str:
    return build(made.ledgers, cache).tree[f"runs/{shelf.NAME}/{made.ids[slug]}/index.html"].decode()


def test_a_log_gives_its_candidates_its_stages_and_the_one_that_was_packed() -> None:
    found = training.curve([FIRST], "here")
    assert found is not None
    assert [(one.step, one.score) for one in found.candidates] == [(20, 4.5), (40, 4.0), (40, 4.2)]
    assert found.running == ((10, 5.0), (30, 4.1))
    assert found.stages == ((0, "seg"), (20, "both"))
    assert (found.best.score, found.n_steps, found.posed) == (4.0, 40, True)


def test_what_was_packed_comes_from_the_log_behind_side_codes() -> None:
    """The first log left PoseNet's term out: its lower scores are no better ones."""
    first = log(running(10, "seg", 2.0, -1.0), tried(20, "seg", 1.5, ""))
    found = training.curve([first, log(running(5, "both", 3.0), tried(10, "both", 2.5))], "here")
    assert found is not None
    assert [(one.step, one.score) for one in found.candidates] == [(30, 2.5)]
    assert found.running == ((25, 3.0),)
    assert (found.best.score, found.n_steps, found.posed) == (2.5, 30, True)
    alone = training.curve([first], "here")
    assert alone is not None
    assert (alone.posed, alone.best.score) == (False, 1.5)


@pytest.mark.parametrize(
    "text",
    [
        log(tried(20, "fit", float("nan"))),
        log({"step": "many", "stage": "fit", "score": 1.0}),
        log(tried(20, "fit", 4.0), tried(10, "fit", 3.0)),
        "step,stage\n1,fit\n",
    ],
)
def test_a_log_that_no_trainer_wrote_is_refused(text: str) -> None:
    with pytest.raises(SiteError, match="trainer's log"):
        training.curve([text], "here")


def test_a_run_without_a_log_has_no_curve() -> None:
    assert training.curve([], "here") is None
    assert training.curve([log(running(10, "fit", 5.0))], "here") is None


def test_a_page_shows_the_curve_and_both_maps(small: shelf.Made, tmp_path: Path) -> None:
    assert "How it was trained" not in page(small, tmp_path / "cache")
    leave(
        small,
        **{
            "training.csv": FIRST.encode(),
            "sensitivity-segnet.png": png(26, 18),
            "sensitivity-posenet.png": png(26, 18),
        },
    )
    shown = page(small, tmp_path / "cache")
    assert "How it was trained" in shown
    assert "4.000000" in shown  # the packed candidate, in the table behind the figure
    assert shown.count('width="26" height="18"') == 2
    assert "sensitivity-posenet.png" in shown


def test_what_is_no_picture_is_withheld_and_said(small: shelf.Made, tmp_path: Path) -> None:
    leave(small, **{"sensitivity-segnet.png": b"<script>alert(1)</script>", "sensitivity-posenet.png": png(9999, 9999)})
    built = build(small.ledgers, tmp_path / "cache")
    held = {(item.field, item.reason) for item in built.book.withheld}
    assert {(f"evidence/sensitivity-{name}.png", "not a picture") for name in ("segnet", "posenet")} <= held
    assert not [name for name in built.tree if name.endswith("sensitivity-segnet.png")]


def test_prose_may_lay_several_curves_over_each_other(small: shelf.Made, tmp_path: Path) -> None:
    other = "x265-camera-crf30-intra"
    leave(small, **{"training.csv": FIRST.encode()})
    leave(small, other, **{"training.csv": log(tried(50, "fit", 3.5), tried(80, "fit", 3.25)).encode()})
    book = build(small.ledgers, tmp_path / "cache").book
    board = book.main.boards[0]
    entries = [board.by_id[small.ids[slug]] for slug in (SLUG, other, "baseline-fast")]
    shown = str(render.figure_makers(TEMPLATES, board, [].append)["training"](*entries))
    assert shown.count("3.250000") >= 1
    assert f"{other} stands lowest with 3.2500, {SLUG} highest with 4.0000" in shown
    assert "baseline-fast" not in shown  # it was not trained
