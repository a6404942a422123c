"""The stages of a decoder as measured; what is no measurement of this lab stops the build."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.errors import SiteError
from lab.site import inflate


def kept(tmp_path: Path, board: object, **changed: object) -> Path:
    entry = board.frontier  # type: ignore[attr-defined]
    row = {
        "family": "conventional", "run": entry.id, "pairs": 6, "processor_s": 4.0,
        "stages": [{"stage": "header", "processor_s": 1.0}, {"stage": "enlarge", "processor_s": 3.0}],
    }  # fmt: skip
    table = {"schema": inflate.SCHEMA, "contract": entry.contract.name, "rows": [{**row, **changed}]}
    path = tmp_path / inflate.FILE
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(table), encoding="utf-8")
    return tmp_path


def test_stages_share_the_whole_and_name_the_largest(built: SimpleNamespace, tmp_path: Path) -> None:
    board = built.book.main.boards[0]
    (line,) = inflate.load(kept(tmp_path, board), board)
    assert (line.entry, line.largest.name, line.largest.share) == (board.frontier, "enlarge", 0.75)
    assert [stage.n_bytes for stage in line.stages] == [14, 0]  # the header section of the anatomy


def test_a_run_that_left_the_board_is_left_out(built: SimpleNamespace, tmp_path: Path) -> None:
    board = built.book.main.boards[0]
    assert inflate.load(kept(tmp_path, board, run="gone-00000000"), board) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"stages": [{"stage": "magic", "processor_s": 1.0}]},
        {"stages": [{"stage": "header", "processor_s": 9.0}]},
        {"processor_s": "long"},
    ],
)
def test_what_is_no_measurement_is_refused(built: SimpleNamespace, tmp_path: Path, changed: dict[str, object]) -> None:
    board = built.book.main.boards[0]
    with pytest.raises(SiteError, match=r"inflate\.json"):
        inflate.load(kept(tmp_path, board, **changed), board)
