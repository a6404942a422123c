"""Predictions stand beside what the ledger measured, whatever a journal says of the outcome."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import shelf
from conftest import SOURCE, build

from lab.errors import SiteError
from lab.site import calibration, intake
from lab.site.book import Book


def journal(made: shelf.Made, **changed: object) -> dict[str, object]:
    """A search of two cycles over runs of the synthetic ledger, one of them outside of its band."""
    totals = {slug: json.loads(path.read_text())["score"]["total"] for slug, path in records(made).items()}
    rows = []
    for slug, width in (("av1-grid-crf36", 0.5), ("av1-grid-crf42", 0.001)):
        point = totals[slug] + 0.1
        rows.append(
            {
                "candidate": f"conventional/{slug}", "run": made.ids[slug], "low": point - width, "point": point,
                "high": point + width, "confidence": "calibrated_strong", "total": 0.0, "in_band": True,
            }
        )  # fmt: skip
    refused = {"candidate": "conventional/far", "refused": "extrapolation", "says": "too far"}
    ends = {"best_before": made.ids["av1-grid-crf30"], "best_after": made.ids["av1-grid-crf36"], "spent_s": 30.0}
    cycles = [{"number": n, "rows": [row, refused], **ends} for n, row in enumerate(rows, 1)]
    table = {"schema": "lab.search/1", "name": "paper", "contract": shelf.NAME, "lane": "conventional/svt-av1/model"}
    return {**table, "cycles": cycles, **changed}


def records(made: shelf.Made) -> dict[str, Path]:
    folder = made.ledgers / shelf.NAME / "runs"
    return {slug: folder / f"{identifier}.json" for slug, identifier in made.ids.items()}


def book_with(made: shelf.Made, table: object) -> Book:
    folder = made.ledgers / "searches"
    folder.mkdir(exist_ok=True)
    (folder / "paper.json").write_text(json.dumps(table), encoding="utf-8")
    return intake.load(SOURCE, made.ledgers)


@pytest.fixture
def paper(tmp_path: Path) -> shelf.Made:
    """A ledger with the runs that the journal names."""
    wanted = {"baseline-fast", "av1-grid-crf30", "av1-grid-crf36", "av1-grid-crf42"}
    runs = tuple((slug, None, "", *rest) for slug, _, _, *rest in shelf.RUNS if slug in wanted)
    return shelf.make(tmp_path, runs=runs, clips=0)


def test_outcomes_come_from_the_ledger_and_not_from_the_journal(paper: shelf.Made, tmp_path: Path) -> None:
    book = book_with(paper, journal(paper))
    (search,), files = calibration.load(book)
    assert [outcome.hit for outcome in search.outcomes] == [True, False]  # the journal claims a hit twice
    assert (search.hits, search.cycles, search.ranked, search.refused) == (1, 2, 4, (("extrapolation", 2),))
    assert search.miss == pytest.approx(0.1)
    assert search.spent_s == 60.0
    assert files.keys() == {"data/searches/paper.json"}
    site = build(paper.ledgers, tmp_path / "cache")
    page = site.tree["calibration/index.html"].decode()
    assert "1 of 2 runs landed in the band" in page
    assert "extrapolation" in page
    assert "../calibration/" in site.tree["ledger/index.html"].decode()


def test_without_a_search_there_is_no_page(paper: shelf.Made, tmp_path: Path) -> None:
    site = build(paper.ledgers, tmp_path / "cache")
    assert "calibration/index.html" not in site.tree
    assert "calibration" not in site.tree["ledger/index.html"].decode()


BAND = {"low": 1, "point": 1, "high": 1, "confidence": "x"}


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": "lab.search/9"},
        {"cycles": [{"number": 1, "rows": [{"run": "gone-00000000", **BAND}]}]},
        {"cycles": 7},
        {"cycles": [{"number": "one", "rows": [BAND]}]},
    ],
)
def test_a_journal_that_is_none_stops_the_build_and_is_named(paper: shelf.Made, changed: dict[str, object]) -> None:
    with pytest.raises(SiteError, match=r"searches/paper\.json"):
        calibration.load(book_with(paper, journal(paper, **changed)))


def test_what_a_journal_says_is_inert(paper: shelf.Made, tmp_path: Path) -> None:
    hostile = journal(paper, lane="<img src=x onerror=alert(1)>")
    book_with(paper, hostile)
    page = build(paper.ledgers, tmp_path / "cache").tree["calibration/index.html"].decode()
    assert "<img src=x" not in page
