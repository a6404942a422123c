"""Laws of schedules, averages and optimizers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import nn

from lab.errors import RecipeError
from lab.training import average, profiles, schedule
from lab.training.optim import Optimizers
from lab.training.schedule import Stage


def test_the_table_is_aligned_and_shows_what_any_stage_sets() -> None:
    stages = (Stage(name="anchor", steps=100, boost=9.0), Stage(name="polish", steps=20, quantize=True, lr=1e-5))
    lines = schedule.table(stages).splitlines()
    head, rows = lines[0], lines[2:4]
    for column in ("name", "steps", "boost", "quantize"):
        at = head.index(column)
        assert at == 0 or all(row[at - 1] == " " for row in rows)
    assert rows[0].split()[head.split().index("boost")] == "9"
    assert "swa" not in head
    assert lines[-1] == "120 steps, 480 pair visits"


def test_the_rate_rises_then_follows_a_cosine_to_its_end() -> None:
    stage = Stage(name="fit", steps=100, warmup=10, lr_end=0.1)
    rates = [stage.rate_at(step) for step in range(101)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.1)


@pytest.mark.parametrize("change", [{"steps": 0}, {"lr": 0.0}, {"ema": 1.5}, {"tau": -1.0}, {"batch_pairs": 0}])
def test_values_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="stage 'fit'"):
        Stage(**{"name": "fit", "steps": 5, **change})  # type: ignore[arg-type]


def test_stages_of_a_recipe_are_checked_key_by_key() -> None:
    good = [{"name": "one", "steps": 5, "lr": 1e-3, "class_weights": [1.0, 15.0]}]
    assert schedule.stages(good, "recipe")[0].class_weights == (1.0, 15.0)
    for tables, what in (
        ([], r"at least one"),
        ([{"name": "one", "steps": 5, "learning_rate": 1.0}], "learning_rate"),
        ([{"name": "one", "steps": 5, "seg_loss": "dice"}], "dice"),
        ([{"name": "one", "steps": 5}, {"name": "one", "steps": 5}], "name of its own"),
    ):
        with pytest.raises(RecipeError, match=what):
            schedule.stages(tables, "recipe")


@pytest.mark.parametrize("name", list(profiles.PROFILES))
@pytest.mark.parametrize("steps", [7, 300, 1999])
def test_a_scaled_profile_keeps_its_sum_and_proportions(name: str, steps: int) -> None:
    profile = profiles.get(name)
    scaled = profile.schedule(steps)
    assert sum(stage.steps for stage in scaled) == steps
    assert [stage.name for stage in scaled] == [stage.name for stage in profile.stages]
    published = sum(stage.steps for stage in profile.stages)
    if steps > 1000:
        for ours, theirs in zip(scaled, profile.stages, strict=True):
            assert ours.steps / steps == pytest.approx(theirs.steps / published, abs=0.01)


def test_profiles_carry_the_published_values_and_their_sources() -> None:
    wilde, shiraz, green = (profiles.get(name) for name in ("wilde", "shiraz", "green"))
    rates = [stage.lr for stage in shiraz.stages]
    assert rates == [1e-3, 3e-4, 1e-4, 5e-5, 1e-5]
    assert max(stage.boost for stage in wilde.stages) == 49.0
    assert all(stage.surgery and stage.seg_loss == "focal" for stage in shiraz.stages[1:])
    assert not any(stage.freeze for stage in shiraz.stages)
    assert green.stages == wilde.stages
    assert not wilde.promotable
    assert all(source for profile in profiles.PROFILES.values() for _, source in profile.sources)


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"smoke, proven-baseline, wilde, shiraz, green.*did you mean 'shiraz'"):
        profiles.get("shirz")


def test_the_moving_average_forgets_early_weights_and_the_uniform_one_does_not() -> None:
    moving, uniform = average.Exponential({"w": torch.zeros(1)}, 0.9), average.Uniform({"w": torch.zeros(1)})
    for value in (10.0, *[1.0] * 60):
        moving.update({"w": torch.tensor([value])})
        uniform.update({"w": torch.tensor([value])})
    assert abs(float(moving.mean["w"]) - 1.0) < 0.02
    assert float(uniform.mean["w"]) == pytest.approx(70.0 / 61.0)


def test_an_average_of_checkpoints_needs_one_architecture() -> None:
    one, other = {"w": torch.tensor([1.0, 3.0])}, {"w": torch.tensor([3.0, 5.0])}
    assert average.mean_of([one, other])["w"].tolist() == [2.0, 4.0]
    with pytest.raises(ValueError, match="different architectures"):
        average.mean_of([one, {"w": torch.zeros(3)}])
    with pytest.raises(ValueError, match="at least one"):
        average.mean_of([])


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 3, 3))


def test_muon_moves_hidden_convolutions_by_an_orthogonal_step() -> None:
    model = network()
    weights = dict(model.named_parameters())
    before = {name: value.detach().clone() for name, value in weights.items()}
    optimizers = Optimizers(weights, [], Stage(name="fit", steps=1, optimizer="muon", lr=1e-3, muon_lr=0.1))
    model(torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))).square().sum().backward()
    optimizers.set_rate(1.0)
    optimizers.step()
    change = (weights["1.weight"].detach() - before["1.weight"]).flatten(1)
    values = torch.linalg.svdvals(change)
    assert float(values.max() / values.min()) < 2.5
    gradient = torch.linalg.svdvals(weights["1.weight"].grad.flatten(1))
    assert float(gradient.max() / gradient.min()) > 5.0
    # The first layer belongs to AdamW, whose first step moves every weight by the learning rate.
    assert (weights["0.weight"].detach() - before["0.weight"]).abs().median() == pytest.approx(1e-3, rel=1e-2)


def test_rates_by_prefix_and_frozen_prefixes() -> None:
    model = network()
    weights = dict(model.named_parameters())
    before = {name: value.detach().clone() for name, value in weights.items()}
    optimizers = Optimizers(weights, [], Stage(name="fit", steps=1, lr=1e-3, freeze=("1.",)), {"2.": 10.0})
    model(torch.ones(1, 3, 12, 12)).square().sum().backward()
    optimizers.set_rate(1.0)
    optimizers.step()
    moved = {name: float((value.detach() - before[name]).abs().max()) for name, value in weights.items()}
    assert moved["1.weight"] == 0.0
    assert moved["2.weight"] == pytest.approx(10.0 * moved["0.weight"], rel=1e-2)


# What a source must say for a value to count as accounted for.
SAID: dict[str, Callable[[Any], str]] = {
    "batch_pairs": lambda value: rf"\b{value}\b",
    "lr": lambda value: f"{value:.0e}".replace("e-0", "e-"),
    "seg_loss": lambda value: str(value),
    "gamma": lambda value: f"gamma {value:g}",
    "tau": lambda value: f"margin {value:g}",
    "seg": lambda value: f"seg {value:g}" if value else "warm-up",
    "pose": lambda value: f"pose {value:g}" if value else "motion frozen|warm-up",
    "pixel": lambda value: f"pixel {value:g}" if value != 1.0 else "pixel warm-up",
    "kl": lambda value: "KL at temperature 2",
    "weighting": lambda value: "share of the running score",
    "surgery": lambda value: "PCGrad",
    "boost": lambda value: rf"\b{value:g}\b",
    "class_weights": lambda value: f"x{max(value):g}",
    "alpha": lambda value: f"alpha {value:g}",
    "hard": lambda value: {0.5: "half", 0.3: "30 %"}[value],
    "quantize": lambda value: "quantized|four-bit",
    "ema": lambda value: f"EMA {value:g}",
    "swa": lambda value: "SWA",
    "freeze": lambda value: "motion frozen",
}


@pytest.mark.parametrize("name", list(profiles.PROFILES))
def test_every_value_of_a_profile_has_a_source(name: str) -> None:
    """No constant of a published schedule stands here without the place that it was taken from, or "ours"."""
    profile = profiles.get(name)
    told = "; ".join(value for value, _ in profile.sources)
    assert all(re.match(r"(library|ours)\b", source) for _, source in profile.sources)
    defaults = Stage(name="", steps=1)
    for stage in profile.stages:
        for item in fields(Stage):
            value = getattr(stage, item.name)
            if item.name not in ("name", "steps") and value != getattr(defaults, item.name):
                assert re.search(SAID[item.name](value), told), (stage.name, item.name, value)
    for said in (profile.architecture, f"(hidden|width) {profile.hidden}", profile.scheme[:4]):
        assert re.search(said, told.replace("four-bit", "fp4")), said
    assert re.search(rf"\d epochs|50 of its units|{profile.stages[0].steps}", told)
    if profile.seed:
        assert f"seed {profile.seed}" in told
