"""Candidate generators: recipes one step away from a recipe that was measured.

A step changes one parameter; which parameters have neighbours, and which, stands in one table for each family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lab import recipe
from lab.errors import SearchError
from lab.recipe import Recipe

Neighbours = Callable[[Any], tuple[Any, ...]]


def _one_of(*values: Any) -> Neighbours:
    return lambda now: tuple(value for value in values if value != now)


def _steps(*offsets: float, low: float, high: float) -> Neighbours:
    return lambda now: tuple(now + offset for offset in offsets if low <= now + offset <= high)


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
    "implicit": {
        "latent_dim": (24, _steps(-8, -4, 4, 8, low=4, high=64)),
        "rank": (12, _steps(-4, 4, low=2, high=64)),
    },
}


def neighbourhood(base: Recipe, root: Recipe) -> Iterator[Recipe]:
    """Every recipe one step away from `base`, named by what it changes against `root`.

    Raises:
        SearchError: the family has no table of neighbours.
    """
    if base.family not in NEIGHBOURS:
        raise SearchError(
            f"neighbours of {base.name!r}", expected="a family of " + ", ".join(NEIGHBOURS), found=base.family
        )
    for axis, (default, neighbours) in NEIGHBOURS[base.family].items():
        now = base.params.get(axis, default)
        for value in neighbours(now) if now is not None else ():
            yield variant(base, root, axis, value)


def variant(base: Recipe, root: Recipe, axis: str, value: Any) -> Recipe:
    """A recipe that differs from `base` in one parameter."""
    params = {**base.params, axis: value}
    changed = {name: params[name] for name in sorted(params) if params[name] != root.params.get(name)}
    steps = "-".join(f"{name.replace('_', '')}{_short(what)}" for name, what in changed.items())
    former = _short(base.params.get(axis, NEIGHBOURS[base.family][axis][0]))
    lines = [
        f"family = {_toml(base.family)}",
        f"question = {_toml(f'One step from {base.name}: is {axis} {_short(value)} better?')}",
        f"parent = {_toml(base.name)}",
        f"changed = {_toml(f'{axis} {former} to {_short(value)}')}",
        f"seed = {base.seed}",
        "",
        "[params]",
        *(f"{name} = {_toml(what)}" for name, what in params.items()),
    ]
    for stage in base.stages:
        lines += ["", "[[stages]]", *(f"{name} = {_toml(what)}" for name, what in stage.items())]
    return recipe.parse("\n".join(lines) + "\n", f"{base.family}/near-{steps or 'root'}")


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)
