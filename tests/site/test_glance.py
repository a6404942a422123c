"""A record that is published at a glance is exactly what the thorough way gives, whatever stands in it and where."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import hostile
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_public_fields import HOSTILE

from lab.site import glance, sanitize

TEXTS = [*hostile.TEXTS.values(), *HOSTILE.values()]
TEXTS += [f"{sign}1" for sign in sanitize.FORMULA] + [f"1{sign}" for sign in sanitize.FORMULA]
TEXTS += [
    "",
    "<",
    "a<b",
    "a < b",
    "\\",
    '"',
    '"=1',
    'a"=1',
    "\x7f",
    "\x1f",
    "é",
    "→",
    "\ufeff",
    "*",
    "recipe.name",
    "a.b",
]
TEXTS += ["W" * 3_999, "W" * 4_000, "W" * 4_001, '"' * 4_001, "NaN", "Infinity", "name", "params.*"]
NUMBERS = [*hostile.NUMBERS.values(), 1 << 63, (1 << 63) - 1, 1 - (1 << 63), -(1 << 63), 10**19, 1e308, -0.0, 5e-324]
VALUES: list[Any] = [*TEXTS, *NUMBERS, None, True, False, [], {}, [[]], [{}], {"a": {"b": [None, 1e999]}}]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> hostile.Case:
    return hostile.Case(tmp_path_factory.mktemp("glance"))


def agrees(record: dict[str, Any]) -> bool:
    """Whether a record is public at a glance; the thorough way must then give it back, to the type of every number."""
    texts = [json.dumps(record), json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True)]
    read = [json.loads(text) for text in texts]
    found = [glance.is_public(one, text) for one, text in zip(read, texts, strict=True)]
    for one, public in zip(read, found, strict=True):
        if public:
            shown, withheld = sanitize.public_record(one, "here")
            assert withheld == []
            assert repr(shown) == repr(one)
    return all(found)


def tables(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Every table of a record, the outermost first."""
    found = [record]
    for table in found:
        found += [value for value in table.values() if isinstance(value, dict)]
    return found


def test_an_ordinary_record_is_public_at_a_glance(case: hostile.Case) -> None:
    assert agrees(case.record())
    long = case.record()
    long["notes"] = ["a plain sentence"] * 1_000
    assert agrees(long)


@pytest.mark.parametrize("path", [*hostile.FREE, *hostile.CLOSED, *hostile.COUNTED])
def test_the_two_ways_agree_on_every_trick_in_every_field(case: hostile.Case, path: str) -> None:
    for value in VALUES:
        record = case.record()
        hostile.put(record, path, value)
        agrees(record)


def test_the_two_ways_agree_on_every_trick_in_every_key(case: hostile.Case) -> None:
    for at in range(len(tables(case.record()))):
        for text in (text[:5_000] for text in TEXTS):
            for value in (1, "text", {}, {text: text}, [text], None):
                record = case.record()
                tables(record)[at][text] = value
                agrees(record)
    for key in case.record():
        for value in VALUES:
            if not key.startswith("grade"):
                agrees({**case.record(), key: value})


def test_a_grade_and_reasons_that_came_after_the_text_are_looked_at_too(case: hostile.Case) -> None:
    text = json.dumps(case.record())
    for reason in TEXTS:
        for changed in ({"grade_reasons": ["fine", reason]}, {"grade": reason}):
            record = case.record() | changed
            if glance.is_public(record, text):
                assert sanitize.public_record(record, "here") == (record, [])
    assert glance.is_public({**case.record(), "grade_reasons": ["fine", "an archive of 1,000 bytes"]}, text)


def test_every_record_of_the_ledger_is_public_at_a_glance() -> None:
    for path in (Path(__file__).resolve().parents[2] / "ledgers").glob("*/runs/*.json"):
        assert agrees(json.loads(path.read_text(encoding="utf-8"))), path.name


JSON = st.recursive(
    st.sampled_from([value for value in VALUES if len(repr(value)) < 100])
    | st.floats()
    | st.integers()
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_the_two_ways_agree_on_anything_anywhere(case: hostile.Case, data: st.DataObject) -> None:
    record = copy.deepcopy(case.clean)
    for _ in range(data.draw(st.integers(1, 3))):
        table = data.draw(st.sampled_from(tables(record)[1:]))
        key = data.draw(st.sampled_from([*table, "more"]) if table else st.text(max_size=5))
        table[key] = data.draw(JSON)
    agrees(record)
