"""A hostile record is refused by its name, or published flagged, whatever it holds and in whichever field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hostile
import pytest
import shelf

from lab.site import check, intake, plan, render, sanitize

TEMPLATES = hostile.SOURCE.parent / "templates"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> hostile.Case:
    return hostile.Case(tmp_path_factory.mktemp("hostile"))


def texts(value: Any) -> Iterator[str]:
    """Every text of a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def holds(case: hostile.Case, path: str, value: Any) -> str:
    """What is wrong with the book's answer to a value in a field; empty where it is refused by name or flagged."""
    record = case.record()
    hostile.put(record, path, value)
    entry, why = case.read(record)
    if entry is None:
        short = len(why) < 1_000 and "\n" not in why
        return "" if short and case.id in why and sanitize.is_inert(why) else f"{path}: refused by {why[:300]!r}"
    if not entry.flags:
        return f"{path}: not flagged"
    said = [*texts(entry.data), *entry.flags]
    wild = [text for text in said if not sanitize.is_inert(text) or len(text) > sanitize.TEXT_LIMIT + 1]
    json.dumps(entry.data, allow_nan=False)
    return f"{path}: {wild[0][:40]!r} is published" if wild else ""


@pytest.mark.parametrize("kind", hostile.TEXTS)
def test_a_hostile_text_in_any_field_is_refused_by_name_or_flagged(case: hostile.Case, kind: str) -> None:
    paths = [*hostile.FREE, *hostile.CLOSED, *hostile.COUNTED]
    assert [said for path in paths if (said := holds(case, path, hostile.TEXTS[kind]))] == []


@pytest.mark.parametrize("kind", hostile.NUMBERS)
def test_a_number_that_is_not_finite_in_any_field_is_refused_by_name_or_flagged(case: hostile.Case, kind: str) -> None:
    paths = [*hostile.COUNTED, *hostile.FREE, *hostile.CLOSED]
    assert [said for path in paths if (said := holds(case, path, hostile.NUMBERS[kind]))] == []


def test_a_size_beyond_64_bits_is_refused_by_name_though_its_score_holds_together(case: hostile.Case) -> None:
    record = case.record()
    measured = record["evaluation"]
    measured["archive_bytes"] = 1 << 63
    parts = {name: measured[name] for name in ("segnet", "posenet", "archive_bytes", "source_bytes")}
    score = case.made.contract.formula.score(**parts)
    record["score"] = {name: getattr(score, name) for name in record["score"]}
    entry, why = case.read(record)
    assert entry is None
    assert case.id in why
    assert "64 bits" in why


LIKE_CODE = ("its style=x", "see href=", "only one=", "no id=", "a src= onload=", "javascript:x href=")


def test_texts_that_read_like_attributes_stop_no_build(tmp_path: Path) -> None:
    """They are harmless where they stand, and no refusal of a page must come of them."""
    made = shelf.make(tmp_path, clips=0)
    taken = [
        hostile.spoil(made, identifier, text, [path for path in hostile.FREE if path != "evaluation.axis"])
        for identifier, text in zip(made.ids.values(), LIKE_CODE, strict=False)
    ]
    assert min(map(len, taken)) > 10
    book = intake.load(hostile.SOURCE, made.ledgers)
    planned = plan.make(book, {}, partial(render.figure_makers, TEMPLATES))
    checked = check.check(render.render(planned, TEMPLATES))
    assert checked.pages > len(made.ids)
