"""From a recipe and a clip to a payload of the family `semantic_tto`: the inner recipe's payload, wrapped."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab import recipe as recipes
from lab.bitstream import Bitstream
from lab.codecs.base import Monitor, SourceClip
from lab.codecs.semantic import encode as semantic
from lab.codecs.semantic_tto import format as syntax
from lab.errors import RecipeError
from lab.recipe import Recipe, fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What a recipe of this family sets.

    Attributes:
        inner: a recipe of the family `semantic`.
        tto_at_inflate: must be set, so that nobody makes such a payload unawares.
        refine_steps, repair_steps: of Adam, on last frames against the class map, then on first ones.
    """

    inner: str
    tto_at_inflate: bool = False
    refine_steps: int = 40
    repair_steps: int = 8

    def __post_init__(self) -> None:
        if not self.tto_at_inflate:
            raise ValueError("tto_at_inflate = true says that the judge's networks run at inflate, uncharged")
        if not (0 <= self.refine_steps <= 255 and 0 <= self.repair_steps <= 255):
            raise ValueError("steps are 0 to 255")


def params_of(asked: Recipe) -> tuple[Params, Recipe]:
    """The recipe's parameters and its inner recipe, checked.

    Raises:
        RecipeError: a key is unknown or missing, or the inner recipe is not one of `semantic`.
    """
    where = f"recipe {asked.name!r}"
    params = fill(Params, asked.params, where)
    inner = recipes.load(params.inner)
    if inner.family != "semantic":
        raise RecipeError(where, expected="an inner recipe of the family semantic", found=repr(params.inner))
    semantic.params_of(inner)
    return params, inner


def encode(source: SourceClip, asked: Recipe, monitor: Monitor) -> Bitstream:
    """The bitstream of a clip under a recipe."""
    params, inner = params_of(asked)
    stream = semantic.encode(replace(source, work=source.work / "inner"), inner, monitor)
    return syntax.write(syntax.Head(params.refine_steps, params.repair_steps), stream)
