"""The page *Where the lab stands* is the projection of the ledger, with every run of it linked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import shelf
from conftest import ROOT

from lab import projection
from lab.errors import LedgerError
from lab.site import intake, status


def page(built: SimpleNamespace, name: str) -> str:
    return built.tree[f"{name}/index.html"].decode()


def test_it_is_the_projection_of_the_terminal(built: SimpleNamespace, made: shelf.Made) -> None:
    seen = projection.project(projection.gather(made.ledgers))
    kept = json.loads(built.tree[status.FILE])
    assert [row["run"] for row in kept["best"]] == [row.run for row in seen.best]
    assert [row["command"] for row in kept["next"]] == [row.command for row in seen.next]
    html = page(built, "status")
    for row in (*seen.best, *seen.families):
        assert f"/runs/{row.contract}/{row.run}/" in html
    for step in seen.next:
        assert step.command.replace("&", "&amp;") in html


def test_it_is_linked_from_the_doors_of_judges_and_researchers(built: SimpleNamespace) -> None:
    doors = built.tree["index.html"].decode().split('<div class="door">')[1:]
    assert ["status/" in door.partition("</ul>")[0] for door in doors] == [False, True, True]


def test_a_question_shows_its_ladder_and_what_was_found(small: shelf.Made) -> None:
    folder = small.ledgers / "hypotheses" / "wider"
    folder.mkdir(parents=True)
    control = small.ids["baseline-fast"]
    opening = {
        "schema": "lab.hypothesis/1", "id": "wider", "family": "conventional", "contract": small.contract.name,
        "question": "Does it help to be wider?", "changed": "width", "control": control, "smallest_test": "four pairs",
        "recipe": "conventional/wider", "recipe_text": "x = 1", "recipe_sha256": "1" * 64, "scope": "configuration",
        "config": {"width": 2}, "params": {"width": 2}, "novelty": "",
        "gates": [
            {"rung": "smoke", "metric": "rel_err", "at_most": 9.5, "pairs": 2},
            {"rung": "full", "metric": "total", "at_most": 4.0},
        ],
    }  # fmt: skip
    (folder / "opening.json").write_text(json.dumps(opening), encoding="utf-8")
    found = status.load(intake.load(ROOT / "site_src", small.ledgers))
    (question,) = found.questions
    assert question.control is not None and question.control.id == control
    assert [(rung.name, rung.state) for rung in question.rungs] == [("smoke", "ahead"), ("full", "ahead")]
    assert question.rungs[0].asks == "rel_err at most 9.5 on 2 pairs"


def test_a_lane_that_cannot_be_read_stops_the_build(small: shelf.Made, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ledgers" / "negative", small.ledgers / "negative")
    (small.ledgers / "negative" / "conventional-film-grain.json").write_text("{", encoding="utf-8")
    with pytest.raises(LedgerError, match="conventional-film-grain"):
        status.load(intake.load(ROOT / "site_src", small.ledgers))
