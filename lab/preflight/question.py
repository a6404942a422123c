"""Preflight of the recipe: it is complete, asks one thing, and has not been answered already."""

from __future__ import annotations

import re

from lab import codecs, experiment, recipe
from lab.errors import LabError, RecipeError
from lab.preflight.subject import Subject, refuse, trial_recipe


def family_is_known(subject: Subject) -> str:
    """The recipe names a codec family of the table."""
    if subject.recipe.family not in codecs.FAMILIES:
        raise refuse("family", expected="one of " + ", ".join(codecs.FAMILIES), found=subject.recipe.family)
    return subject.recipe.family


def question_is_asked(subject: Subject) -> str:
    """The recipe asks a question."""
    if not subject.recipe.question.strip().endswith("?"):
        raise refuse("question", expected="a sentence that ends with ?", found=repr(subject.recipe.question))
    return subject.recipe.question


def name_makes_an_id(subject: Subject) -> str:
    """The recipe's name gives a run a readable id."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,79}", subject.recipe.slug.lower().replace("_", "-")):
        raise refuse("name", expected="a slug of a-z, 0-9, dot and dash", found=subject.recipe.slug)
    return subject.recipe.slug


def parameters_make_sense(subject: Subject) -> str:
    """The family accepts every parameter."""
    try:
        codecs.get(subject.recipe.family).check(subject.recipe)
    except LabError as error:
        raise refuse("parameters", expected=error.expected or "what the family knows", found=str(error)) from None
    return f"{len(subject.recipe.params)} parameters, {len(subject.recipe.stages)} stages"


def text_says_the_same(subject: Subject) -> str:
    """The recipe's text, which is kept as evidence, gives this recipe again."""
    found = recipe.parse(subject.recipe.text, subject.recipe.name).digest
    if found != subject.recipe.digest:
        raise refuse("recipe.toml", expected=f"digest {subject.recipe.digest[:16]}", found=found[:16])
    return found[:16]


def seed_is_fixed(subject: Subject) -> str:
    """The seed is a small whole number."""
    if not 0 <= subject.recipe.seed < 1 << 31:
        raise refuse("seed", expected="0 to 2147483647", found=subject.recipe.seed)
    return str(subject.recipe.seed)


def parent_is_on_record(subject: Subject) -> str:
    """The recipe that this one departs from has been run on this axis, under the contract as it is now."""
    try:
        parent = experiment.parent_run(subject.recipe, subject.contract, subject.ledger, subject.axis)
    except RecipeError as error:
        raise refuse("parent", expected=error.expected, found=error.found, fix=error.fix) from None
    return parent.id if parent else "starts a lineage"


def parent_is_another(subject: Subject) -> str:
    """A recipe does not depart from itself."""
    if subject.recipe.parent == subject.recipe.name:
        raise refuse("parent", expected="another recipe", found=subject.recipe.name)
    return subject.recipe.parent or "none"


def changed_axis_is_named(subject: Subject) -> str:
    """A recipe with a parent names the one axis that it changes."""
    if subject.recipe.parent and not subject.recipe.changed.strip():
        raise refuse("changed", expected="the axis that differs from the parent", found="nothing")
    return subject.recipe.changed or "starts a lineage"


def something_changes(subject: Subject) -> str:
    """A recipe with a parent differs from it in what decides the bytes."""
    same = [run for run in subject.runs if run.recipe == subject.recipe.parent]
    if same and same[-1].data["recipe"]["sha256"] == subject.recipe.digest:
        raise refuse("recipe", expected="a difference from its parent", found=f"the digest of {same[-1].id}")
    return subject.recipe.digest[:16]


def question_is_open(subject: Subject) -> str:
    """No current record has answered exactly this recipe on this axis."""
    known = subject.ledger.find(
        subject.contract, recipe_sha256=subject.recipe.digest, runtime_sha256=None, axis=subject.axis
    )
    if known is not None and known.data["custody"]["runtime_sha256"] == subject.tree.sha256:
        raise refuse(
            "recipe", expected="one without a record", found=known.id, fix="`lab run --once` gives that record"
        )
    return "no record of this recipe with this decoder"


def trial_is_possible(subject: Subject) -> str:
    """The recipe can be cut down to a trial that the family accepts."""
    try:
        codecs.get(subject.recipe.family).check(trial_recipe(subject.recipe))
    except LabError as error:
        raise refuse("trial", expected="a recipe that is still one with few steps", found=str(error)) from None
    return "cut to two pairs and a few steps"


CHECKS = (
    family_is_known,
    question_is_asked,
    name_makes_an_id,
    parameters_make_sense,
    text_says_the_same,
    seed_is_fixed,
    parent_is_on_record,
    parent_is_another,
    changed_axis_is_named,
    something_changes,
    question_is_open,
    trial_is_possible,
)
