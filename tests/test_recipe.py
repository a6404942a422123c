"""Recipes: typed, complete, and clear about what they cannot hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from lab import recipe
from lab.errors import RecipeError

GOOD = 'family = "conventional"\nquestion = "does it?"\nseed = 3\n[params]\ncrf = 35\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    crf: int
    gain: float = 1.0
    size: tuple[int, int] = (1, 1)
    mode: Literal["a", "b"] = "a"
    label: str | None = None


def test_the_digest_counts_what_decides_the_bytes() -> None:
    first = recipe.parse(GOOD, "conventional/x")
    asked_otherwise = recipe.parse(GOOD.replace("does it?", "really?"), "conventional/y")
    other_seed = recipe.parse(GOOD.replace("seed = 3", "seed = 4"), "conventional/x")
    assert first.digest == asked_otherwise.digest
    assert first.digest != other_seed.digest


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GOOD.replace("[params]", "[parms]"), "did you mean 'params'"),
        (GOOD.replace("question", "# question"), "question"),
        (GOOD + "\nx = ", "TOML"),
        ('parent = "conventional/other"\n' + GOOD, "changed"),
        (GOOD.replace("seed = 3", 'seed = "three"'), "integer seed"),
    ],
)
def test_a_broken_recipe_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        recipe.parse(text, "conventional/x")


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"crf": 35, "grain": 3}, "found 'grain'"),
        ({}, "a value for 'crf'"),
        ({"crf": "35"}, "a int"),
        ({"crf": True}, "a int"),
        ({"crf": 1, "mode": "c"}, "one of a, b"),
        ({"crf": 1, "size": [1, 2, 3]}, "2 values"),
        ({"crf": 1, "size": 1}, "a list"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_by_name(raw: dict[str, object], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        recipe.fill(Params, raw, "recipe 'x'")


def test_parameters_fill_a_dataclass() -> None:
    filled = recipe.fill(Params, {"crf": 35, "gain": 2, "size": [3, 4], "mode": "b", "label": "t"}, "x")
    assert filled == Params(crf=35, gain=2.0, size=(3, 4), mode="b", label="t")


@pytest.mark.parametrize(
    "name", ["conventional/../../secret", "nofamily", "conventional/", "no-such/thing", "missing.toml"]
)
def test_a_recipe_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(RecipeError):
        recipe.load(name)


def test_a_recipe_of_ones_own_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD)
    assert recipe.load(str(tmp_path / "mine.toml")).name == "conventional/mine"


def test_every_shipped_recipe_loads_and_its_parent_exists() -> None:
    known = recipe.names()
    for name in known:
        found = recipe.load(name)
        assert found.parent is None or found.parent in known, name
        assert found.family == name.partition("/")[0]
