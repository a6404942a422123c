"""Reading files of facts: bounded, strict JSON, with the words of the source and without private ones."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.errors import LedgerError, SchemaMismatch

FILE_LIMIT_BYTES = 4 << 20
FILES_LIMIT = 64

# The write-ups that the facts cite by a number, and how they are called in public.
WRITE_UPS = {
    "0": "adpena/tac:README.md",
    "1": "adpena/comma-lab:README.md",
    "2": "comma-lab public site",
    "3": "kitchen_sink write-up",
    "4": "The Wrong Target, write-up of qzs3_range_mask",
}
_FILE = re.compile(r"\b00([0-4])_[0-9a-f]{16}\.txt\b")
_AUTHOR = re.compile(r" \(seed 00[0-4] author\)")
_NAMED = re.compile(r"\bseed[ _]?00([0-4])\b")
_UNNAMED = re.compile(r"\bthe seed\b")
_KEY = re.compile(r"seed_(?:00[0-4]_)?")
_ID = re.compile(r"\bseed00[0-4]_")
# A path of somebody's machine is nobody's business here.
_PRIVATE = re.compile(r"(?<![\w.])(?:/(?:root|home|Users|private|tmp|var|mnt|Volumes|workspace|work)/|[A-Za-z]:\\)")


def read(path: Path) -> tuple[dict[str, Any], str]:
    """One file of facts and the SHA-256 of its bytes.

    Raises:
        LedgerError: not readable, too large, or not strict JSON.
        SchemaMismatch: no object with a `schema`, or a private path inside.
    """
    try:
        if path.stat().st_size > FILE_LIMIT_BYTES:
            raise LedgerError(path.name, expected=f"at most {FILE_LIMIT_BYTES:,} bytes", found="a larger file")
        data = path.read_bytes()
        facts = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise LedgerError(
            path.name, expected="strict JSON", found=str(error)[:200] or type(error).__name__, fix="mend the facts"
        ) from None
    if not isinstance(facts, dict) or not isinstance(facts.get("schema"), str):
        raise SchemaMismatch(path.name, expected="an object with a schema", found=type(facts).__name__)
    told = public(facts, path.name)
    assert isinstance(told, dict)
    return told, hashlib.sha256(data).hexdigest()


def paths(folder: Path) -> list[Path]:
    """The files of facts in a folder, by name.

    Raises:
        LedgerError: no folder, or no files in it, or too many.
    """
    found = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not 0 < len(found) <= FILES_LIMIT:
        raise LedgerError(
            f"facts {folder.name}", expected=f"a folder with 1 to {FILES_LIMIT} JSON files", found=str(len(found))
        )
    return found


def public(value: Any, where: str) -> Any:
    """The same data with write-ups called by their public names.

    Raises:
        SchemaMismatch: a text holds a path of somebody's machine.
    """
    if isinstance(value, str):
        if _PRIVATE.search(value):
            raise SchemaMismatch(where, expected="no path of a machine", found=value[:80], fix="cite the public place")
        text = _FILE.sub(lambda match: WRITE_UPS[match.group(1)], value)
        text = _AUTHOR.sub("", text)
        text = _NAMED.sub(lambda match: f"the {WRITE_UPS[match.group(1)]}", text)
        text = _UNNAMED.sub("the write-up", text)
        return _ID.sub("", text)
    if isinstance(value, Mapping):
        return {_KEY.sub("stated_", str(key)): public(item, f"{where}, {key}"[:120]) for key, item in value.items()}
    if isinstance(value, list):
        return [public(item, where) for item in value]
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key twice: {sorted({key for key, _ in pairs})}")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no figure")
