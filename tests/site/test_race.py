"""The race compares shares of baselines, never scores of two contracts, and its bands show who led."""

from __future__ import annotations

import re
from types import SimpleNamespace

from lab.site import race
from lab.site.others import BoardRow


def row(pr: int, title: str, stated: float) -> BoardRow:
    return BoardRow(title=title, rank=pr, pr=pr, stated=stated, n_bytes=1, url="")


def board_rows(*stated: float) -> list[BoardRow]:
    rows = [row(1, race.BASELINE, 4.0), row(0, race.NOTHING_DONE, 25.0)]
    return rows + [row(10 + i, f"entry-{i}", value) for i, value in enumerate(stated)]


def test_a_public_board_far_behind_gives_a_lead_and_a_far_better_one_takes_it(built: SimpleNamespace) -> None:
    board = built.book.main.boards[0]
    behind, ahead = (race.load(board, board_rows(*values)) for values in ((3.999,), (3.999,) * 8 + (0.004,)))
    assert behind is not None and behind.against is not None and ahead is not None and ahead.against is not None
    assert "led throughout" not in ahead.against.finding
    assert "band public-lead" in str(ahead.against.drawings) and "band own-lead" in str(behind.against.drawings)
    assert ahead.against.rows[0][3].text.startswith("100.00")  # each side begins at its own baseline
    assert "scores are not compared" in ahead.against.finding


def test_without_a_public_board_families_still_race(built: SimpleNamespace) -> None:
    found = race.load(built.book.main.boards[0], [])
    assert found is not None and found.against is None
    lows = [float(cells[3].sort or 0) for cells in found.families.rows]
    assert lows == sorted(lows, reverse=True)  # one family: every new best is lower than the last
    assert "race/index.html" in built.tree


def test_one_run_is_no_race(built: SimpleNamespace) -> None:
    assert race.load(None, board_rows(3.0)) is None


def test_the_drawing_closes_its_bands(built: SimpleNamespace) -> None:
    found = race.load(built.book.main.boards[0], board_rows(3.0, 2.0, 0.01))
    assert found is not None and found.against is not None
    bands = re.findall(r'class="band [\w-]+" d="([^"]+)"', str(found.against.drawings))
    assert bands and all(path.startswith("M") and path.endswith("Z") for path in bands)
