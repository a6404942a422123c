"""The projection is a function of records alone, and says what to do next in the order of what was begun."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab import cli, negative, projection
from lab.errors import LedgerError
from lab.hypotheses import Gate, Hypothesis
from lab.ledger import current
from lab.projection import Books

LEDGERS = Path(__file__).resolve().parents[1] / "ledgers"


@pytest.fixture(scope="module")
def books() -> Books:
    """This ledger."""
    return projection.gather(LEDGERS)


def test_the_same_books_give_the_same_projection(books: Books) -> None:
    assert projection.project(books) == projection.project(books)


def test_the_frontier_is_the_lowest_ranked_total_of_each_contract_and_axis(books: Books) -> None:
    seen = projection.project(books)
    contract, runs = books.runs["minidrive"]
    ranked = [run for run in current(list(runs)) if run.grade in projection.RANKED and run.axis == "cpu"]
    (best,) = [row for row in seen.best if (row.contract, row.axis) == (contract.name, "cpu")]
    assert best.total == min(run.total for run in ranked)
    assert {row.family for row in seen.families} == {run.family for run in ranked}


def test_a_run_of_an_earlier_state_is_stale_and_its_renewal_is_next(books: Books) -> None:
    contract, runs = books.runs["minidrive"]
    moved = replace(books, runs={"minidrive": (replace(contract, n_pairs=149), runs)})
    seen = projection.project(moved)
    assert len([row for row in seen.stale if row.what.startswith("run ")]) == len(list(current(list(runs))))
    assert any(step.command.startswith("lab refresh") for step in seen.next)
    assert {row.what for row in seen.stale} >= {"search av1-neighbourhood", "lane conventional-film-grain"}


def test_open_hypotheses_come_first(books: Books) -> None:
    gates = (
        Gate(rung="smoke", metric="total", at_most=1.0, pairs=4),
        Gate(rung="full", metric="total", at_most=1.0),
    )
    open_ = Hypothesis(
        id="asked", family="semantic", contract="minidrive", question="?", changed="x", control="c", smallest_test="t",
        recipe="r", recipe_text="t", scope="family", config={}, gates=gates,
    )  # fmt: skip
    stopped = replace(open_, id="stopped", steps={"smoke": {"total": 2.0}})
    done = replace(open_, id="done", verdict={"verdict": "kept"})
    seen = projection.project(replace(books, hypotheses=(open_, stopped, done)))
    assert [found.id for found in seen.hypotheses] == ["asked", "stopped"]
    assert [step.command for step in seen.next[:2]] == ["lab negative step asked", "lab negative verdict stopped"]


def test_lanes_one_parameter_away_from_a_best_run_are_near(books: Books) -> None:
    lanes = tuple(lane for lane in books.lanes if lane.id == "conventional-interpolating-up-sampler")
    seen = projection.project(replace(books, lanes=lanes))
    assert [(row.lane, row.parameters_away) for row in seen.near] == [("conventional-interpolating-up-sampler", 1)]
    far = replace(lanes[0], config={"encoder": "x264", "up": "bicubic", "grid": "camera"})
    assert projection.project(replace(books, lanes=(far,))).near == ()
    assert negative.fits("x264", far.config["encoder"])


def test_a_cycle_that_did_not_end_is_taken_up_again(books: Books) -> None:
    journal = {**books.journals["av1-neighbourhood"], "pending": [{"candidate": "one"}]}
    seen = projection.project(replace(books, journals={"av1-neighbourhood": journal}))
    assert "a cycle was predicted, and did not end" in {step.why for step in seen.next}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"cycles": [1]}'])
def test_a_damaged_journal_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "searches").mkdir()
    (tmp_path / "searches" / "torn.json").write_text(text, encoding="utf-8")
    with pytest.raises(LedgerError, match=r"torn\.json"):
        projection.gather(tmp_path)


def test_an_empty_ledger_has_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--ledgers", str(tmp_path), "status"]) == 0
    assert capsys.readouterr().out.count("none") == 6


def test_every_command_that_is_proposed_can_be_typed(books: Books) -> None:
    seen = projection.project(books)
    for command in {step.command for step in seen.next} | {row.command for row in seen.stale}:
        for part in command.split(" && "):
            assert cli.parser().parse_args(part.split()[1:]).call
