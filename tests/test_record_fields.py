"""The quick look at a table passes only what the check passes, and every ordinary table."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper import a_contract, a_draft

from lab import fields, schema
from lab.errors import SchemaMismatch

TABLES = {"": (schema.TOP, {}), **schema.NESTED}
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "ab" * 32, "run-1", "A", "open"])
VALUE = LEAF | st.text(max_size=8) | st.lists(LEAF, max_size=2) | st.dictionaries(st.text(max_size=3), LEAF, max_size=2)
ODD = [-1, -0.5, math.nan, math.inf, True, "UP", "ab" * 31, "ab" * 32 + "\n", "1999", [], [None], ["UP"], [[]]]
ODD += [
    {},
    {"a": 1},
    {"a": "ab"},
    {"a": ["b"]},
    "winner",
    "A+++",
    (),
    1 << 63,
    1 << 70,
    2**0.5,
    "2026-03-01T10:00:00Z\n",
]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return a_draft(a_contract(tmp_path_factory.mktemp("ledgers")))[0]


def table(record: dict[str, Any], name: str) -> dict[str, Any]:
    return copy.deepcopy(record[name] if name else record)


def agree(found: Any, name: str) -> bool:
    """Whether the look passes a table; the check must then pass it too."""
    passes = fields.Look(*TABLES[name]).passes(found)
    if passes:
        fields.check(found, *TABLES[name], "here")
    return passes


@pytest.mark.parametrize("name", TABLES)
def test_ordinary_tables_are_passed_at_a_glance(record: dict[str, Any], name: str) -> None:
    assert agree(table(record, name), name)
    assert agree({**table(record, name), **{key: {} for key in TABLES[name][1]}}, name)


@pytest.mark.parametrize("name", TABLES)
def test_nothing_that_the_check_refuses_is_passed(record: dict[str, Any], name: str) -> None:
    for key in table(record, name):
        for value in ODD:
            agree({**table(record, name), key: value}, name)
        fewer = table(record, name)
        del fewer[key]
        assert not agree(fewer, name)
        with pytest.raises(SchemaMismatch, match=key):
            fields.check(fewer, *TABLES[name], "here")
    assert not agree({**table(record, name), "more": 1}, name)


@pytest.mark.parametrize("value", [None, [], 1, "text", (("a", 1),)])
def test_what_is_no_table_is_not_passed(value: Any) -> None:
    assert not fields.Look({}, {}).passes(value)


@given(st.data())
def test_a_table_with_anything_in_it_is_passed_only_if_it_is_right(record: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(TABLES)))
    found = table(record, name)
    for key in data.draw(st.lists(st.sampled_from(sorted(found)), max_size=3)):
        found[key] = data.draw(VALUE)
    agree(found, name)
