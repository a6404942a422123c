"""Kinds of fields, and tables of them: the check of a table, and a quick look that spares most tables the check.

The look is prepared once for each table. It passes only what the check passes; whatever it does not pass is checked
field by field, and the check alone words what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lab.errors import SchemaMismatch

VERDICTS = ("promoted", "rejected", "open")
GRADES = ("A++", "A", "A-negative", "empirical", "derivation", "prediction", "external", "invalid")
TEXT_LIMIT = 10_000
INTEGER_LIMIT = 1 << 63
ID = re.compile(r"[a-z0-9][a-z0-9.-]{2,95}\Z")
HEX = re.compile(r"[0-9a-f]{64}\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")

# kind -> (Python types, JSON Schema). `number?` may be null; `id?` likewise.
KINDS: dict[str, tuple[tuple[type, ...], dict[str, Any]]] = {
    "text": ((str,), {"type": "string", "maxLength": TEXT_LIMIT}),
    "id": ((str,), {"type": "string", "pattern": "^[a-z0-9][a-z0-9.-]{2,95}$"}),
    "id?": ((str, type(None)), {"type": ["string", "null"], "pattern": "^[a-z0-9][a-z0-9.-]{2,95}$"}),
    "sha256": ((str,), {"type": "string", "pattern": "^[0-9a-f]{64}$"}),
    "time": ((str,), {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}),
    "count": ((int,), {"type": "integer", "minimum": 0}),
    "integer": ((int,), {"type": "integer"}),
    "number": ((float,), {"type": "number", "minimum": 0}),
    "number?": ((float, type(None)), {"type": ["number", "null"], "minimum": 0}),
    "flag": ((bool,), {"type": "boolean"}),
    "verdict": ((str,), {"enum": list(VERDICTS)}),
    "grade": ((str,), {"enum": list(GRADES)}),
    "texts": ((list,), {"type": "array", "items": {"type": "string", "maxLength": TEXT_LIMIT}}),
    "ids": ((list,), {"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9][a-z0-9.-]{2,95}$"}}),
    "digests": ((dict,), {"type": "object", "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}),
    "words": ((dict,), {"type": "object", "additionalProperties": {"type": "string"}}),
    "table": ((dict,), {"type": "object"}),
}

Fields = dict[str, tuple[str, str]]


def check(table: Mapping[str, Any], known: Fields, optional: Fields, where: str) -> None:
    """Return only if a table has all `known` fields, no others but `optional` ones, and each is of its kind.

    Raises:
        SchemaMismatch: a field is missing, unknown, of the wrong type or out of range.
    """
    missing, extra = known.keys() - table.keys(), table.keys() - known.keys() - optional.keys()
    if missing or extra:
        raise SchemaMismatch(
            where,
            expected="fields " + ", ".join(sorted(missing)) if missing else "no other fields",
            found="unknown " + ", ".join(sorted(extra))[:200] if extra else "nothing there",
        )
    for name, value in table.items():
        _kind(value, (known.get(name) or optional[name])[0], f"{where}, {name}")


_PATTERNS = {"id": ID, "id?": ID, "ids": ID, "sha256": HEX, "digests": HEX, "time": _TIME}
_WORDS = {"id": "an id of a-z, 0-9, dot and dash", "sha256": "64 hexadecimal digits", "time": "a time in UTC"}
_ALLOWED = {"verdict": VERDICTS, "grade": GRADES}
_COUNTED = ("count", "number", "number?")
_OF_TEXTS = ("texts", "ids", "words", "digests")


def _kind(value: Any, kind: str, where: str) -> None:
    types = KINDS[kind][0]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        wanted = " or ".join(item.__name__.replace("NoneType", "null") for item in types)
        raise SchemaMismatch(where, expected=wanted, found=type(value).__name__)
    if kind in _COUNTED and isinstance(value, int | float) and value < 0:
        raise SchemaMismatch(where, expected="no negative value", found=repr(value))
    if kind == "count" and isinstance(value, int) and value >= INTEGER_LIMIT:
        raise SchemaMismatch(where, expected="an integer of 64 bits", found="a larger one")
    inside: list[Any] = [value]
    if isinstance(value, list | dict):
        inside = list(value.values()) if isinstance(value, dict) else value
    if kind in _OF_TEXTS and not all(isinstance(item, str) for item in inside):
        raise SchemaMismatch(where, expected="texts only", found="something else")
    if kind in _PATTERNS and not all(item is None or _PATTERNS[kind].match(item) for item in inside):
        wanted = _WORDS.get(kind.rstrip("?s"), _WORDS["sha256"])
        raise SchemaMismatch(where, expected=wanted, found=repr(value)[:100])
    if kind in _ALLOWED and value not in _ALLOWED[kind]:
        raise SchemaMismatch(where, expected=f"a {kind} of " + ", ".join(_ALLOWED[kind]), found=repr(value)[:60])


# kind -> what a quick look asks of a value whose type is one of the kind's; nothing where the type says it all
_ASKED: dict[str, Callable[[Any], Any]] = {
    "id": ID.match,
    "id?": lambda value: value is None or ID.match(value),
    "sha256": HEX.match,
    "time": _TIME.match,
    "count": lambda value: 0 <= value < INTEGER_LIMIT,
    "number": (0.0).__le__,
    "number?": lambda value: value is None or value >= 0.0,
    "verdict": VERDICTS.__contains__,
    "grade": GRADES.__contains__,
    "texts": lambda values: not values or {*map(type, values)} == {str},
    "ids": lambda values: not values or ({*map(type, values)} == {str} and all(map(ID.match, values))),
    "digests": lambda table: (
        not table or ({*map(type, table.values())} == {str} and all(map(HEX.match, table.values())))
    ),
    "words": lambda table: not table or {*map(type, table.values())} == {str},
}


class Look:
    """A quick look at tables of certain fields."""

    def __init__(self, known: Fields, optional: Fields) -> None:
        self._needed = frozenset(known)
        self._asked = {
            name: (frozenset(KINDS[kind][0]), _ASKED.get(kind)) for name, (kind, _) in {**known, **optional}.items()
        }

    def passes(self, table: Any) -> bool:
        """Is this a table that `check` accepts? No also where it would take a closer look to tell."""
        if type(table) is not dict or not self._needed <= table.keys():
            return False
        asked = self._asked
        for name, value in table.items():
            if name not in asked:
                return False
            types, ask = asked[name]
            if type(value) not in types or (ask and not ask(value)):
                return False
        return True
