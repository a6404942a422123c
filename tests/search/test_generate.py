"""Candidates of trained families: one or two steps away, the same every time, and recipes that the family takes."""

from __future__ import annotations

import pytest

from lab import codecs, recipe
from lab.errors import RecipeError, SearchError
from lab.recipe import Recipe
from lab.search.generate import STEPS, mutations, n_steps, neighbourhood, text_of, variant
from lab.search.probe import TRAINED_STEPS, short
from lab.search.prospects import lane_of

ROOTS = ("filtered/moved-long", "filtered/coarse", "semantic/range-mask", "implicit/field")
AXES = {
    "filtered/moved-long": {"hidden", "architecture", "scheme", "inner_params.crf", STEPS},
    "filtered/coarse": {"hidden", "architecture", "scheme", STEPS},
    "semantic/range-mask": {"width", "motion_width", "bits", "pose_scale", "tails", "refit", "edit", STEPS},
    "implicit/field": {"widths", "latent_dim", "rank", "bits", "levels", "sidecar", STEPS},
}


def taken(found: list[Recipe]) -> list[Recipe]:
    """Those that their family understands."""
    good = []
    for near in found:
        try:
            codecs.get(near.family).check(near)
        except RecipeError:
            continue
        good.append(near)
    return good


@pytest.mark.parametrize("name", ROOTS)
def test_neighbours_of_a_trained_recipe_change_one_axis_and_are_recipes(name: str) -> None:
    base = recipe.load(name)
    near = list(neighbourhood(base, base))
    assert near == list(neighbourhood(base, base))
    assert len({found.digest for found in near}) == len(near) == len({found.name for found in near})
    assert base.digest not in {found.digest for found in near}
    assert AXES[name] <= {found.changed.split()[0] for found in near}
    assert len(taken(near)) >= len(near) - 3
    for found in near:
        assert found.parent == base.name
        assert recipe.parse(text_of(found), found.name).digest == found.digest
        if found.changed.startswith(f"{STEPS} "):
            whole = n_steps(base)
            assert whole and n_steps(found) in (round(whole / 2), whole * 2)
            assert [stage["name"] for stage in found.stages] == [stage["name"] for stage in base.stages]
            assert found.params == base.params or not base.stages
        else:
            assert n_steps(found) == n_steps(base)


@pytest.mark.parametrize("name", ROOTS)
def test_mutations_take_two_steps_and_are_drawn_the_same_every_time(name: str) -> None:
    base = recipe.load(name)
    found = list(mutations(base, base, 6))
    assert found == list(mutations(base, base, 6)) and found[:3] == list(mutations(base, base, 3))
    assert len({item.digest for item in found}) == 6
    near = {item.digest for item in neighbourhood(base, base)}
    for item in found:
        assert len(item.changed.split(", ")) >= 2
        assert item.digest not in near
    other = variant(base, base, {"bits": 7, STEPS: 100})
    assert [item.changed for item in mutations(other, base, 6)] != [item.changed for item in found]


def test_a_budget_is_a_lane_of_its_own() -> None:
    base = recipe.load("semantic/range-mask")
    longer = variant(base, base, {STEPS: 7_200})
    assert lane_of(base) == "semantic/3600 steps"
    assert lane_of(longer) == "semantic/7200 steps"
    assert lane_of(variant(base, base, {"width": 20})) == lane_of(base)
    assert lane_of(recipe.load("conventional/quickstart")).startswith("conventional/")


def test_the_wrapped_codec_has_neighbours_whether_or_not_the_recipe_overrides_it() -> None:
    for name, crf in (("filtered/moved-long", 54), ("filtered/quickstart", None)):
        base = recipe.load(name)
        near = [item for item in neighbourhood(base, base) if item.changed.startswith("inner_params.crf")]
        before = crf or recipe.load(base.params["inner"]).params["crf"]
        assert sorted(item.params["inner_params"]["crf"] for item in near) == [
            before + step for step in (-4, -2, 2, 4) if 1 <= before + step <= 63
        ]
        assert all(item.params["inner"] == base.params["inner"] for item in near)


@pytest.mark.parametrize("name", ROOTS)
def test_a_probe_trains_a_few_steps_in_the_same_order(name: str) -> None:
    base = recipe.load(name)
    cut = short(base)
    done = n_steps(cut)
    assert done is not None and done <= TRAINED_STEPS + 2 * len(base.stages)
    assert [stage["name"] for stage in cut.stages] == [stage["name"] for stage in base.stages]
    assert not cut.params.get("refit") and not cut.params.get("latent_polish") and not cut.params.get("edit")
    codecs.get(cut.family).check(cut)


def test_what_counts_no_steps_has_no_probe_and_unknown_families_no_neighbours() -> None:
    with pytest.raises(SearchError, match="steps"):
        short(recipe.load("conventional/quickstart"))
    with pytest.raises(SearchError, match="semantic_tto"):
        list(neighbourhood(recipe.load("semantic_tto/range-mask-tto"), recipe.load("semantic_tto/range-mask-tto")))
