"""What a run is asked to do: a small typed recipe, read from TOML.

A recipe names its family, the question it asks, the recipe it departs from and the one axis it changes. Its
`[params]` belong to the family, which checks every key; its `[[stages]]` are what a training run does in order.

A repack is a recipe of any family: its only parameters are `repack`, the name of what is done, and `repack_of`, the
run whose kept archive it is done to. It trains nothing, so it has no stages.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from lab.errors import RecipeError

FAMILIES = Path(__file__).parent / "codecs"
_KEYS = {"family", "question", "parent", "changed", "seed", "params", "stages"}
_REPACK = {"repack", "repack_of"}
Params = TypeVar("Params")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One experiment as asked for. `name` is `family/slug`; `parent` the name of the recipe it departs from."""

    name: str
    family: str
    question: str
    parent: str | None = None
    changed: str = ""
    seed: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    stages: tuple[dict[str, Any], ...] = ()
    text: str = ""

    @property
    def slug(self) -> str:
        """The name without its family."""
        return self.name.rpartition("/")[2]

    @property
    def repacked(self) -> tuple[str, str] | None:
        """(name of the repack, id of the run that it is made from), or None where the family encodes the source."""
        return (self.params["repack"], self.params["repack_of"]) if set(self.params) >= _REPACK else None

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the bytes: family, parameters, stages and seed."""
        fixed = {"family": self.family, "params": self.params, "stages": list(self.stages), "seed": self.seed}
        return hashlib.sha256(json.dumps(fixed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def parse(text: str, name: str) -> Recipe:
    """A recipe from TOML text.

    Raises:
        RecipeError: not TOML, an unknown key, or a value of the wrong type.
    """
    where = f"recipe {name!r}"
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(where, expected="TOML", found=str(error)) from None
    reject_unknown(raw, _KEYS, where)
    for key in ("family", "question"):
        if not isinstance(raw.get(key), str) or not raw[key].strip():
            raise RecipeError(where, expected=f"a text under {key!r}", found=repr(raw.get(key)))
    if raw.get("parent") and not raw.get("changed"):
        raise RecipeError(where, expected="`changed`: the one axis that differs from the parent", found="nothing")
    stages = raw.get("stages", [])
    if not isinstance(raw.get("params", {}), dict) or not isinstance(stages, list):
        raise RecipeError(where, expected="a table [params] and a list [[stages]]")
    _check_repack(raw, where)
    seed = raw.get("seed", 0)
    if not isinstance(seed, int):
        raise RecipeError(where, expected="an integer seed", found=repr(seed))
    return Recipe(
        name=name,
        family=raw["family"],
        question=raw["question"].strip(),
        parent=raw.get("parent") or None,
        changed=str(raw.get("changed", "")),
        seed=seed,
        params=dict(raw.get("params", {})),
        stages=tuple(stages),
        text=text,
    )


def _check_repack(raw: dict[str, Any], where: str) -> None:
    """Return only if a recipe is no repack, or a whole one.

    Raises:
        RecipeError: half of one, one that trains or sets something else as well, or one without a parent.
    """
    params = raw.get("params", {})
    if not _REPACK & set(params):
        return
    if set(params) != _REPACK or not all(isinstance(value, str) and value for value in params.values()):
        raise RecipeError(
            where, expected="`repack` and `repack_of` as texts, and no other parameter", found=", ".join(sorted(params))
        )
    if raw.get("stages") or not raw.get("parent"):
        raise RecipeError(where, expected="a repack with a parent and without [[stages]]: it trains nothing")


def load(name_or_path: str) -> Recipe:
    """The recipe `family/slug` that ships, or the one in a TOML file of yours.

    Raises:
        RecipeError: there is no such recipe.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise RecipeError(f"recipe file {path.name!r}", expected="a TOML file", found="nothing there")
        text = path.read_text(encoding="utf-8")
        family = parse(text, path.stem).family
        return parse(text, f"{family}/{path.stem}")
    family, _, slug = name_or_path.partition("/")
    shipped = FAMILIES / family / "recipes" / f"{slug}.toml"
    if not family.isidentifier() or not slug or "/" in slug or ".." in slug or not shipped.is_file():
        known = names()
        near = get_close_matches(name_or_path, known, n=3, cutoff=0.4)
        raise RecipeError(
            f"recipe {name_or_path!r}",
            expected="family/slug or a .toml file",
            found="no such recipe",
            fix="did you mean " + ", ".join(near) + "?" if near else f"{len(known)} recipes ship, see `lab profiles`",
        )
    recipe = parse(shipped.read_text(encoding="utf-8"), name_or_path)
    if recipe.family != family:
        raise RecipeError(f"recipe {name_or_path!r}", expected=f"family {family!r}", found=repr(recipe.family))
    return recipe


def names() -> list[str]:
    """Every recipe that ships, as family/slug, sorted."""
    return sorted(f"{path.parent.parent.name}/{path.stem}" for path in FAMILIES.glob("*/recipes/*.toml"))


def reject_unknown(raw: dict[str, Any], known: set[str], where: str) -> None:
    """Return only if every key is known.

    Raises:
        RecipeError: one is not; the message lists the near and the known ones.
    """
    for key in raw:
        if key not in known:
            near = get_close_matches(key, sorted(known), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise RecipeError(
                where, expected="one of " + ", ".join(sorted(known)), found=repr(key), fix=f"{hint}remove the key"
            )


def fill(cls: type[Params], raw: dict[str, Any], where: str) -> Params:
    """A frozen dataclass filled from a TOML table: unknown keys, missing keys and wrong types are refused by name.

    Args:
        cls: a dataclass whose field types are bool, int, float, str, `X | None`, tuple[X, ...] or Literal of texts.

    Raises:
        RecipeError: a key is unknown or missing, or its value does not fit.
    """
    hints = get_type_hints(cls)
    fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    reject_unknown(raw, set(fields), where)
    values: dict[str, Any] = {}
    for name, item in fields.items():
        if name in raw:
            values[name] = _fit(raw[name], hints[name], f"{where}, {name}")
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise RecipeError(where, expected=f"a value for {name!r}", found="nothing")
    try:
        return cls(**values)
    except ValueError as error:
        raise RecipeError(where, found=str(error)) from None


def _fit(value: Any, hint: Any, where: str) -> Any:
    arguments = get_args(hint)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise RecipeError(where, expected="a list", found=repr(value))
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise RecipeError(where, expected=f"{len(kinds)} values", found=str(len(value)))
        return tuple(_fit(item, kind, where) for item, kind in zip(value, kinds, strict=True))
    if arguments and all(isinstance(option, str) for option in arguments):
        if value not in arguments:
            raise RecipeError(where, expected="one of " + ", ".join(arguments), found=repr(value))
        return value
    if arguments:
        return _fit(value, next(kind for kind in arguments if kind is not type(None)), where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise RecipeError(where, expected=f"a {hint.__name__}", found=repr(value))
    return value
