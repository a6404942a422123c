"""The shape of a record: what enters is checked to the last field, and the published JSON Schema says the same."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper import a_contract, a_draft

from lab import export, schema
from lab.contract import Contract
from lab.errors import LedgerError, SchemaMismatch, ScoreMismatch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The paper contract."""
    return a_contract(tmp_path_factory.mktemp("ledgers"))


@pytest.fixture
def record(made: Contract) -> dict[str, Any]:
    """A record that may enter."""
    return copy.deepcopy(a_draft(made)[0])


def test_nothing_is_promoted_on_an_advisory_axis(made: Contract, record: dict[str, Any]) -> None:
    record["verdict"] = "promoted"
    record["evaluation"]["axis"] = "cpu"
    schema.validate(record, made, "here")
    for axis in ("cpu advisory", "cuda advisory", "mps"):
        record["evaluation"]["axis"] = axis
        with pytest.raises(SchemaMismatch, match="no promotion on the axis"):
            schema.validate(record, made, "here")
    record["verdict"] = "open"
    schema.validate(record, made, "here")


def fits(value: Any, rule: dict[str, Any]) -> bool:
    """A reader of the part of JSON Schema that we publish, written apart from the code under test."""
    names = {
        "string": str,
        "array": list,
        "object": dict,
        "boolean": bool,
        "null": type(None),
        "integer": int,
        "number": (int, float),
    }
    if "const" in rule:
        return value == rule["const"]
    if "enum" in rule:
        return value in rule["enum"]
    kinds = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    if not any(isinstance(value, names[kind]) and (kind == "boolean" or value is not True) for kind in kinds):
        return False
    if isinstance(value, str) and (
        not re.search(rule.get("pattern", ""), value) or len(value) > rule.get("maxLength", 1 << 30)
    ):
        return False
    if isinstance(value, int | float) and value < rule.get("minimum", value):
        return False
    if isinstance(value, list):
        return all(fits(item, rule["items"]) for item in value)
    if isinstance(value, dict):
        known, more = rule.get("properties", {}), rule.get("additionalProperties", {})
        if set(rule.get("required", ())) - set(value) or (more is False and set(value) - set(known)):
            return False
        rules = {key: known.get(key, more) for key in value}
        return all(not rules[key] or rules[key] is True or fits(item, rules[key]) for key, item in value.items())
    return True


def places(record: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Every field of a record with the table that holds it."""
    tables = [record, *(record[name] for name in schema.NESTED)]
    return [(table, key) for table in tables for key in table]


def test_a_record_that_holds_together_gives_its_score(record: dict[str, Any], made: Contract) -> None:
    assert schema.validate(record, made, "here", entering=True).total == record["score"]["total"]
    assert fits(record, schema.json_schema())


@pytest.mark.parametrize(
    "value", [None, True, 7, -1, 0.5, "word", "", [], [1], {}, {"a": 1}, "x" * 20_000, float("nan")]
)
def test_a_field_of_another_kind_is_refused_and_the_published_schema_agrees(
    value: Any, record: dict[str, Any], made: Contract
) -> None:
    published = schema.json_schema()
    for place in range(len(places(record))):
        changed = copy.deepcopy(record)
        table, key = places(changed)[place]
        before = table[key]
        table[key] = value
        if type(value) is type(before) and isinstance(value, str | dict | list | int):
            continue
        try:
            schema.validate(changed, made, "here", entering=True)
            ours = True
        except (SchemaMismatch, ScoreMismatch):
            ours = False
        # Code may be stricter than a schema can be (totals, nan); it is never more lenient.
        assert not ours or fits(changed, published), key


def test_a_missing_and_an_unknown_field_are_refused_by_name(record: dict[str, Any], made: Contract) -> None:
    for place in range(len(places(record))):
        changed = copy.deepcopy(record)
        table, key = places(changed)[place]
        del table[key]
        with pytest.raises(SchemaMismatch, match=key):
            schema.validate(changed, made, "here")
        table[key] = places(record)[place][0][key]
        table["extra_field"] = 1
        with pytest.raises(SchemaMismatch, match="extra_field"):
            schema.validate(changed, made, "here")
        assert not fits(changed, schema.json_schema())


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("score.total", 0.1, ScoreMismatch),
        ("score.rate_term", 0.1, ScoreMismatch),
        ("evaluation.segnet", 0.02, ScoreMismatch),
        ("evaluation.archive_bytes", 1, ScoreMismatch),
        ("evaluation.archive_bytes", 0, SchemaMismatch),
        ("evaluation.source_bytes", 80_000, SchemaMismatch),
        ("evaluation.posenet", -0.1, SchemaMismatch),
        ("evaluation.posenet", float("inf"), SchemaMismatch),
        ("schema", "lab.run/0", SchemaMismatch),
        ("contract", "minidrive", SchemaMismatch),
        ("id", "../../etc/passwd", SchemaMismatch),
        ("id", "UPPER", SchemaMismatch),
        ("parents", ["../x"], SchemaMismatch),
        ("supersedes", "a b", SchemaMismatch),
        ("verdict", "winner", SchemaMismatch),
        ("grade", "A+++", SchemaMismatch),
        ("recorded_at", "yesterday", SchemaMismatch),
        ("custody.archive_sha256", "ab", SchemaMismatch),
        ("custody.networks", {"segnet": "ab"}, SchemaMismatch),
        ("evaluation.n_pairs", True, SchemaMismatch),
        ("recipe.seed", 1 << 70, SchemaMismatch),
        ("notes", ["\x1b[2J"], SchemaMismatch),
        ("notes", ["safe\u202egpj.exe"], SchemaMismatch),
        ("notes", ["\ud800"], SchemaMismatch),
        ("notes", ["x" * 10_001], SchemaMismatch),
        ("recipe.params", {"a": float("nan")}, SchemaMismatch),
        ("recipe.params", {"\x00": 1}, SchemaMismatch),
    ],
)
def test_what_may_not_enter(
    path: str, value: Any, error: type[Exception], record: dict[str, Any], made: Contract
) -> None:
    table: Any = record
    *way, last = path.split(".")
    for part in way:
        table = table[part]
    table[last] = value
    with pytest.raises(error):
        schema.validate(record, made, "here", entering=True)


def test_nesting_without_end_is_refused(record: dict[str, Any], made: Contract) -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    record["recipe"]["params"] = {"deep": deep}
    with pytest.raises(SchemaMismatch, match="levels"):
        schema.validate(record, made, "here", entering=True)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1, "a": 2}', "[" * 100_000, "1" * 10_000, "\x00"])
def test_what_is_no_record_file_is_refused(text: str) -> None:
    with pytest.raises(LedgerError, match="JSON"):
        schema.parse(text, "here")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
@settings(max_examples=60)
def test_a_record_with_anything_anywhere_is_valid_or_refused(made: Contract, data: st.DataObject) -> None:
    record = copy.deepcopy(a_draft(made)[0])
    table, key = data.draw(st.sampled_from(range(len(places(record)))).map(lambda at: places(record)[at]))
    table[key] = data.draw(JSON)
    try:
        schema.validate(record, made, "here", entering=True)
    except LedgerError:
        return
    assert json.dumps(record, allow_nan=False)


@pytest.mark.parametrize("which", export.SCHEMAS)
def test_the_published_schema_is_the_one_that_the_code_follows(which: str) -> None:
    path = ROOT / "ledgers" / "schemas" / f"{which}.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == export.json_schema(which)


def test_the_prose_of_the_ledger_names_every_field() -> None:
    prose = (ROOT / "ledgers" / "README.md").read_text(encoding="utf-8")
    for name in schema.TOP:
        assert f"`{name}`" in prose, name
