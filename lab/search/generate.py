"""Candidate generators: recipes one step away from a recipe that was measured, two steps away, and repacks of a run.

A step changes one parameter, one parameter of the wrapped codec (`inner_params.crf`), or the number of training steps
of all stages (`steps`); which parameters have neighbours, and which, stands in one table for each family. The same
recipe always has the same candidates in the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from lab import recipe
from lab.codecs.repacks import stream_of
from lab.codecs.semantic.actions import TAILS
from lab.errors import SearchError
from lab.ledger import Run
from lab.recipe import Recipe

Neighbours = Callable[[Any], tuple[Any, ...]]
STEPS = "steps"
"""The axis that is no parameter: how long all stages train."""


def _one_of(*values: Any) -> Neighbours:
    return lambda now: tuple(value for value in values if value != now)


def _steps(*offsets: float, low: float, high: float) -> Neighbours:
    return lambda now: tuple(now + offset for offset in offsets if low <= now + offset <= high)


def _times(*factors: float, low: int, high: int) -> Neighbours:
    return lambda now: tuple(round(now * factor) for factor in factors if low <= round(now * factor) <= high)


def _each(*offsets: int, low: int) -> Neighbours:
    """A list of widths, all of them wider or narrower."""
    return lambda now: tuple(
        [value + offset for value in now] for offset in offsets if min(value + offset for value in now) >= low
    )


def _presets(now: Any) -> tuple[str, ...]:
    """The next slower and faster preset of an encoder that numbers them."""
    if not str(now).isdigit():
        return ()
    return tuple(str(value) for value in (int(now) - 1, int(now) + 1) if 0 <= value <= 13)


NEIGHBOURS: Mapping[str, Mapping[str, tuple[Any, Neighbours]]] = {
    # parameter -> (its value where a recipe does not name it, its neighbours)
    "conventional": {
        "crf": (None, _steps(-4, -2, 2, 4, low=1, high=63)),
        "preset": (None, _presets),
        "down": ("aligned", _one_of("area", "lanczos")),
        "up": ("aligned", _one_of("aligned", "bicubic")),
        "chroma": ("bilinear", _one_of("bilinear", "nearest")),
        "luma_denoise": (0.0, _one_of(0.0, 0.4, 0.8)),
        "roi_mix": (0.0, _one_of(0.0, 0.5)),
        "unsharp": (0.0, _one_of(0.0, 0.3)),
        "gop": (0, _one_of(0, 100)),
    },
    "filtered": {
        "hidden": (16, _times(0.5, 2.0, low=4, high=128)),
        "architecture": ("standard", _one_of("standard", "dilated", "pixel-shuffle", "psd", "shift")),
        "scheme": ("int8-channel", _one_of("int8-channel", "lsq-channel", "fp4")),
        "bits": (8, _steps(-2, -1, 1, low=3, high=8)),
        "side": (False, _one_of(False, True)),
        "inner_params.crf": (None, _steps(-4, -2, 2, 4, low=1, high=63)),
        STEPS: (None, _times(0.5, 2.0, low=2, high=1_000_000)),
    },
    "semantic": {
        "embed": (4, _steps(-1, 1, low=1, high=16)),
        "width": (16, _steps(-4, 4, low=4, high=64)),
        "motion": ("film", _one_of("film", "warp", "zoom")),
        "motion_width": (12, _steps(-4, 4, low=4, high=64)),
        "scheme": ("lsq", _one_of("lsq", "lsq-channel", "int8-tensor", "fp4-large")),
        "bits": (8, _steps(-1, 1, low=3, high=8)),
        "pose_scale": (16, _times(0.5, 2.0, low=4, high=255)),
        "refit": (0, _steps(-1, 1, low=0, high=6)),
        "edit": (False, _one_of(False, True)),
        "tails": ([], _one_of([], *([tail] for tail in TAILS))),
        STEPS: (None, _times(0.5, 2.0, low=2, high=1_000_000)),
    },
    "implicit": {
        "widths": (None, _each(-4, 4, low=4)),
        "latent_dim": (16, _steps(-8, -4, 4, 8, low=4, high=64)),
        "rank": (6, _steps(-2, 2, 4, low=2, high=64)),
        "bits": (8, _steps(-1, 1, low=3, high=8)),
        "levels": (4, _steps(-2, 2, low=1, high=100)),
        "latent_polish": (0, _steps(-1, 1, low=0, high=4)),
        "sidecar": (False, _one_of(False, True)),
        "constants": (False, _one_of(False, True)),
        STEPS: (None, _times(0.5, 2.0, low=2, high=1_000_000)),
    },
}


def neighbourhood(base: Recipe, root: Recipe) -> Iterator[Recipe]:
    """Every recipe one step away from `base`, named by what it changes against `root`.

    Raises:
        SearchError: the family has no table of neighbours.
    """
    for axis, value in _moves(base):
        yield variant(base, root, {axis: value})


def mutations(base: Recipe, root: Recipe, count: int) -> Iterator[Recipe]:
    """At most `count` recipes two steps away from `base`, on two axes at once, drawn by the digest of `base`.

    Raises:
        SearchError: the family has no table of neighbours.
    """
    both = [(one, other) for one, other in combinations(_moves(base), 2) if one[0] != other[0]]

    def drawn(pair: tuple[tuple[str, Any], tuple[str, Any]]) -> str:
        return hashlib.sha256(f"{base.digest} {pair!r}".encode()).hexdigest()

    for one, other in sorted(both, key=drawn)[: max(0, count)]:
        yield variant(base, root, dict((one, other)))


def variant(base: Recipe, root: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """A recipe that differs from `base` in these axes."""
    told = ", ".join(f"{axis} {_short(_now(base, axis))} to {_short(value)}" for axis, value in changes.items())
    params, stages = dict(base.params), [dict(stage) for stage in base.stages]
    for axis, value in changes.items():
        outer, _, inner = axis.partition(".")
        if axis == STEPS and stages:
            stages = _scaled(stages, int(value))
        elif inner:
            params[outer] = {**params.get(outer, {}), inner: value}
        else:
            params[axis] = value
    made = Recipe(
        name="",
        family=base.family,
        question=f"{len(changes)} step{'s' if len(changes) > 1 else ''} from {base.name}: is {told} better?",
        parent=base.name,
        changed=told,
        seed=base.seed,
        params=params,
        stages=tuple(stages),
    )
    differs = sorted(axis for axis in (*NEIGHBOURS[base.family], *changes) if _now(made, axis) != _now(root, axis))
    slug = "-".join(
        f"{axis.replace('_', '').replace('.', '')}{_short(_now(made, axis))}" for axis in dict.fromkeys(differs)
    )
    return recipe.parse(text_of(made), f"{base.family}/near-{slug or 'root'}")


def repack_of(run: Run, name: str) -> Recipe:
    """The recipe that repacks a run."""
    made = Recipe(
        name=f"{run.recipe}-{name}",
        family=run.family,
        question=f"What does {run.recipe} lose when its {stream_of(name)} become {name}, and nothing is trained?",
        parent=run.recipe,
        changed=f"{stream_of(name)} repacked: {name}",
        params={"repack": name, "repack_of": run.id},
    )
    return recipe.parse(text_of(made), made.name)


def text_of(asked: Recipe) -> str:
    """A recipe as the TOML that `lab.recipe.parse` reads."""
    lines = [f"family = {_toml(asked.family)}", f"question = {_toml(asked.question)}"]
    if asked.parent:
        lines += [f"parent = {_toml(asked.parent)}", f"changed = {_toml(asked.changed)}"]
    lines += [f"seed = {asked.seed}", "", "[params]"]
    lines += [f"{name} = {_toml(what)}" for name, what in asked.params.items()]
    for stage in asked.stages:
        lines += ["", "[[stages]]", *(f"{name} = {_toml(what)}" for name, what in stage.items())]
    return "\n".join(lines) + "\n"


def n_steps(asked: Recipe) -> int | None:
    """Training steps of all stages, or None where nothing is trained or a profile counts them."""
    if asked.stages:
        return sum(int(stage[STEPS]) for stage in asked.stages)
    return int(asked.params[STEPS]) if asked.params.get(STEPS) else None


def _moves(base: Recipe) -> list[tuple[str, Any]]:
    """(axis, value) of every step from a recipe."""
    if base.family not in NEIGHBOURS:
        raise SearchError(
            f"neighbours of {base.name!r}", expected="a family of " + ", ".join(NEIGHBOURS), found=base.family
        )
    learned = str(base.params.get("scheme", "lsq" if base.family != "filtered" else "")).startswith("lsq")
    found: list[tuple[str, Any]] = []
    for axis, (_, neighbours) in NEIGHBOURS[base.family].items():
        now = _now(base, axis)
        if now is not None and (axis != "bits" or learned):  # other schemes have their depth in their name
            found += [(axis, value) for value in neighbours(now)]
    return found


def _now(asked: Recipe, axis: str) -> Any:
    """What a recipe says of an axis; None where it says nothing and its family has no value for that."""
    if axis == STEPS:
        return n_steps(asked)
    outer, _, inner = axis.partition(".")
    if not inner:
        return asked.params.get(outer, NEIGHBOURS[asked.family][axis][0])
    held = asked.params.get(outer, {})
    return held[inner] if inner in held else recipe.load(str(asked.params["inner"])).params.get(inner)


def _scaled(stages: Sequence[Mapping[str, Any]], steps: int) -> list[dict[str, Any]]:
    """Stages in their proportions, so many steps in all."""
    whole = sum(int(stage[STEPS]) for stage in stages)
    return [{**stage, STEPS: max(1, round(int(stage[STEPS]) * steps / whole))} for stage in stages]


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "-".join(map(_short, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(what)}" for name, what in value.items()) + " }"
    return repr(value)
